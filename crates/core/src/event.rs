//! What watchers see of a job: one strictly increasing sequence (V1).

use jiff::Timestamp;

use crate::id::JobId;
use crate::payload::Payload;

/// Event types written by the engine itself; handlers add their own.
pub mod kind {
    /// A worker began an attempt: `{attempt, worker}`.
    pub const ATTEMPT_STARTED: &str = "attempt_started";
    /// An attempt failed or the job was parked: `{reason, signal?, until, error}`.
    pub const WAITING: &str = "waiting";
    /// The job went back to its lane: `{error}`.
    pub const REQUEUED: &str = "requeued";
    /// Where the work stands: `{step, current, total, message}`. The last one is the job's progress.
    pub const PROGRESS: &str = "progress";
    /// Someone asked a running job to stop.
    pub const CANCEL_REQUESTED: &str = "cancel_requested";
    /// A signal came: `{name}`.
    pub const SIGNALLED: &str = "signalled";
    /// Children were spawned: `{group, count}`.
    pub const SPAWNED: &str = "spawned";
    /// A finished job was queued again.
    pub const REDRIVEN: &str = "redriven";
}

/// An event as a handler or the engine reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Type, such as `step_started`.
    pub kind: String,
    /// The step it belongs to.
    pub step: Option<String>,
    /// Anything else, a JSON document.
    pub data: Payload,
}

/// An event as it is stored and read.
///
/// The last event of a finished job has its status as type (`succeeded`,
/// `failed`, `cancelled`) and is never dropped: a store makes it from the job
/// itself, one past the last stored sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Position in the job's sequence, from 1; also the cursor.
    pub seq: u64,
    /// When the store took it.
    pub at: Timestamp,
    /// The job.
    pub job: JobId,
    /// Type.
    pub kind: String,
    /// The step it belongs to.
    pub step: Option<String>,
    /// Anything else.
    pub data: Payload,
}

/// What came after a cursor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventPage {
    /// In order; at most as many as asked for.
    pub events: Vec<Event>,
    /// Some events after the cursor are no longer kept.
    pub missed: bool,
    /// The job is final and these events reach its end.
    pub ended: bool,
}
