//! The recipe of `script.generate`: plan, research, write, review, in the order they run.
//!
//! To add a step, write its file, add it here, and raise [`VERSION`]. A model is
//! asked through `ledger.model(step, llm)`, so that the job's budget holds.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lovage_workflow::cache::Cache;
use lovage_workflow::{Context, Failure, Handler, Payload, Progress};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::digest::sha256_hex;
use crate::extractive;
use crate::input;
use crate::llm::{Cached, Llm};
use crate::news::Research;
use crate::prompts::{self, Prompt};

use super::images::{self, Pictured};
use super::ledger::{self, Ledger};
use super::plan::Planned;
use super::prices::Prices;
use super::review::{self, Reviewed};
use super::timed::{self, Done};
use super::types::{
    Budget, Checks, Dossier, Generator, Mode, Origin, Plan, ResultStatus, Script, ScriptRequest,
    ScriptResult, ScriptType, Timing, Usage, Warning,
};
use super::verify::Verifier;
use super::write::{Material, Written};
use super::{fallback, plan, prompt, request, research, write};

/// Version of the recipe; part of every step's input.
const VERSION: &str = "script.generate/3";

/// What the recipe needs of the world.
#[derive(Clone)]
pub struct Deps {
    /// The language model; without one the offline writer works.
    pub llm: Option<Arc<dyn Llm>>,
    /// The model that looks at images; without one they stay undescribed.
    pub vision: Option<Arc<dyn Llm>>,
    /// What the models cost, where that is known.
    pub prices: Prices,
    /// Where pages come from.
    pub research: Arc<Research>,
    /// What requests share that do not forbid it.
    pub sharing: Option<Sharing>,
}

/// What jobs share with each other, on all workers of a store.
#[derive(Clone)]
pub struct Sharing {
    /// Where it is kept.
    pub cache: Arc<dyn Cache>,
    /// Where the models are: the same name elsewhere may be another one.
    pub endpoint: String,
    /// How long an answer is kept.
    pub llm_keep: Duration,
    /// The research that takes pages from the cache.
    pub research: Arc<Research>,
}

impl Deps {
    /// The model for a tenant's job, shared where its request allows that.
    pub(crate) fn model(&self, cache: bool, tenant: &str) -> Option<Arc<dyn Llm>> {
        Some(self.within(self.llm.clone()?, cache, tenant))
    }

    /// The model that looks at images, shared likewise.
    fn eyes(&self, cache: bool, tenant: &str) -> Option<Arc<dyn Llm>> {
        Some(self.within(self.vision.clone()?, cache, tenant))
    }

    fn within(&self, llm: Arc<dyn Llm>, cache: bool, tenant: &str) -> Arc<dyn Llm> {
        match self.shared(cache) {
            Some(sharing) => sharing.llm(llm, tenant),
            None => llm,
        }
    }

    /// What a request may share with others.
    fn shared(&self, cache: bool) -> Option<&Sharing> {
        self.sharing.as_ref().filter(|_| cache)
    }
}

impl Sharing {
    /// A tenant's answers are no other's: what they ask for is theirs alone.
    fn llm(&self, llm: Arc<dyn Llm>, tenant: &str) -> Arc<dyn Llm> {
        let prompts = prompts::ALL.map(Prompt::version);
        let scope = [&[tenant, &self.endpoint, VERSION][..], &prompts].concat();
        let cache = self.cache.clone();
        Arc::new(Cached::new(llm, cache, &scope, self.llm_keep))
    }
}

/// Runs `script.generate`.
pub struct ScriptHandler(Deps);

impl ScriptHandler {
    /// A handler over these dependencies.
    pub fn new(deps: Deps) -> Self {
        Self(deps)
    }
}

#[async_trait]
impl Handler for ScriptHandler {
    async fn run(&self, context: Context) -> Result<Payload, Failure> {
        let request = input::read(&context, request::parse)?;
        let run = Run::begin(&self.0, context, request).await?;
        let result = run.script().await?;
        run.context.done(&result)
    }
}

/// One attempt at one text that is planned, researched and written.
pub(crate) struct Run {
    pub(crate) context: Context,
    pub(crate) request: ScriptRequest,
    pub(crate) ledger: Arc<Ledger>,
    llm: Option<Arc<dyn Llm>>,
    vision: Option<Arc<dyn Llm>>,
    research: Arc<Research>,
}

