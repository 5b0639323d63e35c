//! What can go wrong with a call, by what the caller can do.

use crate::wire::Problem;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server refused, and says why.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// No answer came, or it broke off: it is not known whether the call took effect.
    #[error("the server cannot be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync + 'static>),
    /// What came is not what this contract says, or what was asked cannot be sent.
    #[error("{0}")]
    Protocol(String),
}

impl ClientError {
    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Problem(problem) => matches!(problem.status, 408 | 429 | 502..=504),
            Self::Unreachable(_) => true,
            Self::Protocol(_) => false,
        }
    }
}

impl From<reqwest::Error> for ClientError {
    fn from(error: reqwest::Error) -> Self {
        // The address may hold a password, so it is left out.
        let error = error.without_url();
        if error.is_builder() {
            Self::Protocol(error.to_string())
        } else {
            Self::Unreachable(Box::new(error))
        }
    }
}
