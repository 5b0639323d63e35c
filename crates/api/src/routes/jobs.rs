//! `/v1/jobs`: enqueue, list, poll, cancel, run again.

use axum::body::Body;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, http};
use jiff::Timestamp;
use lovage_client::wire::{EnqueueRequest, JobList, JobView, OnConflict, Problem};
use lovage_core::broker::{CancelReply, Enqueued, RedriveReply};
use lovage_core::clock;
use lovage_core::id::JobId;
use lovage_core::job::{Job, NewJob};
use lovage_core::query::{Filter, Page};
use lovage_core::status::Status;
use lovage_core::{lifecycle, limits};
use url::form_urlencoded;

use crate::body::{JsonText, NoBody};
use crate::error::ApiError;
use crate::params::{NoParams, Params, Segment};
use crate::state::State;
use crate::wait::{self, Wait};
use crate::{convert, estimate, idempotency, tag};

/// Jobs of a page that names no limit.
const LIMIT: usize = 50;

/// Enqueue a job.
#[utoipa::path(
    post, path = "/v1/jobs", tag = "jobs", operation_id = "enqueue_job", request_body = EnqueueRequest,
    params(
        ("dry_run" = Option<bool>, Query, description = "`true` checks the job and answers what it will probably use, without enqueueing it"),
        ("Idempotency-Key" = Option<String>, Header, description = "Up to 200 bytes. The same key and body within 24 h give the first answer again."),
        ("traceparent" = Option<String>, Header, description = "W3C trace context, stored with the job."),
    ),
    responses(
        (status = 202, body = JobView, description = "Accepted", headers(
            ("Location" = String, description = "Path of the job"),
            ("Retry-After" = u32, description = "Seconds after which to poll"),
            ("Idempotency-Replayed" = Option<String>, description = "`true` when the key gave this answer before"),
        )),
        (status = 200, body = JobView, description = "The unfinished job that holds the unique key (`on_conflict=return`); with `dry_run=true` an `EstimateView`"),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "Not JSON, or not UTF-8"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "The unique key is held, or the id is taken; see `existing_job_id`"),
        (status = 413, body = Problem, content_type = "application/problem+json", description = "Body or input too large"),
        (status = 415, body = Problem, content_type = "application/problem+json", description = "Not sent as application/json"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "Unknown kind, unknown or wrong field or parameter, or idempotency key used for another request"),
        (status = 503, body = Problem, content_type = "application/problem+json", description = "Store unreachable or full, or server draining"),
    )
)]
pub(crate) async fn enqueue(
    Extract(state): Extract<State>,
    headers: HeaderMap,
    mut params: Params,
    text: JsonText,
) -> Result<Response, ApiError> {
    let dry_run = params.one("dry_run", "true or false", |text| text.parse().ok());
    params.finish()?;
    if dry_run == Some(true) {
        return estimate::answer(&state, &headers, text).await;
    }
    if state.draining.is_cancelled() {
        return Err(ApiError::Draining);
    }
    let request: EnqueueRequest = text.read()?;
    let on_conflict = request.unique.as_ref().map(|unique| unique.on_conflict);
    let caller = idempotency::caller(&headers)?;
    let now = state.clock.now();
    let new = convert::new_job(request, &caller, &state, now)?;
    let replies = state.broker.enqueue(vec![new.clone()], false).await?;
    match replies.first().expect("a store answers once per job") {
        Enqueued::Accepted(id) => Ok(accepted(
            &state,
            &first_answer(&state, *id, &new, now).await,
        )),
        Enqueued::Replayed(id) => {
            let mut response = accepted(&state, &first_answer(&state, *id, &new, now).await);
            let replayed = HeaderValue::from_static("true");
            response
                .headers_mut()
                .insert("idempotency-replayed", replayed);
            Ok(response)
        }
        Enqueued::Duplicate(id) if on_conflict == Some(OnConflict::Return) => {
            let job = state.broker.get(id).await?;
            let job = job.ok_or(ApiError::UniqueConflict(*id))?;
            let location = [(header::LOCATION, convert::path(id))];
            Ok((location, Json(convert::job(&job))).into_response())
        }
        Enqueued::Duplicate(id) => Err(ApiError::UniqueConflict(*id)),
        Enqueued::KeyReused(id) => Err(ApiError::KeyReused(*id)),
        Enqueued::IdTaken(id) => Err(ApiError::IdTaken(*id)),
        Enqueued::QueueFull => Err(ApiError::QueueFull),
    }
}

