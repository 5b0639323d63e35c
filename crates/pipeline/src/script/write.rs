//! Step 3: write from the evidence, section by section. Every sentence is
//! checked as it comes, and again when the script is whole.

use std::sync::Arc;

use lovage_workflow::{Context, Failure};
use serde::{Deserialize, Serialize};

use crate::extractive;
use crate::llm::Llm;

use super::desk::Drafted;
use super::draft::{self, Task};
use super::types::{Dossier, Plan, Script, ScriptRequest, Warning};
use super::verify::Verifier;
use super::{evidence, fallback, parse, prompt};

/// A prompt that does not fit is sent again with 40 % less evidence.
const SHRINK: f64 = 0.6;

/// What step `write` stores.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Written {
    pub(crate) script: Script,
    /// Whether a language model wrote it, or a part of it.
    pub(crate) by_llm: bool,
    /// Model that answered, as the provider names it.
    pub(crate) model: Option<String>,
    pub(crate) unknown_citations: usize,
    pub(crate) urls_removed: usize,
    pub(crate) warnings: Vec<Warning>,
    /// Why the offline writer had to stand in, for all of it or for the rest.
    pub(crate) degraded: Option<Warning>,
}

/// What the writer works from.
pub(super) struct Material<'a> {
    pub(super) request: &'a ScriptRequest,
    pub(super) plan: &'a Plan,
    pub(super) dossier: &'a Dossier,
    pub(super) verifier: &'a Arc<Verifier>,
}

/// Writes with the model when there is one, else offline. `input` is the step's.
pub(super) async fn run(
    context: &Context,
    material: Material<'_>,
    llm: Option<Arc<dyn Llm>>,
    input: &impl Serialize,
) -> Result<Written, Failure> {
    let Some(llm) = llm else {
        let written = Written {
            script: material.offline(context, material.plan),
            by_llm: false,
            model: None,
            unknown_citations: 0,
            urls_removed: 0,
            warnings: Vec::new(),
            degraded: None,
        };
        return Ok(written);
    };
    let Material {
        request,
        plan,
        dossier,
        verifier,
    } = material;
    let shown = |shrinks: u32| {
        let tokens = evidence::TOKENS_MAX as f64 * SHRINK.powi(shrinks as i32);
        evidence::select(request, plan, dossier, tokens as usize)
    };
    let known = shown(0).sources;
    let task = Task {
        step: "write",
        outline: &plan.sections,
        known: &known,
        verifier: verifier.clone(),
    };
    let ask = |shrinks| prompt::writer(request, plan, &shown(shrinks));
    let mut drafted = draft::draft(context, llm.as_ref(), input, task, ask).await?;
    let degraded = match drafted.failed.take() {
        None => None,
        Some(error) => {
            Some(fallback::instead_of("write", error, request.on_llm_failure, context).await?)
        }
    };
    let material = Material {
        request,
        plan,
        dossier,
        verifier,
    };
    Ok(material.read(context, drafted, &known, degraded))
}

/// What to say of a section that the model left out in a step.
pub(crate) fn not_written(step: &str, section: &str) -> Warning {
    Warning {
        code: "missing_section".to_owned(),
        detail: format!("{step}: the model did not write section {section}"),
    }
}

impl Material<'_> {
    /// What the model has written; where it had to stop, the rest is copied
    /// from the sources.
    fn read(
        &self,
        context: &Context,
        drafted: Drafted,
        known: &[String],
        degraded: Option<Warning>,
    ) -> Written {
        let parsed = parse::script(&drafted.text, self.plan, known);
        let missing = &parsed.missing_sections;
        let mut warnings: Vec<_> = drafted.cut_short("write").into_iter().collect();
        let by_llm = !parsed.script.sections.is_empty();
        let mut script = parsed.script;
        if degraded.is_some() {
            let rest = self.rest(context, missing);
            if by_llm && !rest.sections.is_empty() {
                let ids: Vec<_> = rest.sections.iter().map(|s| s.id.as_str()).collect();
                warnings.push(Warning {
                    code: "extracted_sections".to_owned(),
                    detail: format!("copied from the sources: {}", ids.join(", ")),
                });
            }
            script = self.joined(script, rest);
        } else {
            warnings.extend(missing.iter().map(|id| not_written("write", id)));
        }
        Written {
            script,
            by_llm,
            model: drafted.model,
            unknown_citations: parsed.unknown_citations,
            urls_removed: parsed.urls_removed,
            warnings,
            degraded,
        }
    }

    fn offline(&self, context: &Context, plan: &Plan) -> Script {
        extractive::write(self.request, plan, self.dossier, context.now())
    }

    fn rest(&self, context: &Context, missing: &[String]) -> Script {
        let sections = self.plan.sections.iter();
        let plan = Plan {
            sections: sections
                .filter(|section| missing.contains(&section.id))
                .cloned()
                .collect(),
            ..self.plan.clone()
        };
        self.offline(context, &plan)
    }

    /// Both, in the order of the plan.
    fn joined(&self, written: Script, rest: Script) -> Script {
        let mut sections = written.sections;
        sections.extend(rest.sections);
        let place = |id: &str| self.plan.sections.iter().position(|one| one.id == id);
        sections.sort_by_key(|section| place(&section.id));
        Script::assemble(sections, self.plan.language)
    }
}
