//! The result: the document with its sources and checks, and how it was made.

use crate::extractive;
use crate::prompts;
use crate::script::plan::Planned;
use crate::script::recipe::{Parts, Run, degraded, late, removed};
use crate::script::review::{self, Reviewed};
use crate::script::timed::Done;
use crate::script::types::{
    Dossier, Generator, Origin, Plan, Script, ScriptResult, Timing, Usage, Warning,
};
use crate::script::verify::Verifier;
use crate::script::write::Written;
use crate::script::{fallback, prompt};

use super::types::{Agent, Analysis, ComprehensiveResult, Health};

/// Everything that was made on the way.
pub(super) struct Made<'a> {
    pub(super) planned: &'a Done<Planned>,
    pub(super) found: &'a Done<Dossier>,
    pub(super) analyses: &'a [Done<Analysis>],
    pub(super) document: &'a Done<Written>,
    pub(super) reviewed: Option<&'a Done<Reviewed>>,
}

/// The result of a job whose sources do not cover the topic.
pub(super) fn insufficient(
    run: &Run,
    planned: &Done<Planned>,
    found: &Done<Dossier>,
) -> ComprehensiveResult {
    let document = run.insufficient(planned, found);
    let errors = [
        ("plan", planned.value.degraded.clone()),
        ("research", late(&found.value)),
    ];
    published(run, document, Vec::new(), &errors)
}

/// The result, every sentence checked.
pub(super) fn publish(
    run: &Run,
    plan: &Plan,
    made: Made<'_>,
    verifier: &Verifier,
) -> ComprehensiveResult {
    let draft = &made.document.value;
    let nothing = Reviewed::default();
    let reviewed = made.reviewed.map_or(&nothing, |done| &done.value);
    let mut dossier = made.found.value.clone();
    let mut script = review::apply(&draft.script, reviewed, plan);
    let mut checks = verifier.check(&mut script, &mut dossier);
    let analyses: Vec<Analysis> = made.analyses.iter().map(|one| one.value.clone()).collect();
    checks.unknown_citations = draft.unknown_citations
        + reviewed.unknown_citations
        + analyses
            .iter()
            .map(|one| one.unknown_citations)
            .sum::<usize>();
    checks.urls_removed = draft.urls_removed
        + reviewed.urls_removed
        + analyses.iter().map(|one| one.urls_removed).sum::<usize>();
    let errors = errors(&made);
    let fallbacks: Vec<_> = errors.iter().map(|(step, why)| (*step, why)).collect();
    let said = dossier.warnings.iter();
    let said = said.chain(analyses.iter().flat_map(|one| &one.warnings));
    let said = said.chain(&draft.warnings).chain(&reviewed.warnings);
    let said: Vec<_> = said.cloned().collect();
    // An error of some steps is among what they have said.
    let why = errors.iter().filter_map(|(_, why)| why.clone());
    let why: Vec<_> = why.filter(|why| !said.contains(why)).collect();
    let warnings: Vec<_> = why
        .into_iter()
        .chain(said)
        .chain(removed(&checks))
        .chain(run.ledger.alone())
        .collect();
    let parts = Parts {
        degraded: degraded(&fallbacks, &warnings),
        insufficient: false,
        generator: generator(&made, &script, plan, &dossier),
        script,
        checks,
        timings: timings(&made),
        usage: run.ledger.usage(),
        warnings,
        dossier,
    };
    published(run, run.assemble(parts, plan), analyses, &errors)
}

/// Which steps fell short, and why.
fn errors(made: &Made<'_>) -> Vec<(&'static str, Option<Warning>)> {
    let mut errors = vec![
        ("plan", made.planned.value.degraded.clone()),
        ("research", late(&made.found.value)),
    ];
    for one in made.analyses {
        errors.push((one.value.side.name(), one.value.error.clone()));
    }
    errors.push(("integrate", made.document.value.degraded.clone()));
    let failed = |why: &&Warning| why.code == "review_failed" || fallback::is_budget(why);
    let review = made
        .reviewed
        .and_then(|done| done.value.warnings.iter().find(failed));
    errors.push(("review", review.cloned()));
    errors
}

fn timings(made: &Made<'_>) -> Vec<Timing> {
    let mut timings = vec![made.planned.timing.clone(), made.found.timing.clone()];
    timings.extend(made.analyses.iter().map(|one| one.timing.clone()));
    timings.push(made.document.timing.clone());
    timings.extend(made.reviewed.map(|done| done.timing.clone()));
    timings
}

fn generator(made: &Made<'_>, script: &Script, plan: &Plan, dossier: &Dossier) -> Generator {
    let models = made.analyses.iter().map(|one| &one.value.model);
    let model = [&made.document.value.model]
        .into_iter()
        .chain(models)
        .flatten();
    if !script.lines().any(|line| line.origin == Origin::Llm) {
        return extractive::generator(plan.language, dossier.corpus);
    }
    let mixed = script.lines().any(|line| line.origin == Origin::Extracted);
    let model = model.into_iter().next().cloned();
    Generator {
        name: prompts::INTEGRATOR.version().to_owned(),
        ..prompt::generator(plan.language, dossier.corpus, model, mixed)
    }
}

fn published(
    run: &Run,
    mut document: ScriptResult,
    analyses: Vec<Analysis>,
    errors: &[(&'static str, Option<Warning>)],
) -> ComprehensiveResult {
    document.schema = "comprehensive-result/1".to_owned();
    if let Some(prompts) = &mut document.prompts {
        prompts.writer = prompts::INTEGRATOR.version().to_owned();
    }
    let health = health(run, &document.timings, &document.usage, errors);
    ComprehensiveResult {
        document,
        analyses,
        health,
    }
}

fn health(
    run: &Run,
    timings: &[Timing],
    usage: &Usage,
    errors: &[(&'static str, Option<Warning>)],
) -> Health {
    let agent = |timing: &Timing| {
        let spent = usage.by_step.iter().find(|one| one.step == timing.step);
        let error = errors.iter().find(|(step, _)| *step == timing.step);
        let error = error.and_then(|(_, why)| why.clone());
        Agent {
            agent: timing.step.clone(),
            succeeded: error.is_none(),
            attempts: timing.attempts,
            calls: spent.map_or(0, |spent| spent.calls),
            ms: timing.ms,
            error,
        }
    };
    let agents: Vec<Agent> = timings.iter().map(agent).collect();
    let succeeded = agents.iter().filter(|agent| agent.succeeded).count();
    let began = timings.iter().map(|timing| timing.started_at).min();
    let now = run.context.now();
    let ms = began.map_or(0, |began| now.as_millisecond() - began.as_millisecond());
    Health {
        succeeded,
        failed: agents.len() - succeeded,
        rate: succeeded as f64 / agents.len().max(1) as f64,
        attempts: agents.iter().map(|agent| agent.attempts).sum(),
        ms: u64::try_from(ms).unwrap_or(0),
        agents,
    }
}
