//! What a person is told on stderr.

use std::fmt::Display;
use std::io::Write;

/// Says a line. Where nobody reads any more (`2>&1 | head`) it is lost, and the
/// command goes on to its own exit code.
pub(crate) fn say(message: impl Display) {
    let _ = writeln!(std::io::stderr(), "lovage: {message}");
}
