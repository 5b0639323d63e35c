//! Step 4: flagged sentences are asked for once more, with what their sources say.
//!
//! A sentence that is still not carried by its sources is taken out: the line
//! that says so stands in its place, and the result's warnings keep its text.
//! Left in, it would be an invention with citations beside it.

use std::sync::{Arc, LazyLock};

use lovage_workflow::{Context, Failure};
use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::llm::{Llm, LlmError};

use super::types::{Check, Dossier, Line, Origin, Plan, Script, ScriptRequest, Warning};
use super::verify::Verifier;
use super::{evidence, fallback, parse, prompt};

/// Sentences of one review; further ones stay flagged.
const SENTENCES_MAX: usize = 12;

/// What step `review` stores.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Reviewed {
    /// What stands in place of each reviewed sentence.
    pub(crate) lines: Vec<Line>,
    pub(crate) unknown_citations: usize,
    pub(crate) urls_removed: usize,
    pub(crate) warnings: Vec<Warning>,
}

/// The sentences to review, judged: what the step's input is.
pub(super) fn flagged(script: &Script, verifier: &Verifier) -> Vec<Line> {
    let mut judged: Vec<Line> = script.lines().cloned().collect();
    judged.iter_mut().for_each(|line| verifier.judge(line));
    judged.retain(|line| line.origin == Origin::Llm && is_flagged(line));
    judged.truncate(SENTENCES_MAX);
    judged
}

fn is_flagged(line: &Line) -> bool {
    matches!(line.check, Check::NumberMismatch | Check::Unsupported)
}

/// Asks once. A review that cannot be had is no failure of the job: the
/// sentences stay as they are, flagged. One that a limit holds back for long
/// is waited for.
pub(super) async fn run(
    context: &Context,
    request: &ScriptRequest,
    plan: &Plan,
    dossier: &Dossier,
    flagged: &[Line],
    verifier: &Verifier,
    llm: Arc<dyn Llm>,
) -> Result<Reviewed, Failure> {
    let evidence = evidence::select(request, plan, dossier, evidence::TOKENS_MAX);
    let asked = prompt::review(request, plan, flagged, &evidence);
    let answer = match llm.complete(&asked).await {
        Ok(answer) => answer.text,
        Err(error) => {
            if let Some(parked) = fallback::parked(&error) {
                return Err(parked);
            }
            let why = unreviewed(error, flagged.len());
            context.emit("warning", Some("review"), &why).await?;
            return Ok(Reviewed {
                warnings: vec![why],
                ..Reviewed::default()
            });
        }
    };
    let reviewed = read(&answer, flagged, &evidence.sources, verifier, plan);
    let told = reviewed.lines.iter().map(|line| {
        let cites: Vec<_> = line.cites.iter().map(|cite| &cite.source).collect();
        let data =
            json!({ "line": line.id, "text": line.text, "cites": cites, "verdict": line.check });
        ("sentence", data)
    });
    context
        .emit_all("review", &told.collect::<Vec<_>>())
        .await?;
    Ok(reviewed)
}

fn unreviewed(error: LlmError, sentences: usize) -> Warning {
    Warning {
        code: fallback::left_out(error.kind, "review_failed"),
        detail: format!(
            "{sentences} flagged sentences were not reviewed: {}",
            error.detail
        ),
    }
}

/// Reads the answer: what it says of each sentence, checked again.
fn read(
    answer: &str,
    flagged: &[Line],
    known: &[String],
    verifier: &Verifier,
    plan: &Plan,
) -> Reviewed {
    static ANSWER: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^\W*(L\d+)\**\s*[:.)]\**\s*(\S.*)$").expect("the answer pattern compiles")
    });
    let answers: Vec<(&str, &str)> = answer
        .lines()
        .filter_map(|line| ANSWER.captures(line.trim()))
        .map(|found| found.extract::<2>().1)
        .map(|[id, text]| (id, text))
        .collect();
    let mut reviewed = Reviewed::default();
    for line in flagged {
        let said = answers.iter().find(|(id, _)| *id == line.id);
        let read = said.and_then(|(_, text)| parse::sentence(text, known));
        let mut better = None;
        if let Some((mut new, counts)) = read {
            reviewed.unknown_citations += counts.unknown_citations;
            reviewed.urls_removed += counts.urls_removed;
            new.id = line.id.clone();
            verifier.judge(&mut new);
            let carried = !new.cites.is_empty() && !is_flagged(&new);
            better = carried.then_some(new);
        }
        reviewed.lines.push(better.unwrap_or_else(|| {
            reviewed.warnings.push(Warning {
                code: "sentence_removed".to_owned(),
                detail: format!("no source carries it: {}", line.text),
            });
            parse::no_source_line(&line.id, plan.language)
        }));
    }
    reviewed
}

