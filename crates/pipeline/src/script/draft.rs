//! A text in sections, streamed from a model and kept section by section.
//!
//! What is kept is the text as the model wrote it. A later attempt sends it
//! back and asks for the rest, so a section is never paid for twice; everything
//! else (lines, citations, verdicts) is read from the text again.

use std::sync::Arc;

use lovage_workflow::{Context, Failure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::llm::{ChatRequest, Llm, LlmError, LlmErrorKind, Message, Role};

use super::desk::{Desk, Drafted, Growing, Pending};
use super::parse::{Reader, Was};
use super::types::{Line, OutlineSection};
use super::verify::Verifier;

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
    let desk = Arc::new(Desk::new(Sections::new(&task, &kept)));
    if context.job().attempt > 1 || !kept.is_empty() {
        desk.text().tell_reset();
    }
    desk.during(context, task.step, &parts, desk.write(llm, ask))
        .await
}

/// Finished sections, as they are kept.
#[derive(Serialize, Deserialize)]
struct Part {
    /// Bytes of the text before that it goes on from; what stood behind them is void.
    at: usize,
    text: String,
}

/// The text under way.
struct Sections {
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
    pending: Pending,
}

impl Sections {
    fn new(task: &Task<'_>, kept: &[Part]) -> Self {
        let mut finished = String::new();
        for part in kept {
            finished.truncate(part.at);
            finished.push_str(&part.text);
        }
        let mut sections = Self {
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
            pending: Pending::default(),
        };
        sections.read_again();
        sections
    }

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

    /// Goes back to the finished sections and `open`.
    fn rewind(&mut self, open: &str) {
        self.open.clear();
        self.line.clear();
        self.read_again();
        self.tell_reset();
        if !open.is_empty() {
            self.take(open);
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
        self.pending.push("writer_reset", data);
    }
}

impl Desk<Sections> {
    async fn write(self: &Arc<Self>, llm: &dyn Llm, ask: impl Fn(u32) -> ChatRequest) -> Drafted {
        let (mut shrinks, mut breaks, mut cuts) = (0, 0, 0);
        loop {
            let Some(request) = self.text().begin(ask(shrinks)) else {
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
                    self.text().drop_line();
                }
                LlmErrorKind::Truncated => {
                    self.text().drop_line();
                    return self.end(None, true, None);
                }
                _ if broke && breaks < BREAKS_MAX => {
                    breaks += 1;
                    self.text().drop_section();
                }
                _ => {
                    self.text().drop_section();
                    return self.end(None, false, Some(error));
                }
            }
        }
    }

    fn end(&self, model: Option<String>, truncated: bool, failed: Option<LlmError>) -> Drafted {
        let mut text = self.text();
        text.end();
        Drafted {
            text: text.finished.clone(),
            model,
            truncated,
            failed,
        }
    }
}

impl Growing for Sections {
    type Part = Part;

    fn take(&mut self, piece: &str) -> bool {
        self.pending.delta(piece, || json!({ "text": piece }));
        let before = self.finished.len();
        for piece in piece.split_inclusive('\n') {
            self.line.push_str(piece);
            if piece.ends_with('\n') {
                self.end_line();
            }
        }
        self.finished.len() > before
    }

    fn drop_call(&mut self) {
        let (finished, open) = self.base.clone();
        self.finished.truncate(finished);
        self.kept = self.kept.min(finished);
        self.rewind(&open);
    }

    fn part(&mut self) -> Option<Part> {
        let new = self.kept != self.finished.len() || self.stored != self.kept;
        let part = new.then(|| Part {
            at: self.kept,
            text: self.finished[self.kept..].to_owned(),
        });
        self.kept = self.finished.len();
        self.stored = self.kept;
        part
    }

    fn pending(&mut self) -> &mut Pending {
        &mut self.pending
    }
}

/// A sentence as watchers see it.
pub(crate) fn announced(section: &OutlineSection, line: &Line) -> Value {
    let cites: Vec<_> = line.cites.iter().map(|cite| &cite.source).collect();
    json!({ "section": section.id, "text": line.text, "cites": cites, "verdict": line.check })
}
