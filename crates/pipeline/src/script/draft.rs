//! A text in sections, streamed from a model and kept section by section.
//!
//! What is kept is the text as the model wrote it. A later attempt sends it
//! back and asks for the rest, so a section is never paid for twice; everything
//! else (lines, citations, verdicts) is read from the text again.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::try_join;
use lovage_workflow::{Context, Failure, Parts};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};

use crate::llm::{ChatRequest, Llm, LlmError, LlmErrorKind, Message, Role, Sink};

use super::parse::{Reader, Was};
use super::types::{Line, OutlineSection};
use super::verify::Verifier;

/// Time between two batches of text: often enough to read along, seldom enough to be cheap.
const BATCH: Duration = Duration::from_millis(100);
/// How often a prompt that does not fit is asked for anew, shorter.
pub(crate) const SHRINKS_MAX: u32 = 2;
/// How often an answer that broke half way is continued.
const BREAKS_MAX: u32 = 2;
/// How often an answer that was cut at the length limit is continued.
const CUTS_MAX: u32 = 1;

/// What is written.
pub(crate) struct Task<'a> {
    /// The step that writes: whose events they are, and whose parts.
    pub(crate) step: &'static str,
    /// The sections, in order.
    pub(crate) outline: &'a [OutlineSection],
    /// Ids that may be cited.
    pub(crate) known: &'a [String],
    /// Judges each sentence as it ends.
    pub(crate) verifier: Arc<Verifier>,
}

/// What came of it.
pub(crate) struct Drafted {
    /// The text: all of it, or, when it `failed`, its finished sections.
    pub(crate) text: String,
    /// Model that answered, as the provider names it; unknown when nothing was
    /// left to ask.
    pub(crate) model: Option<String>,
    /// Whether it ends where the model reached its length limit.
    pub(crate) truncated: bool,
    /// Why it stopped before its end.
    pub(crate) failed: Option<LlmError>,
}

/// Writes what earlier attempts with the same `input` have not finished.
///
/// `ask` gives the request, with less evidence each time it is told of one more
/// refusal for being too long.
///
/// # Errors
/// What keeps sections from being kept; what the model fails with is part of
/// the answer.
pub(crate) async fn draft(
    context: &Context,
    llm: &dyn Llm,
    input: &impl Serialize,
    task: Task<'_>,
    ask: impl Fn(u32) -> ChatRequest,
) -> Result<Drafted, Failure> {
    let (kept, parts) = context.parts::<Part>(task.step, input).await?;
    let desk = Arc::new(Desk::new(&task, &kept));
    if context.job().attempt > 1 || !kept.is_empty() {
        desk.state().tell_reset();
    }
    let writing = async {
        let drafted = desk.write(llm, ask).await;
        desk.close();
        Ok(drafted)
    };
    // Side by side: the stream does not wait for the store.
    let (drafted, ()) = try_join!(writing, desk.keep(context, task.step, &parts))?;
    Ok(drafted)
}

/// Finished sections, as they are kept.
#[derive(Serialize, Deserialize)]
struct Part {
    /// Bytes of the text before that it goes on from; what stood behind them is void.
    at: usize,
    text: String,
}

/// Where the writer's stream and the store meet.
struct Desk {
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    outline: Vec<OutlineSection>,
    known: Vec<String>,
    verifier: Arc<Verifier>,
    reader: Reader,
    /// Whole sections.
    finished: String,
    /// Whole lines of the section being written.
    open: String,
    /// The line being written.
    line: String,
    /// Bytes of `finished`, and `open`, when the call began.
    base: (usize, String),
    /// Bytes of `finished` that stand in the store, and how long the text is there.
    kept: usize,
    stored: usize,
    pending: Vec<(&'static str, Value)>,
    closed: bool,
}

impl Desk {
    fn new(task: &Task<'_>, kept: &[Part]) -> Self {
        let mut finished = String::new();
        for part in kept {
            finished.truncate(part.at);
            finished.push_str(&part.text);
        }
        let mut state = State {
            outline: task.outline.to_vec(),
            known: task.known.to_vec(),
            verifier: task.verifier.clone(),
            reader: Reader::new(task.outline, task.known),
            kept: finished.len(),
            stored: finished.len(),
            finished,
            open: String::new(),
            line: String::new(),
            base: (0, String::new()),
            pending: Vec::new(),
            closed: false,
        };
        state.read_again();
        Self {
            state: Mutex::new(state),
            changed: Notify::new(),
        }
    }

    async fn write(self: &Arc<Self>, llm: &dyn Llm, ask: impl Fn(u32) -> ChatRequest) -> Drafted {
        let (mut shrinks, mut breaks, mut cuts) = (0, 0, 0);
        loop {
            let Some(request) = self.state().begin(ask(shrinks)) else {
                return self.end(None, false, None);
            };
            let error = match llm.stream(&request, self.clone()).await {
                Ok(answer) => return self.end(answer.model, false, None),
                Err(error) => error,
            };
            let broke = error.kind.is_passing() && error.partial.is_some();
            match error.kind {
                LlmErrorKind::ContextLength if shrinks < SHRINKS_MAX => shrinks += 1,
                LlmErrorKind::Truncated if cuts < CUTS_MAX => {
                    cuts += 1;
                    self.state().drop_line();
                }
                LlmErrorKind::Truncated => {
                    self.state().drop_line();
                    return self.end(None, true, None);
                }
                _ if broke && breaks < BREAKS_MAX => {
                    breaks += 1;
                    self.state().drop_section();
                }
                _ => {
                    self.state().drop_section();
                    return self.end(None, false, Some(error));
                }
            }
        }
    }

