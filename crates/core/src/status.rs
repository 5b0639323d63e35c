//! The seven statuses, and who moves a job out of each.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::InvalidId;

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Not before `run_at`.
    ///
    /// Leaves by promotion (any claim makes due jobs queued), cancel or expiry.
    /// Nobody holds it, so no crash can lose it.
    Scheduled,
    /// In its lane, ready to be claimed.
    ///
    /// Leaves by claim, cancel or expiry. Nobody holds it.
    Queued,
    /// A worker holds a lease and is running it.
    ///
    /// Leaves by settle. If the worker dies, its lease runs out and another
    /// worker's sweep reclaims the job: to the front of its lane, or to
    /// `Failed` when no attempts are left. The lost attempt counts.
    Running,
    /// Parked without a slot, at the longest until a time: see [`WaitReason`].
    ///
    /// Leaves by what it waits for (a signal, its last child), by time, cancel
    /// or expiry. Nobody holds it; what it waits for is durable.
    Waiting,
    /// Finished with a result. Leaves by nothing, until its time to live ends.
    Succeeded,
    /// Finished with an error, and kept in the dead list. Leaves by redrive only.
    Failed,
    /// Ended by request or expiry. Leaves by redrive only.
    Cancelled,
}

impl Status {
    /// Every status, in the order a job may pass them.
    pub const ALL: [Self; 7] = [
        Self::Scheduled,
        Self::Queued,
        Self::Running,
        Self::Waiting,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Whether the job is over.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    /// The name used everywhere: URL, JSON, command line, log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Status {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or_else(|| InvalidId {
            what: "state",
            expected: "one of scheduled, queued, running, waiting, succeeded, failed, cancelled",
            got: text.chars().take(80).collect(),
        })
    }
}

/// What a waiting job waits for. Whatever it is, it waits no longer than its time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WaitReason {
    /// The next attempt after a failed one.
    Backoff,
    /// A rate limit, a quota or a provider's cool-down.
    Limit,
    /// The same, and which limit it is.
    LimitOf(String),
    /// The signal of this name, from a person or another program.
    Signal(String),
    /// Its children.
    Children(Join),
}

/// When a job that waits for its children goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Join {
    /// When all are over, however they ended.
    All,
    /// When all are over, or one of them failed or was cancelled.
    FirstFailure,
}

impl WaitReason {
    /// The name used everywhere.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Backoff => "backoff",
            Self::Limit | Self::LimitOf(_) => "limit",
            Self::Signal(_) => "signal",
            Self::Children(_) => "children",
        }
    }

    /// The signal's name, where it is one.
    pub fn signal(&self) -> Option<&str> {
        match self {
            Self::Signal(name) => Some(name),
            Self::Backoff | Self::Limit | Self::LimitOf(_) | Self::Children(_) => None,
        }
    }

    /// Which limit it is, where it is known.
    pub fn limit(&self) -> Option<&str> {
        match self {
            Self::LimitOf(limit) => Some(limit),
            Self::Backoff | Self::Limit | Self::Signal(_) | Self::Children(_) => None,
        }
    }
}