/// The model to use for a request, as its `mode` says.
fn model(mode: Mode, llm: Option<Arc<dyn Llm>>) -> Result<Option<Arc<dyn Llm>>, Failure> {
    match (mode, llm) {
        (Mode::Extractive, _) => Ok(None),
        (Mode::Llm, None) => Err(Failure::give_up(
            "no_llm",
            "mode is llm, but this worker has no model: set llm.api_key",
        )),
        (Mode::Auto | Mode::Llm, llm) => Ok(llm),
    }
}

impl Run {
    /// Begins an attempt where earlier ones left the job.
    ///
    /// # Errors
    /// Gives up without a model where one is asked for, and as [`ledger::priced`]
    /// of a model that would look at images; as [`Ledger::open`].
    pub(crate) async fn begin(
        deps: &Deps,
        context: Context,
        request: ScriptRequest,
    ) -> Result<Self, Failure> {
        let tenant = &context.job().tenant;
        let llm = model(request.mode, deps.model(request.cache, tenant))?;
        let eyes = deps.eyes(request.cache, tenant);
        let vision = eyes.filter(|_| llm.is_some() && request.max_images > 0);
        // What costs nothing needs no price.
        let max_cost_usd = request.budget.max_cost_usd.filter(|_| llm.is_some());
        let budget = Budget {
            max_cost_usd,
            ..request.budget
        };
        if vision.is_some() {
            let settings = "llm.vision_price_in and llm.vision_price_out";
            ledger::priced(&budget, deps.prices.vision, settings)?;
        }
        Ok(Self {
            ledger: Ledger::open(&context, budget, deps.prices).await?,
            vision,
            llm,
            research: deps
                .shared(request.cache)
                .map_or(&deps.research, |sharing| &sharing.research)
                .clone(),
            context,
            request,
        })
    }

    async fn script(&self) -> Result<ScriptResult, Failure> {
        let planned = self.plan().await?;
        let plan = &planned.value.plan;
        let found = self.find(plan).await?;
        let dossier = &found.value;
        if !covers(&self.request, plan, dossier) {
            return Ok(self.insufficient(&planned, &found));
        }
        let verifier = verifier(dossier).await?;
        let writing = self.write(plan, dossier, &verifier);
        let picturing = self.picture(plan, dossier);
        // Each to its end, whatever becomes of the other: a call that is dropped
        // half way would be paid for twice.
        let (written, pictured) = futures_util::join!(writing, picturing);
        let (written, pictured) = (written?, pictured?);
        if written.value.script.sections.is_empty() {
            return Ok(self.insufficient(&planned, &found));
        }
        let reviewed = self
            .review(plan, dossier, &written.value, &verifier)
            .await?;
        let reviewed = reviewed.as_ref();
        let mut result = self.finished(&planned, &found, &written, reviewed, &pictured, &verifier);
        pictured.show_in(&mut result, &self.ledger);
        Ok(result)
    }

    /// The model for a step, within the job's budget.
    pub(crate) fn model(&self, step: &'static str) -> Option<Arc<dyn Llm>> {
        let llm = self.llm.clone()?;
        Some(self.ledger.model(step, llm))
    }

    pub(crate) async fn plan(&self) -> Result<Done<Planned>, Failure> {
        // Which model answers is no input: a plan that was paid for stays good
        // when the job goes on at a worker with another one.
        let input = (VERSION, prompts::PLANNER.version(), &self.request);
        self.step("plan", &input, || {
            plan::run(&self.context, &self.request, self.model("plan"))
        })
        .await
    }

    pub(crate) async fn find(&self, plan: &Plan) -> Result<Done<Dossier>, Failure> {
        let input = (VERSION, &self.request, plan);
        let search = || async {
            let look = |deadline| {
                research::run(&self.context, &self.request, plan, &self.research, deadline)
            };
            let (mut dossier, late) = self.ledger.by_deadline("research", look).await?;
            dossier.warnings.extend(late);
            let warnings = dossier.warnings.iter().map(|warning| ("warning", warning));
            let warnings: Vec<_> = warnings.collect();
            self.context.emit_all("research", &warnings).await?;
            Ok(dossier)
        };
        let mut found = self.step("research", &input, search).await?;
        let articles = &found.value.articles;
        let failed = articles.iter().filter(|one| one.text.is_empty()).count();
        found.timing.items = Some(articles.len());
        found.timing.failed = Some(failed);
        Ok(found)
    }

    async fn write(
        &self,
        plan: &Plan,
        dossier: &Dossier,
        verifier: &Arc<Verifier>,
    ) -> Result<Done<Written>, Failure> {
        let version = prompts::WRITER.version();
        let input = (VERSION, version, &self.request, plan, fingerprint(dossier)?);
        let material = Material {
            request: &self.request,
            plan,
            dossier,
            verifier,
        };
        self.step("write", &input, || {
            write::run(&self.context, material, self.model("write"), &input)
        })
        .await
    }

