//! Exit codes, and errors for the person at the shell.

use std::fmt;

use lovage_core::error::chain;

/// Everything went well.
pub(crate) const OK: u8 = 0;
/// Something failed: the store, the network, a setting.
pub(crate) const ERROR: u8 = 1;
/// The command line or an input was not understood.
pub(crate) const USAGE: u8 = 2;
/// The job ended without what was asked for: failed, cancelled, or its sources were insufficient.
pub(crate) const JOB_FAILED: u8 = 3;
/// The time given was over before the job was.
pub(crate) const TIMED_OUT: u8 = 4;
/// Stopped by Ctrl-C: 128 + SIGINT, as shells have it.
pub(crate) const INTERRUPTED: u8 = 130;

/// Why a command ends without success.
#[derive(Debug)]
pub(crate) struct Exit {
    /// The process's exit code.
    pub(crate) code: u8,
    /// For a person; printed on stderr. Nothing where all is said already.
    pub(crate) message: Option<String>,
}

impl Exit {
    /// Ends with a message.
    pub(crate) fn new(code: u8, message: impl fmt::Display) -> Self {
        Self {
            code,
            message: Some(message.to_string()),
        }
    }

    /// Ends with a code alone.
    pub(crate) fn silent(code: u8) -> Self {
        Self {
            code,
            message: None,
        }
    }

    /// The same end, with what to do next.
    pub(crate) fn with_hint(self, hint: &str) -> Self {
        let message = self.message.map(|message| format!("{message}; {hint}"));
        Self { message, ..self }
    }

    /// Ends with what failed and every cause behind it.
    pub(crate) fn because(what: &str, error: &dyn std::error::Error) -> Self {
        Self::new(ERROR, format!("{what}: {}", chain(error)))
    }
}