/// The script with the reviewed sentences in place. Where several in a row have
/// no source, one line says so.
pub(crate) fn apply(script: &Script, reviewed: &Reviewed, plan: &Plan) -> Script {
    let mut sections = script.sections.clone();
    for section in &mut sections {
        for line in &mut section.lines {
            if let Some(new) = reviewed.lines.iter().find(|new| new.id == line.id) {
                *line = new.clone();
            }
        }
        let silent = |line: &Line| line.origin == Origin::Template && line.cites.is_empty();
        section
            .lines
            .dedup_by(|next, before| silent(next) && silent(before) && next.text == before.text);
    }
    Script::assemble(sections, plan.language)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn dossier() -> Dossier {
        serde_json::from_value(json!({
            "articles": [{
                "source": {
                    "id": "S1", "url": "https://a.example/1", "canonical_url": "https://a.example/1",
                    "title": "Night bus", "site": "A", "author": null, "published": null, "date_from": null,
                    "fetched_at": "2026-11-21T00:00:00Z", "lang": "en", "verdict": "ok", "text_from": null,
                    "chars": 90, "sha256": null, "relevance": null, "used": false, "citations": 0,
                    "duplicate_of": null, "also_reported_by": [], "error": null
                },
                "text": "The night bus has 3 routes.\nEach bus carries 24 passengers to the harbour."
            }],
            "queries": [], "suggestions": [], "corpus": "sample", "warnings": []
        }))
        .expect("the dossier is well-formed")
    }

    fn line(id: &str, text: &str) -> Line {
        let (line, _) = parse::sentence(text, &["S1".to_owned()]).expect("one sentence");
        Line {
            id: id.to_owned(),
            ..line
        }
    }

    #[test]
    fn what_is_carried_replaces_and_what_is_not_is_taken_out() {
        let known = ["S1".to_owned()];
        let verifier = Verifier::new(&dossier());
        let plan: Plan = serde_json::from_value(json!({
            "title": "t", "angle": "a", "language": "en", "sections": [], "queries": []
        }))
        .expect("the plan is well-formed");
        let wrong = [line("L2", "The night bus has 7 routes. [S1]")];
        let out = "(no source found)";
        let table = [
            (
                "L2: The night bus has 3 routes. [S1]",
                "The night bus has 3 routes.",
            ),
            (
                "Here you are:\n- **L2**: The night bus has 3 routes. [S1]",
                "The night bus has 3 routes.",
            ),
            ("L2: The night bus has 8 routes. [S1]", out),
            ("L2: Elephants sing loudly at dawn. [S1]", out),
            ("L2: The night bus has 3 routes. [S9]", out),
            ("L2: The night bus has 3 routes.", out),
            ("L2: (no source found)", out),
            ("L3: The night bus has 3 routes. [S1]", out),
            ("", out),
        ];
        for (answer, expected) in table {
            let reviewed = read(answer, &wrong, &known, &verifier, &plan);
            assert_eq!(reviewed.lines[0].text, expected, "{answer}");
            let removed = reviewed
                .warnings
                .iter()
                .any(|w| w.code == "sentence_removed");
            assert_eq!(removed, expected == out, "{answer}");
            let shown = apply(
                &Script::assemble(
                    vec![super::super::types::Section {
                        id: "what".to_owned(),
                        heading: "What".to_owned(),
                        lines: vec![
                            line("L1", "The night bus has 3 routes. [S1]"),
                            wrong[0].clone(),
                        ],
                    }],
                    plan.language,
                ),
                &reviewed,
                &plan,
            );
            assert_eq!(shown.sections[0].lines[1].text, expected, "{answer}");
        }
    }

    #[test]
    fn only_sentences_of_the_model_are_reviewed_and_a_bounded_number() {
        let verifier = Verifier::new(&dossier());
        let lines =
            (0..20).map(|n| line("L0", &format!("The night bus has {} routes. [S1]", 40 + n)));
        let mut lines: Vec<Line> = lines.collect();
        lines[0].origin = Origin::Extracted;
        let section = super::super::types::Section {
            id: "what".to_owned(),
            heading: "What".to_owned(),
            lines,
        };
        let script = Script::assemble(vec![section], super::super::types::Language::En);
        let flagged = flagged(&script, &verifier);
        assert_eq!(flagged.len(), SENTENCES_MAX);
        assert_eq!(flagged[0].id, "L2");
    }
}
