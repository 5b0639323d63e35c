//! The recipe of `script.revise`: passage after passage, then the comparison.

use std::sync::Arc;

use async_trait::async_trait;
use lovage_workflow::{Context, Failure, Handler, Payload, Progress};
use serde::{Deserialize, Serialize};

use crate::input;
use crate::llm::Llm;
use crate::prompts;
use crate::script::Deps;
use crate::script::desk::Drafted;
use crate::script::fallback;
use crate::script::ledger::Ledger;
use crate::script::timed::{Done, step};
use crate::script::types::{Generator, Language, OnLlmFailure, ResultStatus, Timing, Warning};

use super::STEP;
use super::diff::diff;
use super::passage::passages;
use super::prompt::{self, Passage};
use super::request;
use super::rewrite;
use super::types::{Asked, ReviseRequest, ReviseResult};

/// Version of the recipe; part of every step's input.
const VERSION: &str = "script.revise/1";
/// A revision that has less than this share of the words was perhaps not meant so.
const SHORT: f64 = 0.5;

/// Runs `script.revise`.
pub(super) struct ReviseHandler(Deps);

impl ReviseHandler {
    pub(super) fn new(deps: Deps) -> Self {
        Self(deps)
    }
}

#[async_trait]
impl Handler for ReviseHandler {
    async fn run(&self, context: Context) -> Result<Payload, Failure> {
        let request = input::read(&context, request::parse)?;
        let Some(llm) = self.0.model(request.cache, &context.job().tenant) else {
            return Err(Failure::give_up(
                "no_llm",
                "a story can only be revised by a language model, and this worker has none: set llm.api_key",
            ));
        };
        let ledger = Ledger::open(&context, request.budget, self.0.prices).await?;
        let revision = Revision {
            language: request.language.resolve(&request.story),
            llm: ledger.model(STEP, llm),
            ledger,
            context,
            request,
        };
        let result = revision.run().await?;
        revision.context.done(&result)
    }
}

/// One attempt at one revision.
struct Revision {
    context: Context,
    request: ReviseRequest,
    language: Language,
    ledger: Arc<Ledger>,
    llm: Arc<dyn Llm>,
}

/// What a passage has become, with why it stays as it was where it does.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Passed {
    text: String,
    model: Option<String>,
    kept: Option<Warning>,
}

impl Revision {
    async fn run(&self) -> Result<ReviseResult, Failure> {
        let story = &self.request.story;
        let ranges = passages(story);
        let mut revised = String::new();
        let mut done = Vec::with_capacity(ranges.len());
        for (index, range) in ranges.iter().enumerate() {
            let passage = Passage {
                text: &story[range.clone()],
                place: (index + 1, ranges.len()),
                before: &revised,
                after: &story[range.end..],
            };
            let passed = self.pass(&passage).await?;
            let over = passed.value.kept.as_ref().is_some_and(fallback::is_budget);
            revised.push_str(&passed.value.text);
            done.push(passed);
            if over {
                revised.push_str(&story[range.end..]);
                break;
            }
        }
        self.finished(revised, done).await
    }

    /// The revision of a passage, durable as a whole and paragraph by paragraph.
    async fn pass(&self, passage: &Passage<'_>) -> Result<Done<Passed>, Failure> {
        let version = prompts::REVISE.version();
        let asked = prompt::revise(&self.request, self.language, passage);
        let input = (
            VERSION,
            version,
            &self.request,
            passage.place,
            passage.before,
        );
        let (number, total) = passage.place;
        let progress = Progress {
            step: STEP.to_owned(),
            current: number as u64 - 1,
            total: total as u64,
            message: None,
        };
        step(&self.context, progress, &input, || async {
            let rewritten = rewrite::run(&self.context, &*self.llm, &input, asked, number).await?;
            self.passed(passage, rewritten).await
        })
        .await
    }

    async fn passed(&self, passage: &Passage<'_>, rewritten: Drafted) -> Result<Passed, Failure> {
        let kept = match rewritten.failed {
            Some(error) => {
                let on_failure = OnLlmFailure::Fail;
                Some(fallback::instead_of(STEP, error, on_failure, &self.context).await?)
            }
            None if rewritten.truncated => Some(Warning {
                code: "truncated".to_owned(),
                detail: format!(
                    "passage {} stays as it was: the model reached its length limit twice",
                    passage.place.0
                ),
            }),
            None => None,
        };
        let text = match kept {
            Some(_) => passage.text.to_owned(),
            None => fitted(passage.text, &rewritten.text),
        };
        Ok(Passed {
            text,
            model: rewritten.model,
            kept,
        })
    }

