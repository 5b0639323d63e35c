//! The recipe of `script.generate`: plan, research, write, in the order they run.
//!
//! To add a step, write its file, add it here, and raise [`VERSION`].

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use lovage_workflow::{Context, Failure, Handler, Payload, Progress};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::extractive;
use crate::llm::Llm;
use crate::news::Research;

use super::images::Pictured;
use super::plan::Planned;
use super::types::{
    Checks, Dossier, Generator, ImageRecord, Mode, Plan, ResultStatus, Script, ScriptRequest,
    ScriptResult, ScriptType, Timing, Warning,
};
use super::write::Written;
use super::{images, plan, prompt, request, research, usage, verify, write};

/// Version of the recipe; part of every step's input.
const VERSION: &str = "script.generate/2";

/// What the recipe needs of the world.
#[derive(Clone)]
pub struct Deps {
    /// The language model; without one the offline writer works.
    pub llm: Option<Arc<dyn Llm>>,
    /// The model that looks at images; without one they stay undescribed.
    pub vision: Option<Arc<dyn Llm>>,
    /// Where pages come from.
    pub research: Arc<Research>,
}

/// Runs `script.generate`.
pub struct ScriptHandler(Deps);

impl ScriptHandler {
    /// A handler over these dependencies.
    pub fn new(deps: Deps) -> Self {
        Self(deps)
    }

    /// The model to use for a request, as its `mode` says.
    fn llm(&self, request: &ScriptRequest) -> Result<Option<Arc<dyn Llm>>, Failure> {
        match (request.mode, &self.0.llm) {
            (Mode::Extractive, _) => Ok(None),
            (Mode::Llm, None) => Err(Failure::give_up(
                "no_llm",
                "mode is llm, but this worker has no model: set llm.api_key",
            )),
            (Mode::Auto | Mode::Llm, llm) => Ok(llm.clone()),
        }
    }
}

#[async_trait]
impl Handler for ScriptHandler {
    async fn run(&self, context: Context) -> Result<Payload, Failure> {
        let request = read(&context)?;
        let llm = self.llm(&request)?;

        // Which model answers is no input: a plan that was paid for stays good
        // when the job goes on at a worker with another one.
        let asked = (VERSION, prompt::PLANNER_VERSION, &request);
        let planned: Timed<Planned> = context
            .step("plan", &asked, || {
                timed(&context, "plan", plan::run(&context, &request, llm.clone()))
            })
            .await?;
        let plan = &planned.value.plan;

        let searched = (VERSION, &request, plan);
        let found: Timed<Dossier> = context
            .step("research", &searched, || {
                timed(
                    &context,
                    "research",
                    research::run(&context, &request, plan, &self.0.research),
                )
            })
            .await?;
        let dossier = &found.value;
        if !covers(&request, plan, dossier) {
            return context.done(&insufficient(&context, request, &planned, &found));
        }

        let evidence = (
            VERSION,
            prompt::WRITER_VERSION,
            &request,
            plan,
            fingerprint(dossier)?,
        );
        let writing = context.step("write", &evidence, || {
            timed(
                &context,
                "write",
                write::run(&context, &request, plan, dossier, llm.clone()),
            )
        });
        let (door, eyes) = (
            self.0.research.door(),
            llm.as_ref().and(self.0.vision.clone()),
        );
        let picturing = images::run(&context, &request, plan.language, dossier, door, eyes);
        let (written, pictured): (Timed<Written>, Pictured) =
            futures_util::try_join!(writing, picturing)?;
        if written.value.script.sections.is_empty() {
            return context.done(&insufficient(&context, request, &planned, &found));
        }
        context.done(&finished(
            &context, request, &planned, &found, &written, pictured,
        ))
    }
}

fn read(context: &Context) -> Result<ScriptRequest, Failure> {
    let input: Value = context.input()?;
    request::parse(&input).map_err(|wrong| {
        let wrong: Vec<_> = wrong
            .iter()
            .map(|one| format!("{} {}", one.pointer, one.message))
            .collect();
        Failure::give_up("input", wrong.join("; "))
    })
}

/// Abstain rather than invent: without a usable article nothing is written.
fn covers(request: &ScriptRequest, plan: &Plan, dossier: &Dossier) -> bool {
    let mut subjects = vec![request.topic.as_str()];
    subjects.extend(plan.queries.iter().map(|query| query.q.as_str()));
    !extractive::usable(&subjects, dossier).is_empty()
}

