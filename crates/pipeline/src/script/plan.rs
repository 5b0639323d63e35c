//! Step 1: what to write, and what to look for.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use lovage_workflow::{Context, Failure};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::extractive;
use crate::llm::{Llm, LlmError, LlmErrorKind};

use super::types::{Plan, ScriptRequest, Warning};
use super::{fallback, length, parse, prompt};

/// What step `plan` stores.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Planned {
    pub(crate) plan: Plan,
    /// Why the offline planner had to stand in.
    pub(crate) degraded: Option<Warning>,
}

/// Plans with the model when there is one, else offline.
pub(super) async fn run(
    context: &Context,
    request: &ScriptRequest,
    llm: Option<Arc<dyn Llm>>,
) -> Result<Planned, Failure> {
    let asked = match llm {
        None => None,
        Some(llm) => Some(ask(llm.as_ref(), request, context.now()).await),
    };
    let (plan, degraded) = match asked {
        Some(Ok(plan)) => (plan, None),
        Some(Err(error)) => {
            let on_failure = request.on_llm_failure;
            let why = fallback::instead_of("plan", error, on_failure, context).await?;
            (extractive::plan(request), Some(why))
        }
        None => (extractive::plan(request), None),
    };
    let outline = json!({ "title": plan.title, "angle": plan.angle, "sections": plan.sections });
    context.emit("outline", Some("plan"), &outline).await?;
    Ok(Planned { plan, degraded })
}

async fn ask(llm: &dyn Llm, request: &ScriptRequest, now: Timestamp) -> Result<Plan, LlmError> {
    let today = now.to_zoned(TimeZone::UTC).date();
    let asked = prompt::planner(request, today);
    let answer = llm.complete(&asked).await?;
    let language = request.language.resolve(&request.topic);
    let mut plan = match parse::plan(&answer.text, language) {
        Ok(plan) => plan,
        Err(error) => {
            llm.reject(&asked).await;
            let detail = format!("the plan cannot be used: {error}");
            return Err(LlmError::new(LlmErrorKind::BadOutput, detail));
        }
    };
    if let Some(words) = length::wished(request, language) {
        length::fit(&mut plan.sections, words);
    }
    Ok(plan)
}
