//! A job: what was asked, and what has become of it.

use std::ops::Deref;
use std::time::Duration;

use jiff::Timestamp;

use crate::attempt::{Attempt, JobError};
use crate::clock;
use crate::event::NewEvent;
use crate::id::{JobId, Kind, Priority, QueueName, Tenant, WorkerId};
use crate::limits;
use crate::payload::Payload;
use crate::retry::Backoff;
use crate::status::{Status, WaitReason};

/// A key that at most one unfinished job of a queue may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unique {
    /// The key; at most [`limits::KEY_BYTES_MAX`] bytes, no control characters.
    pub key: String,
    /// Hold it this long, finished or not; without it until the job is final.
    pub window: Option<Duration>,
}

/// A caller's name for one enqueue: the same name gives the same job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// The key; at most [`limits::KEY_BYTES_MAX`] bytes, no control characters.
    pub key: String,
    /// Fingerprint of what was asked; another one under the same key is refused.
    pub fingerprint: String,
}

/// A job to be enqueued: checked, complete, not yet in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// Its id; [`JobId::at`] unless the caller brought one.
    pub id: JobId,
    /// What to do.
    pub kind: Kind,
    /// Where to wait.
    pub queue: QueueName,
    /// Whose it is.
    pub tenant: Tenant,
    /// How urgent.
    pub priority: Priority,
    /// What to do it with.
    pub input: Payload,
    /// Not before this time.
    pub run_at: Option<Timestamp>,
    /// Not to be started after this time; once a job was started and has to be
    /// started again, there is none.
    pub expires_at: Option<Timestamp>,
    /// Attempts before it is dead; at least 1.
    pub attempts_max: u32,
    /// Longest run of one attempt.
    pub timeout: Option<Duration>,
    /// Wait between attempts.
    pub backoff: Backoff,
    /// Key held while unfinished.
    pub unique: Option<Unique>,
    /// Key of this enqueue call.
    pub idempotency: Option<Idempotency>,
    /// Conversation it belongs to.
    pub session: Option<String>,
    /// Labels to find it by.
    pub tags: Vec<String>,
    /// W3C trace context of the caller.
    pub traceparent: Option<String>,
    /// The job that spawned it, in the same queue; set by [`crate::broker::Broker::spawn`] only.
    pub parent: Option<JobId>,
    /// Whether its input is kept once it has succeeded. Without it the finished
    /// job is smaller and settles faster; one that did not succeed keeps its
    /// input in any case, to be run again.
    pub keep_input: bool,
    /// How long its result is kept.
    pub keep: Duration,
    /// How long it stays in the dead list if it fails.
    pub keep_dead: Duration,
}

impl NewJob {
    /// A job with the defaults of everything but its kind and input.
    pub fn new(id: JobId, kind: Kind, input: Payload) -> Self {
        Self {
            id,
            kind,
            queue: QueueName::default(),
            tenant: Tenant::default(),
            priority: Priority::default(),
            input,
            run_at: None,
            expires_at: None,
            attempts_max: 3,
            timeout: None,
            backoff: Backoff::default(),
            unique: None,
            idempotency: None,
            session: None,
            tags: Vec::new(),
            traceparent: None,
            parent: None,
            keep_input: true,
            keep: limits::KEEP,
            keep_dead: limits::KEEP_DEAD,
        }
    }

    /// How long it is kept once it has ended as `status`.
    pub fn keep_as(&self, status: Status) -> Duration {
        if status == Status::Failed {
            self.keep_dead
        } else {
            self.keep
        }
    }
}

/// One child, as its parent sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// Its id.
    pub id: JobId,
    /// The group it was spawned in.
    pub group: String,
    /// How it ended; nothing while it is not over.
    pub ended: Option<Status>,
}

/// What a waiting job waits for, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// What for.
    pub reason: WaitReason,
    /// Until when, at the longest.
    pub until: Timestamp,
}

/// Where the work stands, as the handler last said.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Progress {
    /// Step at work.
    pub step: String,
    /// Units done.
    pub current: u64,
    /// Units in all.
    pub total: u64,
    /// For a person.
    pub message: Option<String>,
}

/// A job in a store: what was asked, and what has become of it.
///
/// Reads like what was asked: `job.kind` is `job.asked.kind`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// What was asked; its idempotency key is the store's business and absent here.
    pub asked: NewJob,
    /// When it was enqueued, by the store's clock.
    pub created_at: Timestamp,
    /// Where it stands.
    pub status: Status,
    /// Attempts used, the running one included.
    pub attempt: u32,
    /// What it waits for; set exactly when it is `Waiting`.
    pub waiting: Option<Waiting>,
    /// Who runs it; set exactly when it is `Running`.
    pub worker: Option<WorkerId>,
    /// When the last attempt began.
    pub started_at: Option<Timestamp>,
    /// When it became final.
    pub finished_at: Option<Timestamp>,
    /// When its result is no longer served; set exactly when it is final.
    pub keep_until: Option<Timestamp>,
    /// The last error.
    pub error: Option<JobError>,
    /// Attempts that did not finish it, the last [`limits::HISTORY_MAX`].
    pub history: Vec<Attempt>,
    /// Someone asked it to stop while it was running.
    pub cancel_requested: bool,
    /// Where the work stands.
    pub progress: Option<Progress>,
    /// What it gave.
    pub result: Option<Payload>,
}

impl Deref for Job {
    type Target = NewJob;

    fn deref(&self) -> &NewJob {
        &self.asked
    }
}

impl Job {
    /// Whether the store may forget that the job ever was.
    pub fn is_gone(&self, now: Timestamp) -> bool {
        self.keep_until
            .is_some_and(|until| clock::after(until, limits::TOMBSTONE) <= now)
    }

    /// The final event of a finished job, to be shown one past its stored events.
    pub fn final_event(&self) -> Option<NewEvent> {
        #[derive(serde::Serialize)]
        struct Data<'a> {
            attempt: u32,
            error: &'a Option<JobError>,
        }
        self.status.is_final().then(|| NewEvent {
            kind: self.status.as_str().to_owned(),
            step: None,
            data: Payload::of(&Data {
                attempt: self.attempt,
                error: &self.error,
            })
            .expect("a number and an error have a JSON form"),
        })
    }
}
