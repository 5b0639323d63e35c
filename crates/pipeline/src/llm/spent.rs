//! What calls spend.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::TokenUsage;

/// Calls made and tokens used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// HTTP calls, retries and refused ones included.
    pub calls: u32,
    /// Their tokens.
    pub usage: TokenUsage,
    /// What they waited for before they were made.
    pub queued: Queued,
}

/// How calls came past the limits that all workers share.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queued {
    /// Time they were held back by the limits; no part of the time of the calls.
    pub waited: Duration,
    /// How many were admitted by this worker alone, under its part of the
    /// limits, because the store did not answer.
    pub alone: u32,
}

impl Queued {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Queued) -> Queued {
        Queued {
            waited: self.waited.saturating_add(other.waited),
            alone: self.alone.saturating_add(other.alone),
        }
    }
}

impl Spent {
    /// Adds calls and their tokens.
    pub fn add(&mut self, calls: u32, usage: TokenUsage) {
        self.calls = self.calls.saturating_add(calls);
        self.usage = self.usage.plus(usage);
    }
}
