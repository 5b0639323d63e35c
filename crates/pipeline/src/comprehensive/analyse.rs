//! One side of the topic, analysed from the evidence.

use std::sync::Arc;

use lovage_workflow::Failure;

use crate::extractive;
use crate::script::draft::{self, Task};
use crate::script::recipe::{Run, fingerprint};
use crate::script::timed::Done;
use crate::script::types::{Dossier, OnLlmFailure, Plan, Script, Section};
use crate::script::verify::Verifier;
use crate::script::write::not_written;
use crate::script::{evidence, fallback, parse};

use super::prompt;
use super::recipe::VERSION;
use super::side::{self, Side};
use super::types::{Analysis, Outcome};

/// A prompt that does not fit is sent again with 40 % less evidence.
const SHRINK: f64 = 0.6;

/// What the analysts work from.
pub(super) struct Desk<'a> {
    pub(super) run: &'a Run,
    /// The topic's plan.
    pub(super) topic: &'a Plan,
    pub(super) dossier: &'a Dossier,
    pub(super) verifier: &'a Arc<Verifier>,
}

impl Desk<'_> {
    /// The durable step of a side. A failure that a person or another attempt
    /// has to meet comes back as one; any other is part of the analysis.
    pub(super) async fn analyse(&self, side: Side) -> Result<Done<Analysis>, Failure> {
        let plan = side.plan(self.topic);
        let input = (
            VERSION,
            prompt::versions(side),
            &self.run.request,
            &plan,
            fingerprint(self.dossier)?,
        );
        self.run
            .step(side.name(), &input, || self.ask(side, &plan, &input))
            .await
    }

    async fn ask(
        &self,
        side: Side,
        plan: &Plan,
        input: &impl serde::Serialize,
    ) -> Result<Analysis, Failure> {
        let Some(llm) = self.run.model(side.name()) else {
            return Ok(Analysis {
                sections: self.copied(side),
                ..nothing(side)
            });
        };
        let request = &self.run.request;
        let shown = |shrinks: u32| {
            let tokens = evidence::TOKENS_MAX as f64 * SHRINK.powi(shrinks as i32);
            evidence::select(request, plan, self.dossier, tokens as usize)
        };
        let known = shown(0).sources;
        let task = Task {
            step: side.name(),
            outline: &plan.sections,
            known: &known,
            verifier: self.verifier.clone(),
        };
        let ask = |shrinks| prompt::analyst(request, side, plan, &shown(shrinks));
        let context = &self.run.context;
        let drafted = draft::draft(context, llm.as_ref(), input, task, ask).await?;
        let parsed = parse::script(&drafted.text, plan, &known);
        let mut analysis = Analysis {
            sections: parsed.script.sections,
            warnings: drafted.cut_short(side.name()).into_iter().collect(),
            model: drafted.model,
            prompts: prompt::versions(side).map(str::to_owned).into(),
            unknown_citations: parsed.unknown_citations,
            urls_removed: parsed.urls_removed,
            ..nothing(side)
        };
        if let Some(error) = drafted.failed {
            // Whatever the request says of failures, the others go on.
            let go_on = OnLlmFailure::Extractive;
            let why = fallback::instead_of(side.name(), error, go_on, context).await?;
            analysis.outcome = Outcome::Failed;
            // A limit of the job's own is no failure of the model.
            if request.on_llm_failure == OnLlmFailure::Extractive || fallback::is_budget(&why) {
                analysis.outcome = Outcome::StoodIn;
                self.fill(&mut analysis, plan);
            }
            analysis.error = Some(why);
        } else {
            let missing = parsed.missing_sections.iter();
            let missing = missing.map(|id| not_written(side.name(), id));
            analysis.warnings.extend(missing);
        }
        let lines = analysis.sections.iter_mut().flat_map(|one| &mut one.lines);
        lines.for_each(|line| self.verifier.judge(line));
        Ok(analysis)
    }

    /// Sections that the model has not written, copied from the sources.
    fn fill(&self, analysis: &mut Analysis, plan: &Plan) {
        let mut copied = self.copied(analysis.side);
        copied.retain(|one| analysis.sections.iter().all(|has| has.id != one.id));
        analysis.sections.extend(copied);
        let place = |id: &str| plan.sections.iter().position(|one| one.id == id);
        analysis.sections.sort_by_key(|section| place(&section.id));
    }

    /// This side as the offline writer sees it. It writes all sides at once, so
    /// that no sentence stands in two of them.
    fn copied(&self, side: Side) -> Vec<Section> {
        let (run, plan) = (self.run, side::all(self.topic));
        let Script { mut sections, .. } =
            extractive::write(&run.request, &plan, self.dossier, run.context.now());
        sections.retain(|section| side.has(&section.id));
        sections
    }
}

fn nothing(side: Side) -> Analysis {
    Analysis {
        side,
        outcome: Outcome::Ok,
        error: None,
        sections: Vec::new(),
        model: None,
        prompts: Vec::new(),
        unknown_citations: 0,
        urls_removed: 0,
        warnings: Vec::new(),
    }
}