    fn end(&self, model: Option<String>, truncated: bool, failed: Option<LlmError>) -> Drafted {
        let mut state = self.state();
        state.end();
        Drafted {
            text: state.finished.clone(),
            model,
            truncated,
            failed,
        }
    }

    fn close(&self) {
        self.state().closed = true;
        self.changed.notify_one();
    }

    /// Sends on what is written, and keeps each section the moment it ends.
    async fn keep(
        &self,
        context: &Context,
        step: &str,
        parts: &Parts<Part>,
    ) -> Result<(), Failure> {
        let mut tick = interval(BATCH);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = self.changed.notified() => {}
            }
            let (part, events, closed) = self.state().take();
            match part {
                Some(part) => parts.keep(&part, step, &events).await?,
                None => context.emit_all(step, &events).await?,
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
        if self.state().take_text(text) {
            self.changed.notify_one();
        }
    }

    fn reset(&self) {
        self.state().drop_call();
    }

    fn keeps_partial(&self) -> bool {
        true
    }

    fn waiting(&self, time: Duration, why: &'static str) {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let data = json!({ "ms": ms, "why": why });
        self.state().pending.push(("rate_wait", data));
    }
}

impl State {
    /// The request for what is missing; nothing when nothing is.
    fn begin(&mut self, mut asked: ChatRequest) -> Option<ChatRequest> {
        self.base = (self.finished.len(), self.open.clone());
        let begun = format!("{}{}{}", self.finished, self.open, self.line);
        if begun.trim().is_empty() {
            return Some(asked);
        }
        let missing = self.reader.missing().next();
        let go_on = if self.open.is_empty() && self.line.is_empty() {
            let heading = &missing?.heading;
            format!("Continue from the section \"{heading}\" on. Repeat nothing that is written.")
        } else {
            "Continue exactly where you stopped. Repeat nothing.".to_owned()
        };
        let begun = Message::new(Role::Assistant, begun.trim_end());
        asked.messages.push(begun);
        asked.messages.push(Message::new(Role::User, go_on));
        Some(asked)
    }

    /// Takes a piece of the text; says whether a section ended in it.
    fn take_text(&mut self, text: &str) -> bool {
        if let Some(("delta", Value::Object(last))) = self.pending.last_mut()
            && let Some(Value::String(before)) = last.get_mut("text")
        {
            before.push_str(text);
        } else {
            self.pending.push(("delta", json!({ "text": text })));
        }
        let before = self.finished.len();
        for piece in text.split_inclusive('\n') {
            self.line.push_str(piece);
            if piece.ends_with('\n') {
                self.end_line();
            }
        }
        self.finished.len() > before
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let begun = self.reader.has_begun();
        match self.reader.read(&line) {
            Was::Heading if begun => self.finished.push_str(&std::mem::take(&mut self.open)),
            Was::Sentences(section, lines) => {
                let judged = lines.iter().cloned().map(|mut line| {
                    self.verifier.judge(&mut line);
                    ("sentence", announced(section, &line))
                });
                self.pending.extend(judged);
            }
            Was::Heading | Was::Nothing => {}
        }
        self.open.push_str(&line);
    }

    /// The text is over: its last section is finished.
    fn end(&mut self) {
        if !self.line.is_empty() {
            self.end_line();
        }
        if !self.open.is_empty() && !self.open.ends_with('\n') {
            self.open.push('\n');
        }
        self.finished.push_str(&std::mem::take(&mut self.open));
    }

    /// Drops the line that was cut, unless it is all there is.
    fn drop_line(&mut self) {
        if !self.open.is_empty() && !self.line.is_empty() {
            let open = self.open.clone();
            self.rewind(&open);
        }
    }

    /// Drops the section that was being written.
    fn drop_section(&mut self) {
        if !self.open.is_empty() || !self.line.is_empty() {
            self.rewind("");
        }
    }

    /// Drops what the call under way has written.
    fn drop_call(&mut self) {
        let (finished, open) = self.base.clone();
        self.finished.truncate(finished);
        self.kept = self.kept.min(finished);
        self.rewind(&open);
    }

    /// Goes back to the finished sections and `open`.
    fn rewind(&mut self, open: &str) {
        self.open.clear();
        self.line.clear();
        self.read_again();
        self.tell_reset();
        if !open.is_empty() {
            self.take_text(open);
        }
    }

    fn read_again(&mut self) {
        self.reader = Reader::new(&self.outline, &self.known);
        for line in self.finished.lines() {
            self.reader.read(line);
        }
    }

    /// Tells watchers to drop all but the finished sections.
    fn tell_reset(&mut self) {
        let missing: Vec<_> = self.reader.missing().map(|s| s.id.as_str()).collect();
        let kept = self.outline.iter().map(|section| section.id.as_str());
        let kept: Vec<_> = kept.filter(|id| !missing.contains(id)).collect();
        let chars = self.finished.chars().count();
        let data = json!({ "kept": kept, "chars": chars });
        self.pending.push(("writer_reset", data));
    }

    /// What is to be stored and told, and whether nothing more comes.
    #[allow(clippy::type_complexity, reason = "read at once by its only caller")]
    fn take(&mut self) -> (Option<Part>, Vec<(&'static str, Value)>, bool) {
        let new = self.kept != self.finished.len() || self.stored != self.kept;
        let part = new.then(|| Part {
            at: self.kept,
            text: self.finished[self.kept..].to_owned(),
        });
        self.kept = self.finished.len();
        self.stored = self.kept;
        (part, std::mem::take(&mut self.pending), self.closed)
    }
}

/// A sentence as watchers see it.
pub(crate) fn announced(section: &OutlineSection, line: &Line) -> Value {
    let cites: Vec<_> = line.cites.iter().map(|cite| &cite.source).collect();
    json!({ "section": section.id, "text": line.text, "cites": cites, "verdict": line.check })
}
