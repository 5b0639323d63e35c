//! One try at a job, and what went wrong with it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::WorkerId;

/// Why an attempt or a job failed, for programs and for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobError {
    /// Stable code, such as `lease_lost`, `timeout`, `panic`, `llm_auth`.
    pub code: String,
    /// One sentence for a person; never holds a secret.
    pub message: String,
    /// Whether trying again may help.
    pub retryable: bool,
}

impl JobError {
    /// An error that another attempt may not meet.
    pub fn transient(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            retryable: true,
        }
    }

    /// An error that every attempt would meet.
    pub fn permanent(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            retryable: false,
        }
    }
}

/// An attempt that did not finish its job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Counted from 1 at claim, so that a crash counts.
    pub number: u32,
    /// Who ran it.
    pub worker: WorkerId,
    /// When it was claimed.
    pub started_at: Timestamp,
    /// When it ended, or was found lost.
    pub ended_at: Timestamp,
    /// How it ended.
    pub error: JobError,
}
