//! Times as Python writes and reads them.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// An ISO 8601 time with or without an offset; without one it is in `zone`.
pub(crate) fn read(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let _ = (text, zone);
    todo!("codec")
}

/// `YYYY-MM-DDTHH:MM:SS.ffffff+00:00`, which `fromisoformat` before Python 3.11 reads.
pub(crate) fn write(at: Timestamp) -> String {
    let _ = at;
    todo!("codec")
}
