//! Data on stdout. Nothing else is ever printed there.

use std::fmt::Display;
use std::io::{ErrorKind, Write};

use crate::exit::{self, Exit};

/// Prints a line, or several; ends it when it is not.
///
/// # Errors
/// A reader that has seen enough (`| head`) ends the command quietly.
pub(crate) fn print(text: impl Display) -> Result<(), Exit> {
    let text = text.to_string();
    let mut out = std::io::stdout().lock();
    let end = if text.ends_with('\n') { "" } else { "\n" };
    let written = write!(out, "{text}{end}").and_then(|()| out.flush());
    written.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Exit::silent(exit::OK),
        _ => Exit::because("cannot print", &error),
    })
}

/// Prints a value as JSON.
///
/// # Errors
/// As [`print()`].
pub(crate) fn json(value: &impl serde::Serialize) -> Result<(), Exit> {
    print(
        serde_json::to_string_pretty(value)
            .map_err(|error| Exit::because("cannot print", &error))?,
    )
}

/// Prints a value as JSON on one line, for values that come one by one.
///
/// # Errors
/// As [`print()`].
pub(crate) fn json_line(value: &impl serde::Serialize) -> Result<(), Exit> {
    print(serde_json::to_string(value).map_err(|error| Exit::because("cannot print", &error))?)
}
