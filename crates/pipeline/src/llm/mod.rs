//! Talking to a language model: one trait, one error taxonomy.
//!
//! [`OpenAi`] speaks the chat-completions protocol that most providers offer.
//! It retries, waits and steps down to what a model supports by itself; what
//! comes back as an [`LlmError`] is for the caller to decide, by its kind.

mod admission;
mod asked;
mod cached;
mod classify;
pub mod estimate;
mod incoming;
mod ladder;
mod openai;
mod piece;
mod price;
mod relay;
mod retry;
mod spent;
mod sse;
mod taped;
mod think;
mod wire;

pub use crate::secret::Secret;
pub use cached::Cached;
pub use classify::classify;
pub use estimate::tokens_estimate;
pub use openai::{CALLS_IN_FLIGHT, OpenAi, OpenAiConfig, SetupError};
pub use price::Price;
pub use retry::{Decision, PARK_AFTER, RETRY_AFTER_MAX, RetryPolicy, decide};
pub use spent::{Queued, Spent};
pub use taped::Taped;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// Plain text.
    pub text: String,
    /// What is to be looked at; only models with vision take any.
    pub pictures: Vec<Picture>,
}

impl Message {
    /// A message of text alone.
    pub fn new(role: Role, text: impl Into<String>) -> Message {
        Message {
            role,
            text: text.into(),
            pictures: Vec::new(),
        }
    }
}

/// A picture inside a message. It travels as a data URL, never as an address
/// that the provider would fetch.
#[derive(Clone, PartialEq)]
pub struct Picture {
    /// Its type, such as `image/jpeg`.
    pub media_type: &'static str,
    /// Its bytes, encoded.
    pub bytes: bytes::Bytes,
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} bytes", self.media_type, self.bytes.len())
    }
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Instructions.
    System,
    /// The request and its evidence.
    User,
    /// What the model said before (used to continue a broken answer).
    Assistant,
}

/// What is asked of the model.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatRequest {
    /// The conversation so far.
    pub messages: Vec<Message>,
    /// A name and JSON Schema the answer has to follow, when it has to be JSON.
    pub schema: Option<(String, Value)>,
    /// Upper bound of the answer, in tokens.
    pub max_tokens: Option<u32>,
    /// Sampling temperature; dropped for models that refuse it.
    pub temperature: Option<f32>,
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChatResponse {
    /// The text, `<think>` blocks removed.
    pub text: String,
    /// Tokens spent, where the provider said so.
    pub usage: TokenUsage,
    /// Model that answered, as the provider names it.
    pub model: Option<String>,
    /// Calls made for this answer, retries included; 0 when it came from a cache.
    pub calls: u32,
    /// What they waited for before they were made.
    pub queued: Queued,
}

/// Tokens of one or more calls; `None` is unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenUsage {
    /// Prompt tokens.
    pub prompt: Option<u64>,
    /// Completion tokens.
    pub completion: Option<u64>,
    /// Prompt tokens served from a cache.
    pub cached: Option<u64>,
}

impl TokenUsage {
    /// The sum of what is known: a lower bound when a call did not say what it
    /// used, and unknown only when none did.
    #[must_use]
    pub fn plus(self, other: TokenUsage) -> TokenUsage {
        let sum = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.saturating_add(b)),
            (known, None) | (None, known) => known,
        };
        TokenUsage {
            prompt: sum(self.prompt, other.prompt),
            completion: sum(self.completion, other.completion),
            cached: sum(self.cached, other.cached),
        }
    }
}

/// Receives an answer while it is written. Must not block.
pub trait Sink: Send + Sync {
    /// The next piece of text.
    fn delta(&self, text: &str);
    /// Drop everything received so far: the answer starts anew.
    fn reset(&self);
    /// Whether an answer that breaks half way is handed back, in the error's
    /// `partial`, instead of being begun and paid for anew.
    fn keeps_partial(&self) -> bool {
        false
    }
    /// The call is held back for this long by a limit of all workers: by its
    /// `rpm`, `tpm`, `concurrency`, `budget` or a `cooldown` of the provider.
    fn waiting(&self, _time: Duration, _why: &'static str) {}
}

/// A language model.
///
/// Dropping a returned future aborts the call that is under way.
#[async_trait]
pub trait Llm: Send + Sync {
    /// Name for results and logs, such as `openai`.
    fn name(&self) -> &str;
    /// Model asked for.
    fn model(&self) -> &str;
    /// One whole answer. With `request.schema` the text is a JSON document;
    /// whether it follows the schema is for the caller to check.
    async fn complete(&self, request: &ChatRequest) -> Result<ChatResponse, LlmError>;
    /// As `complete`, handing on the text as it arrives.
    ///
    /// When an answer breaks it is begun anew after `sink.reset()`, unless the
    /// sink keeps what has come ([`Sink::keeps_partial`]). What the
    /// sink holds at the end is the text of the response (with a schema, the
    /// text in which the JSON was found), or the `partial` of the error.
    async fn stream(
        &self,
        request: &ChatRequest,
        sink: Arc<dyn Sink>,
    ) -> Result<ChatResponse, LlmError>;
    /// Tells that the answer to this request was of no use, though whole: what
    /// keeps answers must not give it again.
    async fn reject(&self, _request: &ChatRequest) {}
}

/// What went wrong, by what the caller can do about it.
///
/// The retries that make sense have been made. Ask [`LlmError::park`] first:
/// where it names a time, give the worker's place away and run the job again
/// then, without counting an attempt. Otherwise `kind` decides.
#[derive(Debug, Clone, PartialEq, thiserror::Error, Serialize, Deserialize)]
#[error("{kind}: {detail}")]
pub struct LlmError {
    /// The kind decides what happens next.
    pub kind: LlmErrorKind,
    /// For a person; never holds a key.
    pub detail: String,
    /// How long the provider asked to wait, where it did.
    pub retry_after: Option<Duration>,
    /// Which limit of ours held the call back, where it was one.
    pub limit: Option<String>,
    /// HTTP status, where there was one.
    pub status: Option<u16>,
    /// What came of the answer before it broke or was cut; never empty.
    pub partial: Option<String>,
    /// What the failed calls have spent. Boxed to keep `Result`s small.
    pub spent: Box<Spent>,
}

impl LlmError {
    /// An error of this kind with no more to say than `detail`.
    pub fn new(kind: LlmErrorKind, detail: impl Into<String>) -> LlmError {
        LlmError {
            kind,
            detail: detail.into(),
            retry_after: None,
            limit: None,
            status: None,
            partial: None,
            spent: Box::default(),
        }
    }

