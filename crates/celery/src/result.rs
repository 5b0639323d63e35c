//! A result as Celery's Redis backend writes it.

use lovage_core::payload::Payload;

/// State of a task. Others are a handler's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    Started,
    Retry,
    Success,
    Failure,
    Revoked,
    Custom(String),
}

/// What stands under `celery-task-meta-<id>`, but for its time.
#[derive(Debug, Clone)]
pub(crate) struct Meta<'a> {
    pub(crate) id: &'a str,
    pub(crate) state: State,
    pub(crate) result: Payload,
    pub(crate) traceback: Option<String>,
    /// Result tuples of what it sent.
    pub(crate) children: Vec<Payload>,
    pub(crate) group: Option<&'a str>,
    pub(crate) parent: Option<&'a str>,
    /// Fields of `result_extended`.
    pub(crate) extended: Option<Extended<'a>>,
}

/// What `result_extended` adds.
#[derive(Debug, Clone)]
pub(crate) struct Extended<'a> {
    pub(crate) task: &'a crate::message::Task,
    pub(crate) worker: &'a str,
    pub(crate) retries: u32,
}

impl Meta<'_> {
    /// The JSON, written at `now`, which dates final states.
    pub(crate) fn json(&self, now: jiff::Timestamp) -> String {
        let _ = now;
        todo!("codec")
    }
}
