//! What a failed call to a language model means for the job.

use lovage_workflow::{Context, Failure, WaitReason};

use crate::llm::{LlmError, LlmErrorKind};

use super::types::{OnLlmFailure, Warning};

/// The offline provider stands in for the model in a step; tells watchers why.
///
/// # Errors
/// How the step fails where it must not.
pub(crate) async fn instead_of(
    step: &str,
    error: LlmError,
    on_llm_failure: OnLlmFailure,
    context: &Context,
) -> Result<Warning, Failure> {
    decide(&error, on_llm_failure, context)?;
    let why = Warning {
        code: code(error.kind),
        detail: error.detail,
    };
    context.emit("degraded", Some(step), &why).await?;
    Ok(why)
}

/// Whether a warning says that the job's budget was met.
pub(crate) fn is_budget(warning: &Warning) -> bool {
    matches!(
        warning.code.as_str(),
        "budget_tokens" | "budget_cost" | "deadline"
    )
}

/// `llm_` and the kind; a limit of the job has the name it has in the request's budget.
fn code(kind: LlmErrorKind) -> String {
    left_out(kind, &format!("llm_{kind}"))
}

/// The code of a warning that a step was left out: the limit of the job that
/// was met, or else `failed`.
pub(crate) fn left_out(kind: LlmErrorKind, failed: &str) -> String {
    match kind {
        LlmErrorKind::Budget(_) => kind.to_string(),
        _ => failed.to_owned(),
    }
}

/// How a step ends that would be held back for long: the job is put aside,
/// without a worker's place and without using an attempt. None where a wait is
/// not what the failure asks for.
pub(crate) fn parked(error: &LlmError) -> Option<Failure> {
    let after = error.park()?;
    let reason = match &error.limit {
        Some(limit) => WaitReason::LimitOf(limit.clone()),
        None => WaitReason::Limit,
    };
    Some(Failure::Park { reason, after })
}

/// Whether the step goes on with the offline provider; otherwise how it fails.
///
/// A long wait parks the job. A setting that is wrong fails it, since only a
/// person can help. What may pass by itself uses another attempt while there
/// is one. A limit of the job's own ends it with what it has. The rest falls
/// back as the request says.
fn decide(
    error: &LlmError,
    on_llm_failure: OnLlmFailure,
    context: &Context,
) -> Result<(), Failure> {
    if let Some(parked) = parked(error) {
        return Err(parked);
    }
    if matches!(error.kind, LlmErrorKind::Budget(_)) {
        return Ok(());
    }
    let code = code(error.kind);
    if let Some(setting) = wrong_setting(error.kind) {
        return Err(Failure::give_up(
            &code,
            format!("{}; check {setting}", error.detail),
        ));
    }
    let job = context.job();
    if error.kind.is_passing() && job.attempt < job.attempts_max {
        return Err(Failure::Retry {
            code,
            message: error.detail.clone(),
            after: error.retry_after,
        });
    }
    match on_llm_failure {
        OnLlmFailure::Extractive => Ok(()),
        OnLlmFailure::Fail => Err(Failure::give_up(&code, error.detail.clone())),
    }
}

fn wrong_setting(kind: LlmErrorKind) -> Option<&'static str> {
    match kind {
        LlmErrorKind::Auth => Some("llm.api_key"),
        LlmErrorKind::NotFound => Some("llm.base_url and llm.model"),
        LlmErrorKind::BadRequest | LlmErrorKind::Unsupported => Some("llm.model"),
        _ => None,
    }
}
