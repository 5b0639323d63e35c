//! What comes out of a comprehensive document: schema `comprehensive-result/1`.

use serde::{Deserialize, Serialize};

use crate::script::types::{ScriptResult, Section, Warning};

pub use super::side::Side;

/// How an analysis came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As planned.
    Ok,
    /// With sentences copied from the sources where the model failed.
    StoodIn,
    /// Not at all, or not to its end.
    Failed,
}

/// One side of the topic; checkpoint of the step of its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Analysis {
    /// Which side.
    pub side: Side,
    /// How it came out.
    pub outcome: Outcome,
    /// Why it fell short.
    pub error: Option<Warning>,
    /// What it says, every sentence checked.
    pub sections: Vec<Section>,
    /// Model that answered, as the provider names it.
    pub model: Option<String>,
    /// Versions of the prompts that it was made with; none where no model was asked.
    #[serde(default)]
    pub prompts: Vec<String>,
    /// Citation marks naming no source; removed.
    pub unknown_citations: usize,
    /// Addresses the model wrote; removed.
    pub urls_removed: usize,
    /// What went wrong without making it fail.
    #[serde(default)]
    pub warnings: Vec<Warning>,
}

/// How one agent did. An agent is a step with a task of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Agent {
    /// Its step: `plan`, `research`, `facts`, `market`, `technical`, `integrate`, `review`.
    pub agent: String,
    /// Whether it did what it was asked for.
    pub succeeded: bool,
    /// Attempts of the job that it took.
    pub attempts: u32,
    /// Calls to a language model, retries included.
    pub calls: u32,
    /// Milliseconds of work.
    pub ms: u64,
    /// Why it fell short.
    pub error: Option<Warning>,
}

/// How the agents did together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// Each of them, in the order of their beginning.
    pub agents: Vec<Agent>,
    /// How many did what they were asked for.
    pub succeeded: usize,
    /// How many fell short.
    pub failed: usize,
    /// Share that succeeded, 0 to 1.
    pub rate: f64,
    /// Attempts of all agents.
    pub attempts: u32,
    /// Milliseconds from the beginning of the first to the end of the last, waits
    /// between attempts included.
    pub ms: u64,
}

/// The result of kind `content.comprehensive`: a script's result (its schema
/// `comprehensive-result/1`) and how it was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComprehensiveResult {
    /// The published document, its sources and its checks.
    #[serde(flatten)]
    pub document: ScriptResult,
    /// The analyses that it was made of.
    pub analyses: Vec<Analysis>,
    /// How the agents did.
    pub health: Health,
}
