//! What an attempt may answer. A closed set: a new one must stop the build
//! wherever outcomes are decided on.

use std::time::Duration;

use crate::attempt::JobError;
use crate::payload::Payload;
use crate::status::WaitReason;

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Finished, with a result.
    Done(Payload),
    /// Failed, and another attempt may help. Uses the attempt.
    Retry {
        /// What went wrong.
        error: JobError,
        /// How long to wait; without it the job's back-off decides.
        after: Option<Duration>,
    },
    /// Has to wait, through no fault of its own. Does not use the attempt.
    Park {
        /// What for.
        reason: WaitReason,
        /// How long, at the longest; at most [`crate::limits::PARK_MAX`].
        after: Duration,
    },
    /// Failed, and no attempt would help.
    GiveUp(JobError),
    /// Stopped because someone asked.
    Cancelled,
    /// Handed back by a worker that stops. Does not use the attempt.
    Release,
}
