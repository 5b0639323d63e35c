//! A task as its producer sent it (protocol 2, and 1 as Celery 3 speaks it).

use std::collections::BTreeMap;

use jiff::Timestamp;
use lovage_core::payload::Payload;

use crate::signature::Signature;

/// A task message, decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Its id to Celery; any text.
    pub id: String,
    /// The task's name.
    pub name: String,
    /// Positional arguments, a JSON array.
    pub args: Payload,
    /// Keyword arguments, a JSON object.
    pub kwargs: Payload,
    /// Not before this time.
    pub eta: Option<Timestamp>,
    /// Not to be started after this time.
    pub expires: Option<Timestamp>,
    /// The text of `expires` as it came, for what is relayed.
    pub expires_text: Option<String>,
    /// Retries before this message.
    pub retries: u32,
    /// Seconds until it is killed, and until it is asked to stop.
    pub time_limit: (Option<f64>, Option<f64>),
    /// The group it is a member of.
    pub group: Option<String>,
    /// Its place in the group.
    pub group_index: Option<u64>,
    /// The first task of its canvas; itself when none is named.
    pub root_id: String,
    /// The task that sent it.
    pub parent_id: Option<String>,
    /// No result is to be written.
    pub ignore_result: bool,
    /// Its arguments as Python shows them, for events.
    pub args_repr: String,
    /// Its keyword arguments as Python shows them.
    pub kwargs_repr: String,
    /// Stamps, by name.
    pub stamps: BTreeMap<String, Payload>,
    /// `traceparent`, where the producer traces.
    pub traceparent: Option<String>,
    /// Celery's priority, 0 (most urgent) to 9.
    pub priority: u8,
    /// Queue it came through.
    pub routing_key: String,
    /// Exchange it came through.
    pub exchange: String,
    /// Called with the result.
    pub callbacks: Vec<Signature>,
    /// Called with the id of the failed task.
    pub errbacks: Vec<Signature>,
    /// Remaining steps, the next one last.
    pub chain: Vec<Signature>,
    /// Runs when the whole group is done.
    pub chord: Option<Signature>,
}

/// A message that cannot be a job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refused {
    /// The id of its task, where one can be read.
    pub id: Option<String>,
    /// Its task's name, where one can be read.
    pub name: Option<String>,
    /// What was expected and what came; never the message's content at length.
    pub reason: String,
}

impl Task {
    /// Reads an envelope as it stands in a queue's list. `zone` is of times that name none.
    ///
    /// # Errors
    /// When it is no message of a task, or of a content type that is not taken:
    /// pickle is never decoded.
    pub fn decode(raw: &[u8], zone: &jiff::tz::TimeZone) -> Result<Self, Refused> {
        let _ = (raw, zone);
        todo!("codec")
    }
}
