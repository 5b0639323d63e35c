//! One passage, streamed from the model and kept paragraph by paragraph.
//!
//! An answer that breaks half way is gone on with from its last whole
//! paragraph, in this attempt or in a later one.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::try_join;
use lovage_workflow::{Context, Failure, Parts};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};

use crate::llm::{ChatRequest, Llm, LlmError, LlmErrorKind, Message, Role, Sink};

/// Time between two batches of text: often enough to read along, seldom enough to be cheap.
const BATCH: Duration = Duration::from_millis(100);
/// How often an answer that broke or was cut is gone on with.
const BREAKS_MAX: u32 = 2;
const CUTS_MAX: u32 = 1;

/// What came of a passage.
pub(super) struct Rewritten {
    pub(super) text: String,
    /// Model that answered, as the provider names it; unknown where an earlier
    /// attempt has all of it.
    pub(super) model: Option<String>,
    /// Whether it ends where the model reached its length limit.
    pub(super) truncated: bool,
    /// Why it stopped before its end.
    pub(super) failed: Option<LlmError>,
}

/// Writes what earlier attempts with the same `input` have not. Events name the
/// `passage` they are of; a `writer_reset` says how many characters of it stand.
///
/// # Errors
/// What keeps paragraphs from being kept; what the model fails with is part of
/// the answer.
pub(super) async fn run(
    context: &Context,
    llm: &dyn Llm,
    input: &impl Serialize,
    asked: ChatRequest,
    passage: usize,
) -> Result<Rewritten, Failure> {
    let (kept, parts) = context.parts::<Paragraphs>(super::STEP, input).await?;
    let desk = Arc::new(Desk::new(passage, &kept));
    if context.job().attempt > 1 || !kept.is_empty() {
        desk.state().tell_reset();
    }
    let writing = async {
        let rewritten = desk.write(llm, asked).await;
        desk.close();
        Ok(rewritten)
    };
    // Side by side: the stream does not wait for the store.
    let (rewritten, ()) = try_join!(writing, desk.keep(context, &parts))?;
    Ok(rewritten)
}

/// Whole paragraphs, as they are kept.
#[derive(Serialize, Deserialize)]
struct Paragraphs {
    /// Bytes of the text before that they go on from; what stood behind is void.
    at: usize,
    text: String,
    /// Whether the text ends with them.
    whole: bool,
    /// Model that answered, once the text is whole.
    model: Option<String>,
}

/// Where the model's stream and the store meet.
struct Desk {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    passage: usize,
    text: String,
    /// Bytes of the text when the call under way began.
    base: usize,
    /// Bytes of the text that are kept.
    kept: usize,
    /// Bytes that the store has, what is void included.
    stored: usize,
    whole: bool,
    /// Whether it is kept that the text is whole.
    whole_kept: bool,
    model: Option<String>,
    pending: Vec<(&'static str, Value)>,
    closed: bool,
}

impl Desk {
    fn new(passage: usize, kept: &[Paragraphs]) -> Self {
        let mut state = State {
            passage,
            ..State::default()
        };
        for part in kept {
            state.text.truncate(part.at);
            state.text.push_str(&part.text);
            state.whole = part.whole;
            state.model.clone_from(&part.model);
        }
        state.kept = state.text.len();
        state.stored = state.kept;
        state.whole_kept = state.whole;
        Self {
            state: Mutex::new(state),
            changed: Notify::new(),
        }
    }

    async fn write(self: &Arc<Self>, llm: &dyn Llm, asked: ChatRequest) -> Rewritten {
        let (mut breaks, mut cuts) = (0, 0);
        loop {
            let Some(request) = self.state().begin(asked.clone()) else {
                return self.end(false, None);
            };
            let error = match llm.stream(&request, self.clone()).await {
                Ok(answer) => {
                    let mut state = self.state();
                    state.whole = true;
                    state.model = answer.model;
                    drop(state);
                    return self.end(false, None);
                }
                Err(error) => error,
            };
            self.state().drop_line();
            let cut = error.kind == LlmErrorKind::Truncated;
            let broke = error.kind.is_passing() && error.partial.is_some();
            if cut && cuts < CUTS_MAX {
                cuts += 1;
            } else if broke && breaks < BREAKS_MAX {
                breaks += 1;
            } else {
                return self.end(cut, (!cut).then_some(error));
            }
        }
    }

