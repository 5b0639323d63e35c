//! Identical calls are made once.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lovage_workflow::cache::{Cache, CacheKey, Shelf};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::asked::asked;
use super::{ChatRequest, ChatResponse, Llm, LlmError, Queued, Sink, TokenUsage};
use crate::sharing::{self, Got, Worth};

/// An [`Llm`] whose whole answers are kept and shared, while they are being
/// written too.
///
/// Calls are the same when model, parameters, messages, pictures, schema and
/// scope are. An answer from the cache costs nothing: it counts no call and no
/// token. Streamed, it comes in one piece, once it is whole. Failures and
/// broken answers are neither kept nor shared.
pub struct Cached {
    inner: Arc<dyn Llm>,
    cache: Arc<dyn Cache>,
    scope: String,
    keep: Duration,
}

/// What is kept of an answer.
#[derive(Serialize, Deserialize)]
struct Kept {
    text: String,
    model: Option<String>,
}

impl Cached {
    /// Shares what `inner` answers with everyone of the same `scope`: whose
    /// calls they are, where the model is, which version the prompts have.
    pub fn new(
        inner: Arc<dyn Llm>,
        cache: Arc<dyn Cache>,
        scope: &[&str],
        keep: Duration,
    ) -> Cached {
        Cached {
            inner,
            cache,
            // Unlike a joined text, a document keeps ["a", "b"] and ["ab"] apart.
            scope: serde_json::to_string(scope).expect("texts have a JSON form"),
            keep,
        }
    }

    fn key(&self, request: &ChatRequest) -> CacheKey {
        let asked = asked(self.inner.as_ref(), request).to_string();
        let digest = Sha256::new()
            .chain_update(&self.scope)
            .chain_update("\n")
            .chain_update(asked);
        CacheKey {
            shelf: Shelf::Llm,
            digest: digest.finalize().into(),
        }
    }

    async fn share(
        &self,
        request: &ChatRequest,
        ask: impl Future<Output = Result<ChatResponse, LlmError>>,
    ) -> Result<Got<ChatResponse>, LlmError> {
        let worth = |answer: &ChatResponse| self.worth(answer);
        sharing::get(&self.cache, self.key(request), read, worth, ask).await
    }

    fn worth(&self, answer: &ChatResponse) -> Worth {
        let kept = Kept {
            text: answer.text.clone(),
            model: answer.model.clone(),
        };
        Some((serde_json::to_vec(&kept).ok()?, self.keep))
    }
}

fn read(bytes: &[u8]) -> Option<ChatResponse> {
    let kept: Kept = serde_json::from_slice(bytes).ok()?;
    Some(ChatResponse {
        text: kept.text,
        usage: TokenUsage::default(),
        model: kept.model,
        calls: 0,
        queued: Queued::default(),
    })
}

#[async_trait]
impl Llm for Cached {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn model(&self) -> &str {
        self.inner.model()
    }

    async fn complete(&self, request: &ChatRequest) -> Result<ChatResponse, LlmError> {
        let ask = self.inner.complete(request);
        Ok(self.share(request, ask).await?.value)
    }

    async fn stream(
        &self,
        request: &ChatRequest,
        sink: Arc<dyn Sink>,
    ) -> Result<ChatResponse, LlmError> {
        let ask = self.inner.stream(request, sink.clone());
        let Got { value, cached } = self.share(request, ask).await?;
        if cached {
            sink.delta(&value.text);
        }
        Ok(value)
    }

    async fn reject(&self, request: &ChatRequest) {
        let key = self.key(request);
        if let Err(error) = self.cache.forget(&key).await {
            tracing::warn!(%key, %error, "a useless answer stays in the cache for its time");
        }
        self.inner.reject(request).await;
    }
}
