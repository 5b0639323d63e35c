//! `/v1/queues`: what each holds, pause and resume.

use axum::Json;
use axum::extract::State as Extract;
use lovage_client::wire::{Problem, QueueList, QueueView};
use lovage_core::id::QueueName;
use lovage_core::query::QueueStats;

use crate::body::NoBody;
use crate::convert;
use crate::error::ApiError;
use crate::params::{Params, Segment};
use crate::state::State;

/// What each queue holds.
#[utoipa::path(
    get, path = "/v1/queues", tag = "queues", operation_id = "list_queues",
    responses((status = 200, body = QueueList))
)]
pub(crate) async fn list(
    Extract(state): Extract<State>,
    params: Params,
) -> Result<Json<QueueList>, ApiError> {
    params.finish()?;
    let stats = state.broker.stats().await?;
    let queues = stats.iter().map(convert::queue).collect();
    Ok(Json(QueueList { queues }))
}

/// Give no more jobs of a queue to workers. Running ones go on. Lasts over restarts.
#[utoipa::path(
    post, path = "/v1/queues/{queue}/pause", tag = "queues", operation_id = "pause_queue",
    params(("queue" = String, Path)),
    responses(
        (status = 200, body = QueueView),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "Not a name of a queue"),
    )
)]
pub(crate) async fn pause(
    Extract(state): Extract<State>,
    Segment(queue): Segment<QueueName>,
    _: NoBody,
) -> Result<Json<QueueView>, ApiError> {
    set(&state, queue, true).await
}

/// Give jobs of a queue to workers again.
#[utoipa::path(
    post, path = "/v1/queues/{queue}/resume", tag = "queues", operation_id = "resume_queue",
    params(("queue" = String, Path)),
    responses(
        (status = 200, body = QueueView),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "Not a name of a queue"),
    )
)]
pub(crate) async fn resume(
    Extract(state): Extract<State>,
    Segment(queue): Segment<QueueName>,
    _: NoBody,
) -> Result<Json<QueueView>, ApiError> {
    set(&state, queue, false).await
}

async fn set(state: &State, queue: QueueName, paused: bool) -> Result<Json<QueueView>, ApiError> {
    state.broker.pause(&queue, paused).await?;
    let stats = state.broker.stats().await?;
    let found = stats.into_iter().find(|stats| stats.queue == queue);
    let stats = found.unwrap_or(QueueStats {
        queue,
        paused,
        ..QueueStats::default()
    });
    Ok(Json(convert::queue(&stats)))
}
