//! `/v1/jobs/{id}/images/{image}`: the images that a job's steps kept.

use std::sync::Arc;

use axum::extract::State as Extract;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lovage_client::wire::Problem;
use lovage_core::id::JobId;

use crate::error::ApiError;
use crate::params::{NoParams, Segments};
use crate::state::State;
use crate::tag;

/// What a browser may do with an image: show it, and nothing else, whatever
/// its bytes look like.
const SHOWN_ONLY: [(HeaderName, &str); 3] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'"),
    (header::CONTENT_DISPOSITION, "inline"),
];

/// An image that a step of a job kept, while the job runs too.
#[utoipa::path(
    get, path = "/v1/jobs/{id}/images/{image}", tag = "jobs", operation_id = "get_image",
    params(
        ("id" = uuid::Uuid, Path),
        ("image" = String, Path, description = "Id of the image, as the result and the job's events name it", example = "I1"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` last seen"),
    ),
    responses(
        (status = 200, description = "The image, drawn anew by the job: nothing of the file it was made from is in it",
            content((Vec<u8> = "image/jpeg")),
            headers(("ETag" = String, description = "Strong: changes with every byte of the image"))),
        (status = 304, description = "The image is as it was last seen"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "Unknown id, or the job has no such image"),
        (status = 410, body = Problem, content_type = "application/problem+json", description = "No longer kept; see `expired_at`"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "An id that is no UUID, or a wrong parameter"),
    )
)]
pub(crate) async fn get(
    Extract(state): Extract<State>,
    Segments(id, image): Segments<JobId>,
    headers: HeaderMap,
    _: NoParams,
) -> Result<Response, ApiError> {
    let job = state.broker.get(&id).await?.ok_or(ApiError::JobUnknown)?;
    let now = state.clock.now();
    if let Some(until) = job.keep_until.filter(|until| *until <= now) {
        return Err(ApiError::ResultExpired(until));
    }
    let stored = state.broker.checkpoints(&id).await?;
    let renderer = Arc::clone(&state.renderer);
    // Megabytes of steps are read to find one image.
    let found = tokio::task::spawn_blocking(move || {
        let image = renderer.image(&stored, &image)?;
        Some((tag::of(&image.body), image))
    });
    let found = found.await.map_err(|_| ApiError::Panicked)?;
    let (tag, image) = found.ok_or(ApiError::ImageUnknown)?;
    let known = tag::is_known(&headers, &tag);
    let tag = [(header::ETAG, tag)];
    if known {
        return Ok((StatusCode::NOT_MODIFIED, tag).into_response());
    }
    let content_type = [(header::CONTENT_TYPE, image.content_type)];
    Ok((tag, SHOWN_ONLY, content_type, image.body).into_response())
}
