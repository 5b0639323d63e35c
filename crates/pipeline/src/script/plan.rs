//! Step 1: what to write, and what to look for.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use lovage_workflow::{Context, Failure};
use serde::{Deserialize, Serialize};

use crate::extractive;
use crate::llm::{Llm, LlmError, LlmErrorKind, Metered};

use super::types::{Plan, ScriptRequest, Usage, Warning};
use super::{fallback, parse, prompt, usage};

/// What step `plan` stores.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Planned {
    pub(super) plan: Plan,
    pub(super) usage: Usage,
    /// Why the offline planner had to stand in.
    pub(super) degraded: Option<Warning>,
}

/// Plans with the model when there is one, else offline.
pub(super) async fn run(
    context: &Context,
    request: &ScriptRequest,
    llm: Option<Arc<dyn Llm>>,
) -> Result<Planned, Failure> {
    let offline = |usage, degraded| Planned {
        plan: extractive::plan(request),
        usage,
        degraded,
    };
    let Some(llm) = llm else {
        return Ok(offline(Usage::default(), None));
    };
    let llm = Metered::new(llm);
    match ask(&llm, request, context.now()).await {
        Ok(plan) => Ok(Planned {
            plan,
            usage: usage::of(llm.spent()),
            degraded: None,
        }),
        Err(error) => {
            let degraded = fallback::instead_of("plan", error, request, context).await?;
            Ok(offline(usage::of(llm.spent()), Some(degraded)))
        }
    }
}

async fn ask(llm: &Metered, request: &ScriptRequest, now: Timestamp) -> Result<Plan, LlmError> {
    let today = now.to_zoned(TimeZone::UTC).date();
    let asked = prompt::planner(request, today);
    let answer = llm.complete(&asked).await?;
    let language = request.language.resolve(&request.topic);
    match parse::plan(&answer.text, language) {
        Ok(plan) => Ok(plan),
        Err(error) => {
            llm.reject(&asked).await;
            let detail = format!("the plan cannot be used: {error}");
            Err(LlmError::new(LlmErrorKind::BadOutput, detail))
        }
    }
}
