//! `/v1/jobs/{id}/children`: the jobs that a job spawned.

use axum::Json;
use axum::extract::State as Extract;
use lovage_client::wire::{ChildList, Problem};
use lovage_core::id::JobId;

use crate::convert;
use crate::error::ApiError;
use crate::params::{NoParams, Segment};
use crate::state::State;

/// The jobs that a job spawned, in the order it spawned them.
#[utoipa::path(
    get, path = "/v1/jobs/{id}/children", tag = "jobs", operation_id = "list_children",
    params(("id" = uuid::Uuid, Path)),
    responses(
        (status = 200, body = ChildList),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "Unknown id"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "An id that is no UUID, or an unknown parameter"),
    )
)]
pub(crate) async fn list(
    Extract(state): Extract<State>,
    Segment(id): Segment<JobId>,
    _: NoParams,
) -> Result<Json<ChildList>, ApiError> {
    if state.broker.get(&id).await?.is_none() {
        return Err(ApiError::JobUnknown);
    }
    let spawned = state.broker.children(&id).await?;
    let children = spawned.iter().map(convert::child).collect();
    Ok(Json(ChildList { children }))
}
