//! `/v1/queues`: what each holds, pause and resume, limits.

use axum::Json;
use axum::extract::State as Extract;
use lovage_client::wire::{LimitsRequest, Problem, QueueList, QueueView};
use lovage_core::id::QueueName;
use lovage_core::query::QueueStats;

use crate::body::{JsonText, NoBody};
use crate::convert;
use crate::error::ApiError;
use crate::limits::queue_limits;
use crate::params::{NoParams, Segment};
use crate::state::State;

/// What each queue holds.
#[utoipa::path(
    get, path = "/v1/queues", tag = "queues", operation_id = "list_queues",
    responses(
        (status = 200, body = QueueList),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "An unknown parameter"),
    )
)]
pub(crate) async fn list(
    Extract(state): Extract<State>,
    _: NoParams,
) -> Result<Json<QueueList>, ApiError> {
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
        (status = 422, body = Problem, content_type = "application/problem+json", description = "Not a name of a queue, a parameter, or a body"),
    )
)]
pub(crate) async fn pause(
    Extract(state): Extract<State>,
    Segment(queue): Segment<QueueName>,
    _: NoParams,
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
        (status = 422, body = Problem, content_type = "application/problem+json", description = "Not a name of a queue, a parameter, or a body"),
    )
)]
pub(crate) async fn resume(
    Extract(state): Extract<State>,
    Segment(queue): Segment<QueueName>,
    _: NoParams,
    _: NoBody,
) -> Result<Json<QueueView>, ApiError> {
    set(&state, queue, false).await
}

async fn set(state: &State, queue: QueueName, paused: bool) -> Result<Json<QueueView>, ApiError> {
    state.broker.pause(&queue, paused).await?;
    let untouched = QueueStats {
        paused,
        ..QueueStats::default()
    };
    as_it_stands(state, queue, untouched).await
}

/// Limit what a queue gives to workers, in place of its limits before.
///
/// What is absent or null is not limited. Running jobs go on. Lasts over restarts.
#[utoipa::path(
    put, path = "/v1/queues/{queue}/limits", tag = "queues", operation_id = "limit_queue", request_body = LimitsRequest,
    params(("queue" = String, Path)),
    responses(
        (status = 200, body = QueueView),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "Not JSON, or not UTF-8"),
        (status = 413, body = Problem, content_type = "application/problem+json", description = "Body too large"),
        (status = 415, body = Problem, content_type = "application/problem+json", description = "Not sent as application/json"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "Not a name of a queue, an unknown or wrong field, or a parameter"),
    )
)]
pub(crate) async fn limit(
    Extract(state): Extract<State>,
    Segment(queue): Segment<QueueName>,
    _: NoParams,
    text: JsonText,
) -> Result<Json<QueueView>, ApiError> {
    let limits = queue_limits(text.read()?)?;
    state.broker.limit(&queue, &limits).await?;
    let untouched = QueueStats {
        limits,
        ..QueueStats::default()
    };
    as_it_stands(&state, queue, untouched).await
}

/// The queue as the store shows it; where it does not know it, `untouched`.
async fn as_it_stands(
    state: &State,
    queue: QueueName,
    untouched: QueueStats,
) -> Result<Json<QueueView>, ApiError> {
    let stats = state.broker.stats().await?;
    let found = stats.into_iter().find(|stats| stats.queue == queue);
    let stats = found.unwrap_or(QueueStats { queue, ..untouched });
    Ok(Json(convert::queue(&stats)))
}
