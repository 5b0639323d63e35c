//! Putting a streamed answer together, and handing it on as it grows.

use std::sync::Arc;
use std::time::Duration;

use super::piece::{Piece, Reply};
use super::think::ThinkFilter;
use super::{LlmError, LlmErrorKind, Sink};

/// Bytes of text and refusal an answer may have.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// A sink, if there is one, and whether it holds text.
pub(crate) struct Relay {
    sink: Option<Arc<dyn Sink>>,
    holds_text: bool,
}

impl Relay {
    pub(crate) fn new(sink: Option<Arc<dyn Sink>>) -> Relay {
        Relay {
            sink,
            holds_text: false,
        }
    }

    /// Whether somebody is listening.
    pub(crate) fn is_live(&self) -> bool {
        self.sink.is_some()
    }

    /// Whether a broken answer goes back to whoever listens.
    pub(crate) fn keeps_partial(&self) -> bool {
        self.sink.as_ref().is_some_and(|sink| sink.keeps_partial())
    }

    /// Takes back what was handed on.
    pub(crate) fn reset(&mut self) {
        if let Some(sink) = &self.sink
            && std::mem::take(&mut self.holds_text)
        {
            sink.reset();
        }
    }

    /// Says that the call is held back.
    pub(crate) fn waiting(&self, time: Duration, why: &'static str) {
        if let Some(sink) = &self.sink {
            sink.waiting(time, why);
        }
    }

    fn delta(&mut self, text: &str) {
        if let Some(sink) = &self.sink
            && !text.is_empty()
        {
            self.holds_text = true;
            sink.delta(text);
        }
    }
}

/// An answer under construction.
#[derive(Default)]
pub(crate) struct Assembly {
    reply: Reply,
    think: ThinkFilter,
    saw_delta: bool,
    saw_done: bool,
}

impl Assembly {
    /// Adds a piece.
    pub(crate) fn add(&mut self, piece: Piece, relay: &mut Relay) -> Result<(), LlmError> {
        self.saw_delta |= !piece.delta.is_empty();
        // Some providers send `message` instead of `delta`; others close with
        // the whole `message` after the deltas, which would double the text.
        let text = if self.saw_delta {
            &piece.delta
        } else {
            &piece.message
        };
        let size = self.reply.text.len() + self.reply.refusal.len();
        if size + text.len() + piece.refusal.len() > ANSWER_BYTES_MAX {
            let detail = format!("the answer is longer than {ANSWER_BYTES_MAX} bytes");
            return Err(LlmError::new(LlmErrorKind::Truncated, detail));
        }
        let visible = self.think.push(text);
        if visible.reset {
            self.reply.text.clear();
            relay.reset();
        }
        self.show(&visible.text, relay);
        self.reply.refusal.push_str(&piece.refusal);
        if !piece.finish.is_empty() {
            self.reply.finish = piece.finish;
        }
        // Some providers repeat a growing usage in every chunk: the last one counts.
        if piece.usage != Default::default() {
            self.reply.usage = piece.usage;
        }
        self.reply.model = piece.model.or(self.reply.model.take());
        Ok(())
    }

    /// The provider has said that nothing more comes.
    pub(crate) fn done(&mut self) {
        self.saw_done = true;
    }

    /// Whether the answer is whole: a reason to finish or `[DONE]` was seen.
    pub(crate) fn is_finished(&self) -> bool {
        self.saw_done || !self.reply.finish.is_empty()
    }

    /// Whether anything more is worth waiting for.
    pub(crate) fn is_done(&self) -> bool {
        self.saw_done
    }

    /// The answer, after reading has ended with `outcome`.
    pub(crate) fn conclude(
        mut self,
        outcome: Result<(), LlmError>,
        relay: &mut Relay,
    ) -> Result<Reply, LlmError> {
        let rest = self.think.finish();
        self.show(&rest, relay);
        match outcome {
            Ok(()) if self.is_finished() => self.reply.judge(),
            Ok(()) => Err(self.reply.cut(LlmError::new(
                LlmErrorKind::StreamBroken,
                "the stream ended in the middle of the answer",
            ))),
            Err(error) => Err(self.reply.cut(error)),
        }
    }

    fn show(&mut self, text: &str, relay: &mut Relay) {
        self.reply.text.push_str(text);
        relay.delta(text);
    }
}
