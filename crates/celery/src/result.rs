//! A result as Celery's Redis backend writes it.

use lovage_core::payload::Payload;
use serde::Serialize;

use crate::{json, time};

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

impl State {
    /// Its name to Celery.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Started => "STARTED",
            Self::Retry => "RETRY",
            Self::Success => "SUCCESS",
            Self::Failure => "FAILURE",
            Self::Revoked => "REVOKED",
            Self::Custom(name) => name,
        }
    }

    /// Whether nothing follows it.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::Success | Self::Failure | Self::Revoked)
    }
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
        let extended = self.extended.as_ref();
        let stored = Stored {
            status: self.state.name(),
            result: &self.result,
            traceback: self.traceback.as_deref(),
            children: &self.children,
            date_done: self.state.is_final().then(|| time::write(now)),
            group_id: self.group,
            parent_id: self.parent,
            name: extended.map(|extended| extended.task.name.as_str()),
            args: extended.map(|extended| &extended.task.args),
            kwargs: extended.map(|extended| &extended.task.kwargs),
            worker: extended.map(|extended| extended.worker),
            retries: extended.map(|extended| extended.retries),
            queue: extended.map(|extended| extended.task.routing_key.as_str()),
            task_id: self.id,
        };
        let text = serde_json::to_string(&stored).expect("texts, numbers and payloads have JSON");
        json::pythonic(&text).into_owned()
    }
}

/// In the order in which Celery writes it.
#[derive(Serialize)]
struct Stored<'a> {
    status: &'a str,
    result: &'a Payload,
    traceback: Option<&'a str>,
    children: &'a [Payload],
    date_done: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<&'a Payload>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kwargs: Option<&'a Payload>,
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retries: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<&'a str>,
    // Without it the reader of the channel dies.
    task_id: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_gets_its_own_tokens() {
        let meta = Meta {
            id: "1",
            state: State::Custom("PROGRESS".to_owned()),
            result: Payload::parse(r#"[{"__type__":"float","__value__":"inf"},"\ud800"]"#)
                .expect("JSON"),
            traceback: None,
            children: Vec::new(),
            group: None,
            parent: None,
            extended: None,
        };
        assert_eq!(
            meta.json(jiff::Timestamp::UNIX_EPOCH),
            r#"{"status":"PROGRESS","result":[Infinity,"\ud800"],"traceback":null,"children":[],"date_done":null,"task_id":"1"}"#
        );
    }
}
