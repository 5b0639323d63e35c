//! Counting what calls spend.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{ChatRequest, ChatResponse, Llm, LlmError, Sink, TokenUsage};

/// Calls made and tokens used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// HTTP calls, retries and refused ones included.
    pub calls: u32,
    /// Their tokens.
    pub usage: TokenUsage,
    /// Answers that came from a cache, without a call.
    pub cache_hits: u32,
    /// What they waited for before they were made.
    pub queued: Queued,
}

/// How calls came past the limits that all workers share.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queued {
    /// Time they were held back by the limits; no part of the time of the calls.
    pub waited: Duration,
    /// How many were admitted by this worker alone, under its part of the
    /// limits, because the store did not answer.
    pub alone: u32,
}

impl Queued {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Queued) -> Queued {
        Queued {
            waited: self.waited.saturating_add(other.waited),
            alone: self.alone.saturating_add(other.alone),
        }
    }
}

impl Spent {
    /// Adds calls and their tokens.
    pub fn add(&mut self, calls: u32, usage: TokenUsage) {
        self.calls = self.calls.saturating_add(calls);
        self.usage = self.usage.plus(usage);
    }
}

/// An [`Llm`] that remembers what has been spent through it, on answers and
/// on failures. Make one per job. A call dropped half way is not counted.
pub struct Metered {
    inner: Arc<dyn Llm>,
    spent: Mutex<Spent>,
}

impl Metered {
    /// Counts the calls made through this value; `inner` may be shared.
    pub fn new(inner: Arc<dyn Llm>) -> Metered {
        Metered {
            inner,
            spent: Mutex::default(),
        }
    }

    /// What has been spent so far.
    pub fn spent(&self) -> Spent {
        *self.total()
    }

    fn count(&self, outcome: &Result<ChatResponse, LlmError>) {
        let (calls, usage, queued) = match outcome {
            Ok(response) => (response.calls, response.usage, response.queued),
            Err(error) => (error.spent.calls, error.spent.usage, error.spent.queued),
        };
        let cached = matches!(outcome, Ok(response) if response.calls == 0);
        let mut total = self.total();
        total.add(calls, usage);
        total.queued = total.queued.plus(queued);
        total.cache_hits += u32::from(cached);
    }

    fn total(&self) -> MutexGuard<'_, Spent> {
        // Counters are whole at every moment, so a panic elsewhere spoils nothing.
        self.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Llm for Metered {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn model(&self) -> &str {
        self.inner.model()
    }

    async fn complete(&self, request: &ChatRequest) -> Result<ChatResponse, LlmError> {
        let outcome = self.inner.complete(request).await;
        self.count(&outcome);
        outcome
    }

    async fn stream(
        &self,
        request: &ChatRequest,
        sink: Arc<dyn Sink>,
    ) -> Result<ChatResponse, LlmError> {
        let outcome = self.inner.stream(request, sink).await;
        self.count(&outcome);
        outcome
    }

    async fn reject(&self, request: &ChatRequest) {
        self.inner.reject(request).await;
    }
}
