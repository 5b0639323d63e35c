//! How an attempt can end without a result.

use std::time::Duration;

use lovage_core::status::WaitReason;

use crate::journal::JournalError;

/// Why a step or a handler stopped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Another attempt may help; uses an attempt.
    #[error("{message}")]
    Retry {
        /// Stable code, such as `llm_overloaded`.
        code: String,
        /// One sentence for a person; never holds a secret.
        message: String,
        /// How long to wait; without it the job's back-off decides.
        after: Option<Duration>,
    },
    /// No attempt would help.
    #[error("{message}")]
    GiveUp {
        /// Stable code, such as `llm_auth`.
        code: String,
        /// One sentence for a person; never holds a secret.
        message: String,
    },
    /// Has to wait longer than a slot should be held; uses no attempt.
    #[error("has to wait, at the longest {} s", after.as_secs())]
    Park {
        /// What for.
        reason: WaitReason,
        /// How long, at the longest.
        after: Duration,
    },
    /// Told to stop: cancelled, shut down, or the lease was lost.
    #[error("stopped")]
    Stopped,
}

impl Failure {
    /// A failure that another attempt may not meet.
    pub fn retry(code: &str, message: impl Into<String>) -> Self {
        Self::Retry {
            code: code.to_owned(),
            message: message.into(),
            after: None,
        }
    }

    /// A failure that every attempt would meet.
    pub fn give_up(code: &str, message: impl Into<String>) -> Self {
        Self::GiveUp {
            code: code.to_owned(),
            message: message.into(),
        }
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Lost => Self::Stopped,
            JournalError::Unavailable(cause) => Self::retry(
                "store_unavailable",
                format!("the store did not answer the attempt: {cause}"),
            ),
            JournalError::Refused(cause) => Self::give_up("step_refused", cause),
        }
    }
}
