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

impl NewEvent {
    /// `count` children were asked for under the name `group`.
    pub fn spawned(group: &str, count: usize) -> Self {
        #[derive(serde::Serialize)]
        struct Data<'a> {
            group: &'a str,
            count: usize,
        }
        Self::of_engine(kind::SPAWNED, &Data { group, count })
    }

    /// A value came under `name`; the value itself is read from the checkpoints.
    pub fn signalled(name: &str) -> Self {
        #[derive(serde::Serialize)]
        struct Data<'a> {
            name: &'a str,
        }
        Self::of_engine(kind::SIGNALLED, &Data { name })
    }

    fn of_engine(kind: &str, data: &impl serde::Serialize) -> Self {
        Self {
            kind: kind.to_owned(),
            step: None,
            data: Payload::of(data).expect("names and numbers have a JSON form"),
        }
    }
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
