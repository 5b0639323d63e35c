//! Errors as Python raises them.

use lovage_core::attempt::JobError;
use serde::{Deserialize, Serialize};

/// An exception as results carry it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Exception {
    pub(crate) exc_type: String,
    pub(crate) exc_message: Vec<lovage_core::payload::Payload>,
    pub(crate) exc_module: String,
}

impl Exception {
    /// A job's error. Its code names the exception: one of Python's own
    /// (`ValueError`), or with a module (`shop.errors.NotFound`); the engine's
    /// codes have theirs, others are a class of that name.
    pub(crate) fn of(error: &JobError) -> Self {
        let _ = error;
        todo!("codec")
    }

    /// `module`, class and one text.
    pub(crate) fn new(module: &str, class: &str, text: &str) -> Self {
        let _ = (module, class, text);
        todo!("codec")
    }

    /// As `repr` shows it: `ValueError('bad')`.
    pub(crate) fn repr(&self) -> String {
        todo!("codec")
    }

    /// The text of a traceback for it: Rust has none to show.
    pub(crate) fn traceback(&self) -> String {
        todo!("codec")
    }
}
