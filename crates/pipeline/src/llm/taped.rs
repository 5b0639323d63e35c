//! Calls on a tape.

use std::sync::Arc;

use async_trait::async_trait;

use super::asked::asked;
use super::{ChatRequest, ChatResponse, Llm, LlmError, Sink};
use crate::tape::{Place, Tape};

/// An [`Llm`] whose calls are recorded, failed ones too, or whose answers are
/// played: then the model behind it is asked for its name alone.
///
/// Played, a streamed answer comes in one piece. Pictures are recorded by
/// their digests; keys are no part of a call.
pub struct Taped {
    inner: Arc<dyn Llm>,
    tape: Arc<Tape>,
}

type Answer = Result<ChatResponse, LlmError>;

impl Taped {
    /// Records calls of `inner`, or plays them.
    pub fn new(inner: Arc<dyn Llm>, tape: Arc<Tape>) -> Taped {
        Taped { inner, tape }
    }

    async fn recorded(&self, request: &ChatRequest, ask: impl Future<Output = Answer>) -> Answer {
        let place = self.place(request);
        // So that a call nobody waited for is known to have been made.
        self.tape.write(&place, &()).await;
        let answer = ask.await;
        self.tape.write(&place, &answer).await;
        answer
    }

    async fn played(&self, request: &ChatRequest) -> Answer {
        self.tape.read(&self.place(request), false).await
    }

    fn place(&self, request: &ChatRequest) -> Place {
        let last = request.messages.last();
        let told = last.map_or("", |message| message.text.as_str());
        let asked = asked(self.inner.as_ref(), request);
        self.tape.place("llm", asked, told)
    }
}

#[async_trait]
impl Llm for Taped {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn model(&self) -> &str {
        self.inner.model()
    }

    async fn complete(&self, request: &ChatRequest) -> Answer {
        if self.tape.is_playing() {
            return self.played(request).await;
        }
        self.recorded(request, self.inner.complete(request)).await
    }

    async fn stream(&self, request: &ChatRequest, sink: Arc<dyn Sink>) -> Answer {
        if !self.tape.is_playing() {
            let ask = self.inner.stream(request, sink);
            return self.recorded(request, ask).await;
        }
        let answer = self.played(request).await;
        let text = match &answer {
            Ok(response) => Some(&response.text),
            Err(error) => error.partial.as_ref(),
        };
        if let Some(text) = text {
            sink.delta(text);
        }
        answer
    }

    async fn reject(&self, request: &ChatRequest) {
        self.inner.reject(request).await;
    }
}
