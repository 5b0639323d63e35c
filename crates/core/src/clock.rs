//! The time, as an argument.

use jiff::Timestamp;

/// Tells the time. Tests move it.
pub trait Clock: Send + Sync + 'static {
    /// Now, to the millisecond: what is stored reads back as it was.
    fn now(&self) -> Timestamp;
}

/// The machine's clock: the only place that reads it.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> Timestamp {
        to_millis(Timestamp::now())
    }
}

/// Cuts a timestamp to whole milliseconds, the unit of everything stored.
pub fn to_millis(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}

/// `at` plus `delay`, at the latest the end of jiff's time (year 9999).
pub fn after(at: Timestamp, delay: std::time::Duration) -> Timestamp {
    let millis = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(at.as_millisecond().saturating_add(millis))
        .unwrap_or(Timestamp::MAX)
}
