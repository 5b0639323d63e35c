//! `/v1/jobs/{id}/result`: what a job gave, in a chosen format.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lovage_client::wire::{JobView, Problem};
use lovage_core::id::JobId;
use lovage_core::job::Job;
use lovage_core::payload::Payload;

use crate::convert;
use crate::error::ApiError;
use crate::params::{Params, SHOWN_CHARS_MAX, Segment};
use crate::routes::jobs::poll_hint;
use crate::state::State;
use crate::wait::{self, Wait};

/// The format every result has: the document as the handler gave it.
const JSON: &str = "json";

/// The result of a job, at once or when it is over.
#[utoipa::path(
    get, path = "/v1/jobs/{id}/result", tag = "jobs", operation_id = "get_result",
    params(
        ("id" = uuid::Uuid, Path),
        ("format" = Option<String>, Query, description = "`json` (default) for every kind; `markdown`, `chat` and `graph` where the kind has them", example = "markdown"),
        ("wait" = Option<u32>, Query, minimum = 0, maximum = 60, description = "Seconds to wait for the job to be over"),
        ("Prefer" = Option<String>, Header, description = "`wait=30` does the same"),
    ),
    responses(
        (status = 200, description = "The result in the format asked for; of a failed or cancelled job a `NoResult` as application/json",
            content(
                (serde_json::Value = "application/json"),
                (String = "text/markdown"),
            ),
            headers(("X-Job-State" = String, description = "`succeeded`, `failed` or `cancelled`"))),
        (status = 202, body = JobView, description = "Not over yet; the job", headers(("Retry-After" = u32, description = "Seconds after which to ask again"))),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "Unknown id"),
        (status = 410, body = Problem, content_type = "application/problem+json", description = "No longer kept; see `expired_at`"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "Unknown format, an id that is no UUID, or a wrong parameter"),
    )
)]
pub(crate) async fn get(
    Extract(state): Extract<State>,
    Segment(id): Segment<JobId>,
    headers: HeaderMap,
    mut params: Params,
) -> Result<Response, ApiError> {
    let wait = Wait::of(&headers, &mut params);
    let format = params.text("format").unwrap_or_else(|| JSON.to_owned());
    params.finish()?;
    let job = state.broker.get(&id).await?.ok_or(ApiError::JobUnknown)?;
    check_format(&state, &job, &format)?;
    let job = wait::until_final(&state, &id, wait).await?;
    let job = job.ok_or(ApiError::JobUnknown)?;
    let mut response = answer(&state, &job, format).await?;
    wait.confirm(response.headers_mut());
    Ok(response)
}

/// Refuses an unknown format before anybody waits for it.
fn check_format(state: &State, job: &Job, format: &str) -> Result<(), ApiError> {
    let mut known = vec![JSON];
    known.extend(state.renderer.formats(job.kind.as_str()));
    if known.contains(&format) {
        return Ok(());
    }
    Err(ApiError::UnknownFormat {
        got: format.chars().take(SHOWN_CHARS_MAX).collect(),
        known: known.join(", "),
    })
}

async fn answer(state: &State, job: &Job, format: String) -> Result<Response, ApiError> {
    if !job.status.is_final() {
        let headers = [
            (header::LOCATION, convert::path(&job.id)),
            (header::RETRY_AFTER, poll_hint(state)),
        ];
        return Ok((StatusCode::ACCEPTED, headers, Json(convert::job(job))).into_response());
    }
    let now = state.clock.now();
    if let Some(until) = job.keep_until.filter(|until| *until <= now) {
        return Err(ApiError::ResultExpired(until));
    }
    let mut response = match &job.result {
        Some(result) if format == JSON => {
            let json = [(header::CONTENT_TYPE, "application/json")];
            (json, result.as_str().to_owned()).into_response()
        }
        Some(result) => rendered(state, job, result, format).await?,
        None => Json(convert::no_result(job)).into_response(),
    };
    let value = HeaderValue::from_static(job.status.as_str());
    response.headers_mut().insert("x-job-state", value);
    Ok(response)
}

async fn rendered(
    state: &State,
    job: &Job,
    result: &Payload,
    format: String,
) -> Result<Response, ApiError> {
    let renderer = Arc::clone(&state.renderer);
    let (kind, result) = (job.kind.clone(), result.clone());
    let task =
        tokio::task::spawn_blocking(move || renderer.render(kind.as_str(), &result, &format));
    let rendered = task.await.map_err(|_| ApiError::Panicked)?;
    let rendered = rendered
        .ok_or_else(|| ApiError::NotRendered("the format is listed but not made".to_owned()))?
        .map_err(ApiError::NotRendered)?;
    let content_type = [(header::CONTENT_TYPE, rendered.content_type)];
    Ok((content_type, rendered.body).into_response())
}
