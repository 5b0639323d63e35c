//! What goes into a revision and what comes out: schema `revise-result/1`.
//!
//! The names of the input's fields are those of the service it replaces.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::script::types::{
    Budget, Generator, Language, Mode, ResultStatus, Timing, Usage, Warning, default_cache,
};

pub use super::diff::{Change, Changed, Diff, DiffLine, Hunk, Piece};

/// A caller's own name of a chapter, given back as it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ChapterId {
    /// A number.
    Number(u64),
    /// A text of 1 to 200 characters.
    Text(String),
}

/// The input of kind `script.revise`. Unknown fields are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReviseRequest {
    /// Which chapter this is.
    pub chapter_id: ChapterId,
    /// The text to revise; 1 to 100,000 characters. Line breaks are `\n`.
    pub story: String,
    /// What to change; 1 to 4,000 characters.
    pub edit_request: String,
    /// Language to write in; `auto` is that of the story.
    #[serde(default)]
    pub language: Language,
    /// Tone, such as `neutral` or `lively`; at most 60 characters.
    #[serde(default)]
    pub tone: Option<String>,
    /// `auto` or `llm`: there is no revision without a model.
    #[serde(default)]
    pub mode: Mode,
    /// What the job may cost; at a limit it ends with what it has.
    #[serde(default)]
    pub budget: Budget,
    /// Whether answers of earlier jobs may be used again; default yes.
    #[serde(default = "default_cache")]
    pub cache: bool,
}

/// What was asked, without the story.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// What to change.
    pub edit_request: String,
    /// Tone.
    pub tone: Option<String>,
    /// What the job may cost.
    pub budget: Budget,
}

/// The result of kind `script.revise`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReviseResult {
    /// Always `revise-result/1`.
    pub schema: String,
    /// The job's id.
    pub job_id: String,
    /// The chapter, as the request names it.
    #[serde(rename = "chapterId")]
    pub chapter_id: ChapterId,
    /// How it came out: `degraded` where a part of the story stays as it was.
    pub status: ResultStatus,
    /// When the result was made.
    pub created_at: Timestamp,
    /// What was asked.
    pub request: Asked,
    /// Who made the text.
    pub generator: Generator,
    /// Steps that fell short.
    pub degraded: Vec<String>,
    /// `ko` or `en`.
    pub language: Language,
    /// The revised story.
    pub story: String,
    /// From the old story to the new one.
    pub diff: Diff,
    /// The diff in numbers.
    pub changed: Changed,
    /// Time per step.
    pub timings: Vec<Timing>,
    /// What was spent.
    pub usage: Usage,
    /// What went wrong without stopping it.
    pub warnings: Vec<Warning>,
}
