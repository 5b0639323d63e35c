//! One passage, streamed from the model and kept paragraph by paragraph.
//!
//! An answer that breaks half way is gone on with from its last whole
//! paragraph, in this attempt or in a later one.

use std::sync::Arc;

use lovage_workflow::{Context, Failure};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::llm::{ChatRequest, Llm, LlmError, LlmErrorKind, Message, Role};
use crate::script::desk::{Desk, Drafted, Growing, Pending};

/// How often an answer that broke or was cut is gone on with.
const BREAKS_MAX: u32 = 2;
const CUTS_MAX: u32 = 1;

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
) -> Result<Drafted, Failure> {
    let (kept, parts) = context.parts::<Paragraphs>(super::STEP, input).await?;
    let desk = Arc::new(Desk::new(Revised::new(passage, &kept)));
    if context.job().attempt > 1 || !kept.is_empty() {
        desk.text().tell_reset();
    }
    desk.during(context, super::STEP, &parts, desk.write(llm, asked))
        .await
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

/// The passage under way.
#[derive(Default)]
struct Revised {
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
    pending: Pending,
}

impl Revised {
    fn new(passage: usize, kept: &[Paragraphs]) -> Self {
        let mut revised = Self {
            passage,
            ..Self::default()
        };
        for part in kept {
            revised.text.truncate(part.at);
            revised.text.push_str(&part.text);
            revised.whole = part.whole;
            revised.model.clone_from(&part.model);
        }
        revised.kept = revised.text.len();
        revised.stored = revised.kept;
        revised.whole_kept = revised.whole;
        revised
    }

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
        self.pending.push("writer_reset", data);
    }
}

impl Desk<Revised> {
    async fn write(self: &Arc<Self>, llm: &dyn Llm, asked: ChatRequest) -> Drafted {
        let (mut breaks, mut cuts) = (0, 0);
        loop {
            let Some(request) = self.text().begin(asked.clone()) else {
                return self.end(false, None);
            };
            let error = match llm.stream(&request, self.clone()).await {
                Ok(answer) => {
                    let mut text = self.text();
                    text.whole = true;
                    text.model = answer.model;
                    drop(text);
                    return self.end(false, None);
                }
                Err(error) => error,
            };
            self.text().drop_line();
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

    fn end(&self, truncated: bool, failed: Option<LlmError>) -> Drafted {
        let text = self.text();
        Drafted {
            text: text.text.clone(),
            model: text.model.clone(),
            truncated,
            failed,
        }
    }
}

impl Growing for Revised {
    type Part = Paragraphs;

    fn take(&mut self, piece: &str) -> bool {
        self.text.push_str(piece);
        let first = || json!({ "passage": self.passage, "text": piece });
        self.pending.delta(piece, first);
        piece.contains('\n')
    }

    fn drop_call(&mut self) {
        self.cut(self.base);
    }

    /// The paragraphs that ended, or the rest of a whole text.
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

    fn pending(&mut self) -> &mut Pending {
        &mut self.pending
    }
}