    fn end(&self, truncated: bool, failed: Option<LlmError>) -> Rewritten {
        let state = self.state();
        Rewritten {
            text: state.text.clone(),
            model: state.model.clone(),
            truncated,
            failed,
        }
    }

    fn close(&self) {
        self.state().closed = true;
        self.changed.notify_one();
    }

    /// Sends on what is written, and keeps each paragraph the moment it ends.
    async fn keep(&self, context: &Context, parts: &Parts<Paragraphs>) -> Result<(), Failure> {
        let mut tick = interval(BATCH);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = self.changed.notified() => {}
            }
            let (part, events, closed) = {
                let mut state = self.state();
                (
                    state.part(),
                    std::mem::take(&mut state.pending),
                    state.closed,
                )
            };
            match part {
                Some(part) => parts.keep(&part, super::STEP, &events).await?,
                None => context.emit_all(super::STEP, &events).await?,
            }
            if closed {
                return Ok(());
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while locked")
    }
}

impl Sink for Desk {
    fn delta(&self, text: &str) {
        self.state().take(text);
        if text.contains('\n') {
            self.changed.notify_one();
        }
    }

    fn reset(&self) {
        let mut state = self.state();
        let base = state.base;
        state.cut(base);
    }

    fn keeps_partial(&self) -> bool {
        true
    }
}

impl State {
    /// The request for what is missing; nothing when nothing is.
    fn begin(&mut self, mut asked: ChatRequest) -> Option<ChatRequest> {
        self.base = self.text.len();
        if self.whole {
            return None;
        }
        let begun = self.text.trim_end();
        if !begun.is_empty() {
            let go_on = "Go on with the next paragraph. Repeat nothing that is written.";
            asked.messages.push(Message::new(Role::Assistant, begun));
            asked.messages.push(Message::new(Role::User, go_on));
        }
        Some(asked)
    }

    fn take(&mut self, text: &str) {
        self.text.push_str(text);
        if let Some(("delta", Value::Object(last))) = self.pending.last_mut()
            && let Some(Value::String(before)) = last.get_mut("text")
        {
            before.push_str(text);
        } else {
            let data = json!({ "passage": self.passage, "text": text });
            self.pending.push(("delta", data));
        }
    }

    /// Drops the paragraph that was being written.
    fn drop_line(&mut self) {
        let whole = self.text.rfind('\n').map_or(0, |at| at + 1);
        self.cut(whole);
    }

    /// Goes back to the first bytes of the text.
    fn cut(&mut self, bytes: usize) {
        if bytes < self.text.len() {
            self.text.truncate(bytes);
            self.kept = self.kept.min(bytes);
            self.tell_reset();
        }
    }

    /// Tells watchers to drop all but what is here.
    fn tell_reset(&mut self) {
        let chars = self.text.chars().count();
        let data = json!({ "passage": self.passage, "chars": chars });
        self.pending.push(("writer_reset", data));
    }

    /// What is to be kept: the paragraphs that ended, or the rest of a whole text.
    fn part(&mut self) -> Option<Paragraphs> {
        let ended = match self.whole {
            true => self.text.len(),
            false => self.text.rfind('\n').map_or(0, |at| at + 1),
        };
        let told = self.whole == self.whole_kept;
        if ended <= self.kept && self.stored == self.kept && told {
            return None;
        }
        let ended = ended.max(self.kept);
        let part = Paragraphs {
            at: self.kept,
            text: self.text[self.kept..ended].to_owned(),
            whole: self.whole,
            model: self.model.clone(),
        };
        self.kept = ended;
        self.stored = ended;
        self.whole_kept = self.whole;
        Some(part)
    }
}
