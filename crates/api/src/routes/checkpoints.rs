//! `/v1/jobs/{id}/checkpoints`: what a job's steps stored.

use axum::Json;
use axum::extract::State as Extract;
use lovage_client::wire::{CheckpointList, Problem};
use lovage_core::id::JobId;

use crate::convert;
use crate::error::ApiError;
use crate::params::{NoParams, Segment};
use crate::state::State;

/// What the steps of a job stored, in the order they stored it.
#[utoipa::path(
    get, path = "/v1/jobs/{id}/checkpoints", tag = "jobs", operation_id = "list_checkpoints",
    params(("id" = uuid::Uuid, Path)),
    responses(
        (status = 200, body = CheckpointList),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "Unknown id"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "An id that is no UUID, or an unknown parameter"),
    )
)]
pub(crate) async fn list(
    Extract(state): Extract<State>,
    Segment(id): Segment<JobId>,
    _: NoParams,
) -> Result<Json<CheckpointList>, ApiError> {
    if state.broker.get(&id).await?.is_none() {
        return Err(ApiError::JobUnknown);
    }
    let stored = state.broker.checkpoints(&id).await?;
    let checkpoints = stored.iter().map(convert::checkpoint).collect();
    Ok(Json(CheckpointList { checkpoints }))
}
