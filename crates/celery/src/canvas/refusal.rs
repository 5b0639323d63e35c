//! Why a signature is not sent.

use crate::exception::Exception;

/// A signature that the bridge does not send. Its task fails with this in
/// words: nothing is left out silently.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// Celery may send it, the bridge does not.
    #[error("{0} is not supported")]
    Unsupported(String),
    /// It is no signature, or an option of it has another type.
    #[error("{0}")]
    Malformed(String),
    /// More messages at once than [`super::plan::STEPS_MAX`].
    #[error("more than {0} follow-up tasks at once")]
    TooMany(usize),
    /// Nested deeper than [`super::shape::DEPTH_MAX`].
    #[error("signatures are nested more than {0} deep")]
    TooDeep(usize),
}

impl Refusal {
    /// As its producer meets it.
    pub(crate) fn exception(&self) -> Exception {
        let class = match self {
            Self::Unsupported(_) => "NotImplementedError",
            Self::Malformed(_) | Self::TooMany(_) | Self::TooDeep(_) => "ValueError",
        };
        Exception::new(
            "builtins",
            class,
            &format!("cannot send what follows: {self}"),
        )
    }
}
