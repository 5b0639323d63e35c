//! One document of the analyses.

use std::sync::Arc;

use lovage_workflow::Failure;

use crate::script::draft::{self, Task};
use crate::script::recipe::Run;
use crate::script::types::{Line, OnLlmFailure, Plan, Script, Section, Warning};
use crate::script::verify::Verifier;
use crate::script::write::{Written, not_written};
use crate::script::{fallback, parse};

use super::prompt;
use super::types::Analysis;

/// The step.
pub(super) const STEP: &str = "integrate";
/// A prompt that does not fit is sent again with 40 % less of each analysis.
const SHRINK: f64 = 0.6;

/// Integrates with the model when there is one, else by putting the analyses
/// one after the other.
pub(super) async fn run(
    run: &Run,
    plan: &Plan,
    analyses: &[Analysis],
    verifier: &Arc<Verifier>,
    input: &impl serde::Serialize,
) -> Result<Written, Failure> {
    let in_turn = in_turn(plan, analyses);
    let Some(llm) = run.model(STEP) else {
        return Ok(written(Script::assemble(in_turn, plan.language)));
    };
    let known = cited(analyses);
    let task = Task {
        step: STEP,
        outline: &plan.sections,
        known: &known,
        verifier: verifier.clone(),
    };
    let ask = |shrinks: u32| {
        let share = SHRINK.powi(shrinks as i32);
        prompt::integrator(&run.request, plan, analyses, share)
    };
    let mut drafted = draft::draft(&run.context, llm.as_ref(), input, task, ask).await?;
    let degraded = match drafted.failed.take() {
        Some(error) => {
            let go_on = OnLlmFailure::Extractive;
            Some(fallback::instead_of(STEP, error, go_on, &run.context).await?)
        }
        None => None,
    };
    let parsed = parse::script(&drafted.text, plan, &known);
    let by_llm = !parsed.script.sections.is_empty();
    let mut sections = parsed.script.sections;
    let missing = |id: &String| sections.iter().all(|one| one.id != *id);
    let instead: Vec<_> = in_turn.into_iter().filter(|one| missing(&one.id)).collect();
    let mut warnings: Vec<_> = instead.iter().map(not_integrated).collect();
    warnings.extend(drafted.cut_short(STEP));
    sections.extend(instead);
    if degraded.is_none() {
        let missing = parsed.missing_sections.iter();
        let missing = missing.filter(|id| sections.iter().all(|one| one.id != **id));
        warnings.extend(missing.map(|id| not_written(STEP, id)));
    }
    let place = |id: &str| plan.sections.iter().position(|one| one.id == id);
    sections.sort_by_key(|section| place(&section.id));
    Ok(Written {
        by_llm,
        model: drafted.model,
        unknown_citations: parsed.unknown_citations,
        urls_removed: parsed.urls_removed,
        warnings,
        degraded,
        ..written(Script::assemble(sections, plan.language))
    })
}

fn written(script: Script) -> Written {
    Written {
        script,
        by_llm: false,
        model: None,
        unknown_citations: 0,
        urls_removed: 0,
        warnings: Vec::new(),
        degraded: None,
    }
}

fn not_integrated(section: &Section) -> Warning {
    Warning {
        code: "not_integrated".to_owned(),
        detail: format!("section {} is its analysis, word for word", section.id),
    }
}

/// Each analysis as the section of its name.
fn in_turn(plan: &Plan, analyses: &[Analysis]) -> Vec<Section> {
    let section = |analysis: &Analysis| {
        let lines = analysis.sections.iter().flat_map(|one| one.lines.clone());
        let lines: Vec<Line> = lines.collect();
        let name = analysis.side.name();
        let outline = plan.sections.iter().find(|one| one.id == name)?;
        (!lines.is_empty()).then(|| Section {
            id: outline.id.clone(),
            heading: outline.heading.clone(),
            lines,
        })
    };
    analyses.iter().filter_map(section).collect()
}

/// The sources that the analyses cite.
fn cited(analyses: &[Analysis]) -> Vec<String> {
    let sections = analyses.iter().flat_map(|analysis| &analysis.sections);
    let lines = sections.flat_map(|section| &section.lines);
    let mut ids: Vec<_> = lines
        .flat_map(|line| &line.cites)
        .map(|cite| cite.source.clone())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}