    /// Beside the writer, whose text does not depend on what images say.
    async fn picture(&self, plan: &Plan, dossier: &Dossier) -> Result<Pictured, Failure> {
        let eyes = self.vision.clone();
        let work = images::Work {
            context: &self.context,
            ledger: &self.ledger,
            topic: &self.request.topic,
            language: plan.language,
            door: self.research.door(),
            eyes: eyes.map(|eyes| self.ledger.model(images::LOOK, eyes)),
        };
        work.run(dossier, self.request.max_images).await
    }

    /// Asks for flagged sentences of the model once more.
    pub(crate) async fn review(
        &self,
        plan: &Plan,
        dossier: &Dossier,
        written: &Written,
        verifier: &Verifier,
    ) -> Result<Option<Done<Reviewed>>, Failure> {
        let flagged = review::flagged(&written.script, verifier);
        let Some(llm) = self.model("review").filter(|_| !flagged.is_empty()) else {
            return Ok(None);
        };
        let version = prompts::REVIEW.version();
        let input = (
            VERSION,
            version,
            &self.request,
            fingerprint(dossier)?,
            &flagged,
        );
        let (context, request) = (&self.context, &self.request);
        let ask = || review::run(context, request, plan, dossier, &flagged, verifier, llm);
        self.step("review", &input, ask).await.map(Some)
    }

    /// A durable step, with what the result says of its time.
    pub(crate) async fn step<T, F>(
        &self,
        name: &str,
        input: &impl Serialize,
        work: impl FnOnce() -> F,
    ) -> Result<Done<T>, Failure>
    where
        T: Serialize + DeserializeOwned,
        F: Future<Output = Result<T, Failure>>,
    {
        let progress = Progress {
            step: name.to_owned(),
            current: 0,
            total: 1,
            message: None,
        };
        timed::step(&self.context, progress, input, work).await
    }
}

/// Taking the articles apart takes a while: not on the loop.
pub(crate) async fn verifier(dossier: &Dossier) -> Result<Arc<Verifier>, Failure> {
    let dossier = dossier.clone();
    let made = tokio::task::spawn_blocking(move || Verifier::new(&dossier)).await;
    let made = made.map_err(|error| {
        Failure::retry(
            "verifier",
            format!("the articles could not be read: {error}"),
        )
    })?;
    Ok(Arc::new(made))
}

/// Abstain rather than invent: without a usable article nothing is written.
pub(crate) fn covers(request: &ScriptRequest, plan: &Plan, dossier: &Dossier) -> bool {
    let mut subjects = vec![request.topic.as_str()];
    subjects.extend(plan.queries.iter().map(|query| query.q.as_str()));
    !extractive::usable(&subjects, dossier).is_empty()
}

/// What is long is told by its hash.
pub(crate) fn fingerprint(long: &impl Serialize) -> Result<String, Failure> {
    let bytes = serde_json::to_vec(long).map_err(|error| {
        Failure::give_up(
            "step_input",
            format!("a step's input has no JSON form: {error}"),
        )
    })?;
    Ok(sha256_hex(bytes))
}

impl Run {
    pub(crate) fn insufficient(
        &self,
        planned: &Done<Planned>,
        found: &Done<Dossier>,
    ) -> ScriptResult {
        let (planned, plan_timing) = (&planned.value, &planned.timing);
        let dossier = found.value.clone();
        let late = late(&dossier);
        let fallbacks = [("plan", &planned.degraded), ("research", &late)];
        let warnings = planned.degraded.iter().chain(&dossier.warnings);
        let warnings: Vec<_> = warnings.cloned().collect();
        let parts = Parts {
            degraded: degraded(&fallbacks, &warnings),
            insufficient: true,
            generator: extractive::generator(planned.plan.language, dossier.corpus),
            script: Script::default(),
            checks: Checks::default(),
            timings: vec![plan_timing.clone(), found.timing.clone()],
            usage: self.ledger.usage(),
            warnings,
            dossier,
        };
        self.assemble(parts, &planned.plan)
    }