/// The job as its enqueue left it, by the store's clock. It is in the store, so
/// a store that cannot show it now changes the answer by a moment at most.
async fn first_answer(state: &State, id: JobId, new: &NewJob, now: Timestamp) -> Job {
    match state.broker.get(&id).await {
        Ok(Some(job)) => lifecycle::as_enqueued(&job),
        Ok(None) | Err(_) => {
            let asked = NewJob { id, ..new.clone() };
            lifecycle::enqueue(&asked, now)
        }
    }
}

fn accepted(state: &State, job: &Job) -> Response {
    let headers = [
        (header::LOCATION, convert::path(&job.id)),
        (header::RETRY_AFTER, poll_hint(state)),
    ];
    (StatusCode::ACCEPTED, headers, Json(convert::job(job))).into_response()
}

/// Seconds after which to ask again.
pub(crate) fn poll_hint(state: &State) -> String {
    state.config.poll_hint.as_secs().to_string()
}

/// List jobs, unfinished ones before finished ones.
#[utoipa::path(
    get, path = "/v1/jobs", tag = "jobs", operation_id = "list_jobs",
    params(
        ("state" = Option<Vec<String>>, Query, description = "Any of these; repeated or comma-separated", example = "queued,running"),
        ("queue" = Option<String>, Query), ("kind" = Option<String>, Query),
        ("session" = Option<String>, Query), ("tag" = Option<String>, Query),
        ("created_after" = Option<String>, Query, format = DateTime, description = "At or after"),
        ("created_before" = Option<String>, Query, format = DateTime, description = "Before"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200, description = "Jobs wanted, 50 when absent"),
    ),
    responses(
        (status = 200, body = JobList, headers(("Link" = Option<String>, description = "`rel=\"next\"` unless this is the last page"))),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "Unknown or wrong parameter"),
    )
)]
pub(crate) async fn list(
    Extract(state): Extract<State>,
    uri: http::Uri,
    mut params: Params,
) -> Result<Response, ApiError> {
    let filter = filter(&mut params);
    let page = page(&mut params);
    params.finish()?;
    let found = state.broker.list(&filter, &page).await?;
    let list = JobList {
        jobs: found.jobs.iter().map(convert::job).collect(),
        next_cursor: found.next,
    };
    let mut response = Json(&list).into_response();
    if let Some(cursor) = &list.next_cursor {
        let link = next_link(uri.query().unwrap_or_default(), cursor);
        let link = HeaderValue::try_from(link).expect("a form-encoded query is ASCII");
        response.headers_mut().insert(header::LINK, link);
    }
    Ok(response)
}

fn filter(params: &mut Params) -> Filter {
    let time = |text: &str| text.parse().ok().map(clock::to_millis);
    let expected_time = "a time such as 2026-01-31T09:30:00Z";
    let name = "1 to 64 of a-z, 0-9, '.', '_', '-'";
    Filter {
        states: states(params),
        queue: params.one("queue", name, |text| text.parse().ok()),
        kind: params.one("kind", name, |text| text.parse().ok()),
        tenant: None,
        session: params.text("session"),
        tag: params.text("tag"),
        created_after: params.one("created_after", expected_time, time),
        created_before: params.one("created_before", expected_time, time),
    }
}

fn states(params: &mut Params) -> Vec<Status> {
    let given = params.all("state");
    let mut states = Vec::new();
    for text in given.iter().flat_map(|value| value.split(',')) {
        match text.trim().parse::<Status>() {
            Ok(status) if states.contains(&status) => {}
            Ok(status) => states.push(status),
            Err(error) => params.refuse("state", error.to_string()),
        }
    }
    states
}

fn page(params: &mut Params) -> Page {
    let max = limits::LIST_PAGE_MAX;
    let limit = params.one("limit", &format!("1 to {max}"), |text| {
        text.parse().ok().filter(|limit| (1..=max).contains(limit))
    });
    Page {
        cursor: params.text("cursor"),
        limit: limit.unwrap_or(LIMIT),
    }
}

/// The same listing from `cursor` on.
fn next_link(query: &str, cursor: &str) -> String {
    let kept = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != "cursor");
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(kept)
        .append_pair("cursor", cursor)
        .finish();
    format!("</v1/jobs?{query}>; rel=\"next\"")
}

