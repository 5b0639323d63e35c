//! A dry run: the job is checked as if it were enqueued, and estimated.

use axum::Json;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use lovage_client::wire::{EnqueueRequest, EstimateView, StepEstimateView};
use lovage_core::estimate::{Estimate, StepEstimate};
use serde_json::Value;

use crate::body::JsonText;
use crate::error::ApiError;
use crate::state::State;
use crate::{convert, idempotency};

/// Answers what a job will probably use. Nothing is enqueued.
pub(crate) async fn answer(
    state: &State,
    headers: &HeaderMap,
    text: JsonText,
) -> Result<Response, ApiError> {
    let request: EnqueueRequest = text.read()?;
    let caller = idempotency::caller(headers)?;
    let new = convert::new_job(request, &caller, state, state.clock.now())?;
    let kind = new.kind.to_string();
    let spec = state.catalog.kinds().find(|spec| spec.kind == new.kind);
    let Some(estimate) = spec.and_then(|spec| spec.estimate.clone()) else {
        return Ok(Json(unknown(kind)).into_response());
    };
    let input: Value = new.input.read().expect("an input that was checked is JSON");
    // A batch of many inputs takes a while: not on the loop.
    let made = tokio::task::spawn_blocking(move || estimate(&input)).await;
    let view = made.map_or_else(|_| unknown(kind.clone()), |made| view(kind.clone(), made));
    Ok(Json(view).into_response())
}

/// An estimate as it crosses HTTP.
pub fn view(kind: String, estimate: Estimate) -> EstimateView {
    let total = estimate.total();
    EstimateView {
        kind,
        calls: Some(total.calls),
        prompt_tokens: Some(total.prompt_tokens),
        completion_tokens: Some(total.completion_tokens),
        cost_usd: total.cost_usd,
        by_step: estimate.by_step.into_iter().map(step).collect(),
        notes: estimate.notes,
    }
}

fn step(step: StepEstimate) -> StepEstimateView {
    StepEstimateView {
        step: step.step,
        calls: step.calls,
        prompt_tokens: step.prompt_tokens,
        completion_tokens: step.completion_tokens,
        cost_usd: step.cost_usd,
    }
}

fn unknown(kind: String) -> EstimateView {
    let note = format!("the job is valid; kind {kind} gives no estimate");
    EstimateView {
        kind,
        calls: None,
        prompt_tokens: None,
        completion_tokens: None,
        cost_usd: None,
        by_step: Vec::new(),
        notes: vec![note],
    }
}