    async fn finished(
        &self,
        revised: String,
        done: Vec<Done<Passed>>,
    ) -> Result<ReviseResult, Failure> {
        let (old, new) = (self.request.story.clone(), revised.clone());
        // Comparing takes its time: not on the loop.
        let compared = tokio::task::spawn_blocking(move || diff(&old, &new)).await;
        let (diff, changed) = compared.map_err(|error| {
            Failure::retry("diff", format!("the texts could not be compared: {error}"))
        })?;
        let kept = done.iter().filter_map(|one| one.value.kept.clone());
        let mut warnings: Vec<_> = kept.collect();
        let fell_short = !warnings.is_empty();
        warnings.extend(self.ledger.alone());
        let words = |text: &str| text.split_whitespace().count();
        let (had, has) = (words(&self.request.story), words(&revised));
        if diff.hunks.is_empty() && !fell_short {
            warnings.push(Warning {
                code: "unchanged".to_owned(),
                detail: "the model gave the story back as it was".to_owned(),
            });
        } else if (has as f64) < had as f64 * SHORT {
            warnings.push(Warning {
                code: "much_shorter".to_owned(),
                detail: format!("the revision has {has} of {had} words"),
            });
        }
        let budget = warnings.iter().any(fallback::is_budget).then_some("budget");
        let steps = fell_short.then_some(STEP);
        let degraded: Vec<_> = steps.into_iter().chain(budget).map(str::to_owned).collect();
        Ok(ReviseResult {
            schema: "revise-result/1".to_owned(),
            job_id: self.context.job().id.clone(),
            chapter_id: self.request.chapter_id.clone(),
            status: if degraded.is_empty() {
                ResultStatus::Ok
            } else {
                ResultStatus::Degraded
            },
            created_at: self.context.now(),
            request: Asked {
                edit_request: self.request.edit_request.clone(),
                tone: self.request.tone.clone(),
                budget: self.request.budget,
            },
            generator: generator(
                self.language,
                done.iter().find_map(|one| one.value.model.clone()),
            ),
            degraded,
            language: self.language,
            story: revised,
            diff,
            changed,
            timings: done
                .iter()
                .map(|one| one.timing.clone())
                .collect::<Vec<Timing>>(),
            usage: self.ledger.usage(),
            warnings,
        })
    }
}

/// An answer in place of a passage: with the blanks around it that the passage
/// has, without what a model may put around it.
fn fitted(passage: &str, answer: &str) -> String {
    let mark = prompt::mark(passage);
    // As the story, which has none.
    let is_odd = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    let answer = answer.replace(is_odd, "");
    let lines = answer.lines().filter(|line| {
        let tag = line.trim().trim_start_matches('<').trim_start_matches('/');
        tag.trim_end_matches('>') != mark
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    let inner = passage.trim();
    let text = match unfenced(inner) {
        Some(_) => text.trim(),
        None => unfenced(text.trim()).unwrap_or(text.trim()),
    };
    let start = passage.len() - passage.trim_start().len();
    let (before, after) = (&passage[..start], &passage[start + inner.len()..]);
    format!("{before}{text}{after}")
}

/// The inside of a text that is one code block as a whole.
fn unfenced(text: &str) -> Option<&str> {
    let block = text.strip_prefix("```")?.strip_suffix("```")?;
    let (_, inside) = block.split_once('\n')?;
    (!inside.contains("```")).then(|| inside.trim())
}

fn generator(language: Language, model: Option<String>) -> Generator {
    let notice = if language == Language::Ko {
        "언어 모델이 수정 요청에 따라 고쳐 쓴 글입니다. 바뀐 곳은 비교에 모두 표시되어 있습니다."
    } else {
        "Revised by a language model as the edit request asks. The comparison shows every change."
    };
    Generator {
        kind: "llm".to_owned(),
        name: prompts::REVISE.version().to_owned(),
        model,
        llm: true,
        notice: notice.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_gets_the_blanks_of_its_passage_and_loses_its_wrapping() {
        let passage = "\nMina waited.\n\n";
        let mark = prompt::mark(passage);
        let table = [
            "Jun waited.".to_owned(),
            "\n  Jun waited.\n".to_owned(),
            format!("<{mark}>\nJun waited.\n</{mark}>"),
            "```text\nJun waited.\n```".to_owned(),
        ];
        for answer in table {
            assert_eq!(fitted(passage, &answer), "\nJun waited.\n\n", "{answer:?}");
        }
        for (passage, answer, expected) in [
            ("a", "He said ```x``` twice", "He said ```x``` twice"),
            ("```\na\n```\n", "```\nb\n```", "```\nb\n```\n"),
            (
                "a",
                "```\nb\n```\nand\n```\nc\n```",
                "```\nb\n```\nand\n```\nc\n```",
            ),
            ("a", "\u{1b}[2Jb\r\n\tc\u{7}", "[2Jb\n\tc"),
        ] {
            assert_eq!(fitted(passage, answer), expected);
        }
    }
}