    fn finished(
        &self,
        planned: &Done<Planned>,
        found: &Done<Dossier>,
        written: &Done<Written>,
        reviewed: Option<&Done<Reviewed>>,
        pictured: &Pictured,
        verifier: &Verifier,
    ) -> ScriptResult {
        let (plan, draft) = (&planned.value.plan, &written.value);
        let mut dossier = found.value.clone();
        let nothing = Reviewed::default();
        let review = reviewed.map_or(&nothing, |done| &done.value);
        let mut script = review::apply(&draft.script, review, plan);
        let mut checks = verifier.check(&mut script, &mut dossier);
        checks.unknown_citations = draft.unknown_citations + review.unknown_citations;
        checks.urls_removed = draft.urls_removed + review.urls_removed;
        let late = late(&dossier);
        let fallbacks = [
            ("plan", &planned.value.degraded),
            ("research", &late),
            ("write", &draft.degraded),
        ];
        let why = [&planned.value.degraded, &draft.degraded];
        let warnings: Vec<_> = why
            .into_iter()
            .filter_map(Option::clone)
            .chain(dossier.warnings.clone())
            .chain(draft.warnings.clone())
            .chain(review.warnings.clone())
            .chain(removed(&checks))
            .chain(self.ledger.alone())
            .chain(pictured.warnings().cloned())
            .collect();
        let mut timings = vec![
            planned.timing.clone(),
            found.timing.clone(),
            written.timing.clone(),
        ];
        timings.extend(reviewed.map(|done| done.timing.clone()));
        let parts = Parts {
            degraded: degraded(&fallbacks, &warnings),
            insufficient: false,
            generator: generator(draft, &script, plan, &dossier),
            script,
            checks,
            timings,
            usage: self.ledger.usage(),
            warnings,
            dossier,
        };
        self.assemble(parts, plan)
    }

    pub(crate) fn assemble(&self, parts: Parts, plan: &Plan) -> ScriptResult {
        let request = self.request.clone();
        let needs_two = matches!(request.script_type, ScriptType::News | ScriptType::Report);
        ScriptResult {
            schema: "script-result/1".to_owned(),
            job_id: self.context.job().id.clone(),
            status: parts.status(),
            created_at: self.context.now(),
            generator: parts.generator,
            prompts: (parts.usage.calls + parts.usage.cache_hits > 0).then(prompt::versions),
            corpus: parts.dossier.corpus,
            degraded: parts.degraded,
            low_evidence: needs_two && sites(&parts.dossier) < 2,
            language: plan.language,
            title: plan.title.clone(),
            outline: plan.sections.clone(),
            queries: parts.dossier.queries,
            sources: parts
                .dossier
                .articles
                .into_iter()
                .map(|article| article.source)
                .collect(),
            images: Vec::new(),
            script: parts.script,
            timings: self.ledger.with_waits(parts.timings),
            usage: parts.usage,
            checks: parts.checks,
            suggestions: parts.dossier.suggestions,
            warnings: parts.warnings,
            request,
        }
    }
}

/// The steps that fell back, and `budget` where a limit of the job was met.
pub(crate) fn degraded(
    fallbacks: &[(&str, &Option<Warning>)],
    warnings: &[Warning],
) -> Vec<String> {
    let steps = fallbacks.iter().filter(|(_, why)| why.is_some());
    let budget = warnings.iter().any(fallback::is_budget).then_some("budget");
    let all = steps.map(|(step, _)| *step).chain(budget);
    all.map(str::to_owned).collect()
}

/// Why the research ended before it was done, where that was the job's deadline.
pub(crate) fn late(dossier: &Dossier) -> Option<Warning> {
    let mut warnings = dossier.warnings.iter();
    warnings.find(|one| fallback::is_budget(one)).cloned()
}

pub(crate) fn removed(checks: &Checks) -> Option<Warning> {
    let marks = checks.unknown_citations;
    (marks > 0).then(|| Warning {
        code: "unknown_citation".to_owned(),
        detail: format!("{marks} citation marks named no source and were removed"),
    })
}

fn generator(draft: &Written, script: &Script, plan: &Plan, dossier: &Dossier) -> Generator {
    if draft.by_llm {
        let mixed = script.lines().any(|line| line.origin == Origin::Extracted);
        prompt::generator(plan.language, dossier.corpus, draft.model.clone(), mixed)
    } else {
        extractive::generator(plan.language, dossier.corpus)
    }
}

/// What differs between a written result and an abstention.
pub(crate) struct Parts {
    pub(crate) insufficient: bool,
    pub(crate) generator: Generator,
    pub(crate) script: Script,
    pub(crate) checks: Checks,
    pub(crate) dossier: Dossier,
    pub(crate) timings: Vec<Timing>,
    pub(crate) usage: Usage,
    pub(crate) degraded: Vec<String>,
    pub(crate) warnings: Vec<Warning>,
}

impl Parts {
    fn status(&self) -> ResultStatus {
        match (self.insufficient, self.degraded.is_empty()) {
            (true, _) => ResultStatus::InsufficientSources,
            (false, true) => ResultStatus::Ok,
            (false, false) => ResultStatus::Degraded,
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
