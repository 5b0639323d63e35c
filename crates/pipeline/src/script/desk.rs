//! Where a model's stream and the store meet: what ends is kept at once, what
//! is written is told in batches, and the stream waits for neither.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use futures_util::try_join;
use lovage_workflow::{Context, Failure, Parts};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};

use crate::llm::{LlmError, Sink};

use super::relay::BATCH;
use super::types::Warning;

/// What came of a text.
pub(crate) struct Drafted {
    /// The text: all of it, or, when it `failed`, what of it was finished.
    pub(crate) text: String,
    /// Model that answered, as the provider names it; unknown when nothing was
    /// left to ask.
    pub(crate) model: Option<String>,
    /// Whether it ends where the model reached its length limit.
    pub(crate) truncated: bool,
    /// Why it stopped before its end.
    pub(crate) failed: Option<LlmError>,
}

impl Drafted {
    /// What to say of the text of a step that ends too early.
    pub(crate) fn cut_short(&self, step: &str) -> Option<Warning> {
        self.truncated.then(|| Warning {
            code: "truncated".to_owned(),
            detail: format!("{step}: the model reached its length limit twice"),
        })
    }
}

/// A text that grows.
pub(crate) trait Growing {
    /// What ended, as it is kept.
    type Part: Serialize;

    /// Takes the next piece; says whether something may have ended in it.
    fn take(&mut self, piece: &str) -> bool;

    /// Drops what the call under way has written.
    fn drop_call(&mut self);

    /// What is to be stored; nothing when the store has all that ended.
    fn part(&mut self) -> Option<Self::Part>;

    /// What is to be told.
    fn pending(&mut self) -> &mut Pending;
}

/// Events that wait for the next batch.
#[derive(Default)]
pub(crate) struct Pending(Vec<(&'static str, Value)>);

impl Pending {
    pub(crate) fn push(&mut self, kind: &'static str, data: Value) {
        self.0.push((kind, data));
    }

    pub(crate) fn extend(&mut self, events: impl IntoIterator<Item = (&'static str, Value)>) {
        self.0.extend(events);
    }

    /// A piece of text: more of the last one, or the one that `first` gives.
    pub(crate) fn delta(&mut self, piece: &str, first: impl FnOnce() -> Value) {
        if let Some(("delta", Value::Object(last))) = self.0.last_mut()
            && let Some(Value::String(before)) = last.get_mut("text")
        {
            before.push_str(piece);
        } else {
            self.push("delta", first());
        }
    }
}

/// A text that a stream writes on while it is kept.
pub(crate) struct Desk<T> {
    text: Mutex<T>,
    changed: Notify,
    closed: AtomicBool,
}

impl<T: Growing> Desk<T> {
    pub(crate) fn new(text: T) -> Self {
        Self {
            text: Mutex::new(text),
            changed: Notify::new(),
            closed: AtomicBool::new(false),
        }
    }

    pub(crate) fn text(&self) -> MutexGuard<'_, T> {
        self.text.lock().expect("no panic while locked")
    }

    /// Something ended: it is kept without waiting for the next batch.
    pub(crate) fn changed(&self) {
        self.changed.notify_one();
    }

    /// Runs `write` to its end while what it writes is kept and told.
    ///
    /// # Errors
    /// What keeps it from being kept.
    pub(crate) async fn during<W>(
        &self,
        context: &Context,
        step: &str,
        parts: &Parts<T::Part>,
        write: impl Future<Output = W>,
    ) -> Result<W, Failure> {
        let writing = async {
            let written = write.await;
            self.closed.store(true, Ordering::Release);
            self.changed();
            Ok(written)
        };
        // Side by side: the stream does not wait for the store.
        let (written, ()) = try_join!(writing, self.keep(context, step, parts))?;
        Ok(written)
    }

    async fn keep(
        &self,
        context: &Context,
        step: &str,
        parts: &Parts<T::Part>,
    ) -> Result<(), Failure> {
        let mut tick = interval(BATCH);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = self.changed.notified() => {}
            }
            // Asked first: what is written before the end is in the last round.
            let closed = self.closed.load(Ordering::Acquire);
            let (part, events) = {
                let mut text = self.text();
                let part = text.part();
                (part, std::mem::take(&mut text.pending().0))
            };
            match part {
                Some(part) => parts.keep(&part, step, &events).await?,
                None => context.emit_all(step, &events).await?,
            }
            if closed {
                return Ok(());
            }
        }
    }
}

impl<T: Growing + Send> Sink for Desk<T> {
    fn delta(&self, text: &str) {
        if self.text().take(text) {
            self.changed();
        }
    }

    fn reset(&self) {
        self.text().drop_call();
    }

    fn keeps_partial(&self) -> bool {
        true
    }

    fn waiting(&self, time: Duration, why: &'static str) {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let data = json!({ "ms": ms, "why": why });
        self.text().pending().push("rate_wait", data);
    }
}