/// A long dossier is told by its hash.
fn fingerprint(dossier: &Dossier) -> Result<String, Failure> {
    let bytes = serde_json::to_vec(dossier).map_err(|error| {
        Failure::give_up("dossier", format!("the dossier has no JSON form: {error}"))
    })?;
    Ok(Sha256::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

/// A step's value with the time it took.
#[derive(serde::Serialize, serde::Deserialize)]
struct Timed<T> {
    value: T,
    started_at: Timestamp,
    ms: u64,
}

async fn timed<T>(
    context: &Context,
    step: &str,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<Timed<T>, Failure> {
    // So that the job itself says what it is at, not its events alone.
    let progress = Progress {
        step: step.to_owned(),
        current: 0,
        total: 1,
        message: None,
    };
    let started_at = context.now();
    // Side by side: work that is paid for does not wait for a store that blinks.
    let (told, value) = futures_util::join!(context.progress(&progress), work);
    let value = value?;
    told?;
    let ms = context.now().as_millisecond() - started_at.as_millisecond();
    Ok(Timed {
        value,
        started_at,
        ms: u64::try_from(ms).unwrap_or(0),
    })
}

impl<T> Timed<T> {
    fn timing(&self, step: &str) -> Timing {
        Timing {
            step: step.to_owned(),
            started_at: self.started_at,
            ms: self.ms,
            items: None,
            failed: None,
        }
    }
}

fn research_timing(found: &Timed<Dossier>) -> Timing {
    let articles = &found.value.articles;
    let failed = articles
        .iter()
        .filter(|article| article.text.is_empty())
        .count();
    Timing {
        items: Some(articles.len()),
        failed: Some(failed),
        ..found.timing("research")
    }
}

fn insufficient(
    context: &Context,
    request: ScriptRequest,
    planned: &Timed<Planned>,
    found: &Timed<Dossier>,
) -> ScriptResult {
    let plan = &planned.value.plan;
    let parts = Parts {
        status: ResultStatus::InsufficientSources,
        generator: extractive::generator(plan.language, found.value.corpus),
        script: Script::default(),
        checks: Checks::default(),
        images: Vec::new(),
        dossier: found.value.clone(),
        timings: vec![planned.timing("plan"), research_timing(found)],
        usage: usage::total([&planned.value.usage]),
        degraded: planned
            .value
            .degraded
            .iter()
            .map(|_| "plan".to_owned())
            .collect(),
        warnings: planned
            .value
            .degraded
            .clone()
            .into_iter()
            .chain(found.value.warnings.clone())
            .collect(),
    };
    parts.assemble(context, request, plan)
}

fn finished(
    context: &Context,
    request: ScriptRequest,
    planned: &Timed<Planned>,
    found: &Timed<Dossier>,
    written: &Timed<Written>,
    pictured: Pictured,
) -> ScriptResult {
    let (plan, draft) = (&planned.value.plan, &written.value);
    let mut dossier = found.value.clone();
    let mut script = draft.script.clone();
    let mut checks = verify::check(&mut script, &mut dossier);
    checks.unknown_citations = draft.unknown_citations;
    checks.urls_removed = draft.urls_removed;
    let mut images = pictured.images;
    images::place(&mut script, &mut images);
    let fallbacks = [
        ("plan", &planned.value.degraded),
        ("write", &draft.degraded),
    ];
    let degraded: Vec<_> = fallbacks
        .iter()
        .filter(|(_, why)| why.is_some())
        .map(|(step, _)| (*step).to_owned())
        .collect();
    let why = fallbacks.iter().filter_map(|(_, why)| (*why).clone());
    let warnings = why
        .chain(dossier.warnings.clone())
        .chain(draft.warnings.clone())
        .chain(removed(draft))
        .chain(pictured.warnings)
        .collect();
    let parts = Parts {
        status: if degraded.is_empty() {
            ResultStatus::Ok
        } else {
            ResultStatus::Degraded
        },
        generator: generator(draft, plan, &dossier),
        script,
        checks,
        timings: [planned.timing("plan"), research_timing(found)]
            .into_iter()
            .chain(pictured.timings)
            .chain([written.timing("write")])
            .collect(),
        usage: usage::total(
            [&planned.value.usage, &draft.usage]
                .into_iter()
                .chain(&pictured.usages),
        ),
        images,
        degraded,
        warnings,
        dossier,
    };
    parts.assemble(context, request, plan)
}

fn removed(draft: &Written) -> Option<Warning> {
    let marks = draft.unknown_citations;
    (marks > 0).then(|| Warning {
        code: "unknown_citation".to_owned(),
        detail: format!("{marks} citation marks named no source and were removed"),
    })
}

fn generator(draft: &Written, plan: &Plan, dossier: &Dossier) -> Generator {
    if draft.by_llm {
        prompt::generator(plan.language, dossier.corpus, draft.model.clone())
    } else {
        extractive::generator(plan.language, dossier.corpus)
    }
}

/// What differs between a written result and an abstention.
struct Parts {
    status: ResultStatus,
    generator: Generator,
    script: Script,
    checks: Checks,
    dossier: Dossier,
    images: Vec<ImageRecord>,
    timings: Vec<Timing>,
    usage: super::types::Usage,
    degraded: Vec<String>,
    warnings: Vec<Warning>,
}

impl Parts {
    fn assemble(self, context: &Context, request: ScriptRequest, plan: &Plan) -> ScriptResult {
        let needs_two = matches!(request.script_type, ScriptType::News | ScriptType::Report);
        ScriptResult {
            schema: "script-result/1".to_owned(),
            job_id: context.job().id.clone(),
            status: self.status,
            created_at: context.now(),
            generator: self.generator,
            corpus: self.dossier.corpus,
            degraded: self.degraded,
            low_evidence: needs_two && sites(&self.dossier) < 2,
            language: plan.language,
            title: plan.title.clone(),
            outline: plan.sections.clone(),
            queries: self.dossier.queries,
            sources: self
                .dossier
                .articles
                .into_iter()
                .map(|article| article.source)
                .collect(),
            images: self.images,
            script: self.script,
            timings: self.timings,
            usage: self.usage,
            checks: self.checks,
            suggestions: self.dossier.suggestions,
            warnings: self.warnings,
            request,
        }
    }
}

fn sites(dossier: &Dossier) -> usize {
    let used = dossier
        .articles
        .iter()
        .filter(|article| article.source.used);
    used.filter_map(|article| article.source.url.host_str())
        .collect::<std::collections::BTreeSet<_>>()
        .len()
}
