//! Talking to a language model: one trait, one error taxonomy.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// Plain text.
    pub text: String,
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
#[derive(Debug, Clone, PartialEq)]
pub struct ChatResponse {
    /// The text, `<think>` blocks removed.
    pub text: String,
    /// Tokens spent, where the provider said so.
    pub usage: TokenUsage,
    /// Model that answered, as the provider names it.
    pub model: Option<String>,
    /// Calls made for this answer, retries included.
    pub calls: u32,
}

/// Tokens of one or more calls; `None` is unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TokenUsage {
    /// Prompt tokens.
    pub prompt: Option<u64>,
    /// Completion tokens.
    pub completion: Option<u64>,
    /// Prompt tokens served from a cache.
    pub cached: Option<u64>,
}

/// Receives an answer while it is written. Must not block.
pub trait Sink: Send + Sync {
    /// The next piece of text.
    fn delta(&self, text: &str);
    /// Drop everything received so far: the answer starts anew.
    fn reset(&self);
}

/// A language model.
#[async_trait]
pub trait Llm: Send + Sync {
    /// Name for results and logs, such as `openai`.
    fn name(&self) -> &str;
    /// Model asked for.
    fn model(&self) -> &str;
    /// One whole answer. With `request.schema` the text is a JSON document.
    async fn complete(&self, request: &ChatRequest) -> Result<ChatResponse, LlmError>;
    /// As `complete`, handing on the text as it arrives.
    async fn stream(&self, request: &ChatRequest, sink: Arc<dyn Sink>) -> Result<ChatResponse, LlmError>;
}

/// What went wrong, by what the caller can do about it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{kind}: {detail}")]
pub struct LlmError {
    /// The kind decides what happens next.
    pub kind: LlmErrorKind,
    /// For a person; never holds a key.
    pub detail: String,
    /// How long the provider asked to wait, where it did.
    pub retry_after: Option<Duration>,
    /// HTTP status, where there was one.
    pub status: Option<u16>,
    /// What came of the answer before it broke or was cut.
    pub partial: Option<String>,
}

/// The taxonomy. Retrying, shrinking and degrading are decided by kind alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
    /// 404: no such model or address.
    NotFound,
    /// Another 4xx.
    BadRequest,
}

impl std::fmt::Display for LlmErrorKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}
