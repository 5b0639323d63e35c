//! What an answer, or a chunk of one, says.
//!
//! Nothing is required and unknown values are passed over: of the providers
//! that offer this protocol, most leave out or retype some field of it.

use serde_json::Value;

use super::{LlmError, LlmErrorKind, TokenUsage};

/// A whole answer or one chunk of a stream.
#[derive(Debug, Default)]
pub(crate) struct Piece {
    /// Text, under `delta`.
    pub(crate) delta: String,
    /// Text, under `message` (or `text`, as in plain completions).
    pub(crate) message: String,
    /// Why the model declined.
    pub(crate) refusal: String,
    /// Why it ended, in lower case; empty means it has not.
    pub(crate) finish: String,
    pub(crate) usage: TokenUsage,
    pub(crate) model: Option<String>,
}

impl Piece {
    pub(crate) fn read(document: &Value) -> Piece {
        let choice = &document["choices"][0];
        let mut message = content(&choice["message"]["content"]);
        if message.is_empty() {
            message = content(&choice["text"]);
        }
        let refusal = [&choice["delta"], &choice["message"]];
        let refusal = refusal.iter().find_map(|part| part["refusal"].as_str());
        let finish = choice["finish_reason"].as_str().unwrap_or_default();
        Piece {
            delta: content(&choice["delta"]["content"]),
            message,
            refusal: refusal.unwrap_or_default().to_owned(),
            finish: finish.to_lowercase(),
            usage: usage(&document["usage"]),
            model: document["model"].as_str().map(str::to_owned),
        }
    }
}

/// A string, or a list of parts of which the texts count.
fn content(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect(),
        _ => String::new(),
    }
}

fn usage(usage: &Value) -> TokenUsage {
    let count = |value: &Value| {
        let number = value.as_f64().filter(|number| *number >= 0.0)?;
        Some(value.as_u64().unwrap_or(number as u64))
    };
    TokenUsage {
        prompt: count(&usage["prompt_tokens"]).or_else(|| count(&usage["input_tokens"])),
        completion: count(&usage["completion_tokens"]).or_else(|| count(&usage["output_tokens"])),
        cached: count(&usage["prompt_tokens_details"]["cached_tokens"]),
    }
}

/// An answer read to its end.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    /// Text without `<think>` blocks.
    pub(crate) text: String,
    pub(crate) refusal: String,
    pub(crate) finish: String,
    pub(crate) usage: TokenUsage,
    pub(crate) model: Option<String>,
}

impl Reply {
    /// The reply, if it is whole, or what is wrong with it.
    pub(crate) fn judge(self) -> Result<Reply, LlmError> {
        let (kind, detail) = match self.finish.as_str() {
            finish if is_filtered(finish) => (LlmErrorKind::ContentFilter, finish),
            _ if !self.refusal.is_empty() => (LlmErrorKind::Refusal, self.refusal.as_str()),
            "length" | "max_tokens" | "model_length" => {
                (LlmErrorKind::Truncated, "cut off at the length limit")
            }
            "abort" | "error" | "cancelled" => {
                (LlmErrorKind::StreamBroken, "the provider stopped half way")
            }
            _ if self.text.is_empty() => (LlmErrorKind::BadOutput, "the answer is empty"),
            _ => return Ok(self),
        };
        let error = LlmError::new(kind, detail);
        Err(self.cut(error))
    }

    /// An error that keeps what had come of the answer.
    pub(crate) fn cut(self, mut error: LlmError) -> LlmError {
        error.partial = Some(self.text).filter(|text| !text.is_empty());
        error.spent.usage = self.usage;
        error
    }
}

/// OpenAI and Azure say `content_filter`, Gemini its own names.
fn is_filtered(finish: &str) -> bool {
    [
        "content_filter",
        "safety",
        "recitation",
        "blocklist",
        "prohibited_content",
    ]
    .iter()
    .any(|name| finish.starts_with(name))
}
