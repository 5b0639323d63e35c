//! A signature: a call that is to be made later, as data.

use std::collections::BTreeMap;

use lovage_core::payload::Payload;
use serde::{Deserialize, Serialize};

/// A call as canvas sends it. `options` are those of `apply_async`; an absent
/// one and null are the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Signature {
    /// The task's name.
    pub task: String,
    /// Positional arguments.
    #[serde(default)]
    pub args: Vec<Payload>,
    /// Keyword arguments.
    #[serde(default)]
    pub kwargs: BTreeMap<String, Payload>,
    /// Options of `apply_async`.
    #[serde(default)]
    pub options: BTreeMap<String, Payload>,
    /// `chain`, `group`, `chord` or others; none for a plain task.
    #[serde(default)]
    pub subtask_type: Option<String>,
    /// The result of what ran before is not put in front of its arguments.
    #[serde(default)]
    pub immutable: bool,
    /// Whatever else stands in it, relayed.
    #[serde(flatten)]
    pub others: BTreeMap<String, Payload>,
}