    /// How long the job should be put aside, when that is the thing to do.
    ///
    /// Some only for a failure that passes by itself and a wait longer than
    /// [`PARK_AFTER`] (30 s): such a wait is never slept inside a call. At most
    /// [`RETRY_AFTER_MAX`] (10 min) and a few seconds, which keep jobs parked
    /// together from waking together.
    pub fn park(&self) -> Option<Duration> {
        self.retry_after
            .filter(|wait| self.kind.is_passing() && *wait > PARK_AFTER)
    }
}

/// The taxonomy. Retrying, shrinking and degrading are decided by kind alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LlmErrorKind {
    /// 429: wait and try again.
    RateLimited,
    /// The account is out of credit: waiting does not help.
    QuotaExhausted,
    /// The prompt does not fit: send less.
    ContextLength,
    /// 503 or 529: the provider is busy.
    Overloaded,
    /// Another 5xx.
    Server,
    /// No connection, or it broke before an answer.
    Network,
    /// Too slow.
    Timeout,
    /// A stream that ended without saying that it was finished.
    StreamBroken,
    /// Refused by a content filter.
    ContentFilter,
    /// The model itself declined.
    Refusal,
    /// A parameter this model does not take.
    Unsupported,
    /// Cut off at the length limit.
    Truncated,
    /// Empty, or not the JSON that was asked for.
    BadOutput,
    /// 401 or 403.
    Auth,
    /// 404 or a redirect: no such model or address.
    NotFound,
    /// Another 4xx.
    BadRequest,
    /// No call was made, or it was stopped: the job's own budget does not allow it.
    Budget(Limit),
}

/// A bound that a job has of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Of tokens.
    Tokens,
    /// Of US dollars.
    Cost,
    /// Of time.
    Deadline,
}

impl LlmErrorKind {
    /// Stable name for logs and results.
    pub fn as_str(self) -> &'static str {
        match self {
            LlmErrorKind::RateLimited => "rate_limited",
            LlmErrorKind::QuotaExhausted => "quota_exhausted",
            LlmErrorKind::ContextLength => "context_length",
            LlmErrorKind::Overloaded => "overloaded",
            LlmErrorKind::Server => "server",
            LlmErrorKind::Network => "network",
            LlmErrorKind::Timeout => "timeout",
            LlmErrorKind::StreamBroken => "stream_broken",
            LlmErrorKind::ContentFilter => "content_filter",
            LlmErrorKind::Refusal => "refusal",
            LlmErrorKind::Unsupported => "unsupported",
            LlmErrorKind::Truncated => "truncated",
            LlmErrorKind::BadOutput => "bad_output",
            LlmErrorKind::Auth => "auth",
            LlmErrorKind::NotFound => "not_found",
            LlmErrorKind::BadRequest => "bad_request",
            LlmErrorKind::Budget(Limit::Tokens) => "budget_tokens",
            LlmErrorKind::Budget(Limit::Cost) => "budget_cost",
            LlmErrorKind::Budget(Limit::Deadline) => "deadline",
        }
    }

    /// Whether the same call may succeed later.
    pub fn is_passing(self) -> bool {
        match self {
            LlmErrorKind::RateLimited
            | LlmErrorKind::Overloaded
            | LlmErrorKind::Server
            | LlmErrorKind::Network
            | LlmErrorKind::Timeout
            | LlmErrorKind::StreamBroken => true,
            LlmErrorKind::QuotaExhausted
            | LlmErrorKind::ContextLength
            | LlmErrorKind::ContentFilter
            | LlmErrorKind::Refusal
            | LlmErrorKind::Unsupported
            | LlmErrorKind::Truncated
            | LlmErrorKind::BadOutput
            | LlmErrorKind::Auth
            | LlmErrorKind::NotFound
            | LlmErrorKind::BadRequest
            | LlmErrorKind::Budget(_) => false,
        }
    }
}

impl std::fmt::Display for LlmErrorKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
