//! The recipe of `content.comprehensive`, in the order it runs.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::join_all;
use lovage_workflow::{Context, Failure, Handler, Payload};

use crate::input;
use crate::script::Deps;
use crate::script::plan::Planned;
use crate::script::recipe::{Run, covers, fingerprint, verifier};
use crate::script::timed::Done;
use crate::script::types::{Dossier, Plan};
use crate::script::verify::Verifier;
use crate::script::write::Written;

use super::analyse::Desk;
use super::publish::{self, Made};
use super::request;
use super::side::{self, Side};
use super::types::{Analysis, ComprehensiveResult};
use super::{integrate, prompt};

/// Version of the recipe; part of every step's input.
pub(super) const VERSION: &str = "content.comprehensive/1";

/// Runs `content.comprehensive`.
pub(super) struct ComprehensiveHandler(Deps);

impl ComprehensiveHandler {
    pub(super) fn new(deps: Deps) -> Self {
        Self(deps)
    }
}

#[async_trait]
impl Handler for ComprehensiveHandler {
    async fn run(&self, context: Context) -> Result<Payload, Failure> {
        let request = input::read(&context, request::parse)?;
        let run = Run::begin(&self.0, context, request).await?;
        let result = make(&run).await?;
        run.context.done(&result)
    }
}

async fn make(run: &Run) -> Result<ComprehensiveResult, Failure> {
    let planned = run.plan().await?;
    let topic = &planned.value.plan;
    let found = run.find(topic).await?;
    if !covers(&run.request, topic, &found.value) {
        return Ok(publish::insufficient(run, &planned, &found));
    }
    let verifier = verifier(&found.value).await?;
    let analyses = analyse(run, &planned, &found.value, &verifier).await?;
    let plan = side::document(topic, &run.request);
    let document = write(run, &plan, &analyses, &verifier).await?;
    let reviewed = run
        .review(&plan, &found.value, &document.value, &verifier)
        .await?;
    let made = Made {
        planned: &planned,
        found: &found,
        analyses: &analyses,
        document: &document,
        reviewed: reviewed.as_ref(),
    };
    Ok(publish::publish(run, &plan, made, &verifier))
}

/// All sides at once; each runs to its end, whatever becomes of the others.
async fn analyse(
    run: &Run,
    planned: &Done<Planned>,
    dossier: &Dossier,
    verifier: &Arc<Verifier>,
) -> Result<Vec<Done<Analysis>>, Failure> {
    let desk = Desk {
        run,
        topic: &planned.value.plan,
        dossier,
        verifier,
    };
    let analyses = join_all(Side::ALL.map(|side| desk.analyse(side))).await;
    let analyses = analyses.into_iter().collect::<Result<Vec<_>, _>>()?;
    if analyses.iter().all(|one| one.value.sections.is_empty()) {
        let errors = analyses.iter().map(|one| {
            let error = one.value.error.as_ref();
            let why = error.map_or("nothing was written", |error| error.detail.as_str());
            format!("{}: {why}", one.value.side.name())
        });
        let why = errors.collect::<Vec<_>>().join("; ");
        return Err(Failure::give_up("analyses_failed", why));
    }
    Ok(analyses)
}

async fn write(
    run: &Run,
    plan: &Plan,
    analyses: &[Done<Analysis>],
    verifier: &Arc<Verifier>,
) -> Result<Done<Written>, Failure> {
    let analyses: Vec<Analysis> = analyses.iter().map(|one| one.value.clone()).collect();
    let version = prompt::integrator_version();
    let input = (
        VERSION,
        version,
        &run.request,
        plan,
        fingerprint(&analyses)?,
    );
    run.step(integrate::STEP, &input, || {
        integrate::run(run, plan, &analyses, verifier, &input)
    })
    .await
}
