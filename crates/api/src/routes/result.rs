//! `/v1/jobs/{id}/result`: what a job gave, in a chosen format.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lovage_client::wire::{JobView, Problem};
use lovage_core::id::JobId;
use lovage_core::job::Job;

use crate::convert;
use crate::error::ApiError;
use crate::params::{Params, Segment};
use crate::render::{Chosen, JSON, choose, show};
use crate::routes::jobs::poll_hint;
use crate::state::State;
use crate::wait::{self, Wait};

/// Where this is served, as the description names it.
pub(crate) const PATH: &str = "/v1/jobs/{id}/result";

/// The result of a job, at once or when it is over.
#[utoipa::path(
    get, path = "/v1/jobs/{id}/result", tag = "jobs", operation_id = "get_result",
    params(
        ("id" = uuid::Uuid, Path),
        ("format" = Option<String>, Query, description = "`json` (default) for every kind; `all` for one JSON object with every format the kind has", example = "markdown"),
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
        (status = 422, body = Problem, content_type = "application/problem+json", description = "Unknown format, a parameter that the format does not take, an id that is no UUID, or a wrong parameter"),
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
    let job = state.broker.get(&id).await?.ok_or(ApiError::JobUnknown)?;
    // Refused before anybody waits for it.
    let chosen = chosen(&state, &job, &format, params)?;
    let job = wait::until_final(&state, &id, wait).await?;
    let job = job.ok_or(ApiError::JobUnknown)?;
    let mut response = answer(&state, &job, &chosen).await?;
    wait.confirm(response.headers_mut());
    Ok(response)
}

/// The format asked for, and the parameters it takes.
fn chosen(state: &State, job: &Job, format: &str, mut params: Params) -> Result<Chosen, ApiError> {
    let formats = state.renderer.formats(job.kind.as_str());
    let options = formats.iter().flat_map(|spec| &spec.options);
    let names: BTreeSet<&str> = options.map(|option| option.name).collect();
    let given: Vec<(String, String)> = names
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), params.text(name)?)))
        .collect();
    params.finish()?;
    Ok(choose(&formats, format, &given)?)
}

async fn answer(state: &State, job: &Job, chosen: &Chosen) -> Result<Response, ApiError> {
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
        Some(result) => {
            let shown = show(&state.renderer, job.kind.as_str(), result, chosen).await?;
            let content_type = [(header::CONTENT_TYPE, shown.content_type)];
            (content_type, shown.body).into_response()
        }
        None => Json(convert::no_result(job)).into_response(),
    };
    let value = HeaderValue::from_static(job.status.as_str());
    response.headers_mut().insert("x-job-state", value);
    Ok(response)
}