/// A job as it stands, at once or when it is over.
#[utoipa::path(
    get, path = "/v1/jobs/{id}", tag = "jobs", operation_id = "get_job",
    params(
        ("id" = uuid::Uuid, Path),
        ("wait" = Option<u32>, Query, minimum = 0, maximum = 60, description = "Seconds to wait for the job to be over"),
        ("Prefer" = Option<String>, Header, description = "`wait=30` does the same"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` last seen"),
    ),
    responses(
        (status = 200, body = JobView, headers(
            ("ETag" = String, description = "Strong: changes with every byte of the body"),
            ("Preference-Applied" = Option<String>, description = "The wait that was preferred"),
            ("Retry-After" = Option<u32>, description = "Seconds after which to poll; absent when the job is over"),
        )),
        (status = 304, description = "The job is as it was last seen"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "Unknown id"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "An id that is no UUID, or a wrong parameter"),
    )
)]
pub(crate) async fn get(
    Extract(state): Extract<State>,
    Segment(id): Segment<JobId>,
    headers: HeaderMap,
    mut params: Params,
) -> Result<Response, ApiError> {
    let wait = Wait::of(&headers, &mut params);
    params.finish()?;
    let job = wait::until_final(&state, &id, wait).await?;
    let job = job.ok_or(ApiError::JobUnknown)?;
    let body = serde_json::to_vec(&convert::job(&job)).expect("a job has a JSON form");
    let tag = tag::of(&body);
    let mut response = if tag::is_known(&headers, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let json = [(header::CONTENT_TYPE, "application/json")];
        (json, Body::from(body)).into_response()
    };
    let answer = response.headers_mut();
    wait.confirm(answer);
    answer.insert(header::ETAG, ascii(tag));
    if !job.status.is_final() {
        answer.insert(header::RETRY_AFTER, ascii(poll_hint(&state)));
    }
    Ok(response)
}

fn ascii(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("digits and quotes are a header value")
}

/// Stop a job, or ask its worker to.
#[utoipa::path(
    post, path = "/v1/jobs/{id}/cancel", tag = "jobs", operation_id = "cancel_job",
    params(("id" = uuid::Uuid, Path)),
    responses(
        (status = 202, body = JobView, description = "Cancelled, or its worker was told"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "Unknown id"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "It is over already; see `state`"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "An id that is no UUID, a parameter, or a body"),
    )
)]
pub(crate) async fn cancel(
    Extract(state): Extract<State>,
    Segment(id): Segment<JobId>,
    _: NoParams,
    _: NoBody,
) -> Result<Response, ApiError> {
    match state.broker.cancel(&id).await? {
        CancelReply::Cancelled | CancelReply::Requested => as_it_stands(&state, &id).await,
        CancelReply::TooLate(status) => Err(ApiError::AlreadyFinished(status)),
        CancelReply::NotFound => Err(ApiError::JobUnknown),
    }
}

/// Run a failed or cancelled job again, what its steps stored kept.
#[utoipa::path(
    post, path = "/v1/jobs/{id}/retry", tag = "jobs", operation_id = "retry_job",
    params(("id" = uuid::Uuid, Path)),
    responses(
        (status = 202, body = JobView, description = "Queued again"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "Unknown id"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "Its state does not allow it, or another job holds its unique key"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "An id that is no UUID, a parameter, or a body"),
    )
)]
pub(crate) async fn retry(
    Extract(state): Extract<State>,
    Segment(id): Segment<JobId>,
    _: NoParams,
    _: NoBody,
) -> Result<Response, ApiError> {
    if state.draining.is_cancelled() {
        return Err(ApiError::Draining);
    }
    match state.broker.redrive(&id).await? {
        RedriveReply::Queued => as_it_stands(&state, &id).await,
        RedriveReply::Refused(status) => Err(ApiError::NotRetryable(status)),
        RedriveReply::Duplicate(holder) => Err(ApiError::UniqueConflict(holder)),
        RedriveReply::NotFound => Err(ApiError::JobUnknown),
    }
}

/// `202` with the job after what was asked of it.
pub(crate) async fn as_it_stands(state: &State, id: &JobId) -> Result<Response, ApiError> {
    let job = state.broker.get(id).await?.ok_or(ApiError::JobUnknown)?;
    Ok(accepted(state, &job))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_keeps_the_filters() {
        assert_eq!(
            next_link("state=queued&cursor=old&tag=a%20b", "n/w"),
            "</v1/jobs?state=queued&tag=a+b&cursor=n%2Fw>; rel=\"next\""
        );
    }
}
