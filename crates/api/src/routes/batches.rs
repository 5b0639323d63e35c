//! `/v1/batches`: many jobs, one call, one answer each.

use axum::Json;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, StatusCode};
use lovage_client::wire::{
    BatchItem, BatchReply, BatchRequest, EnqueueRequest, FieldError, OnConflict, Problem,
};
use lovage_core::broker::Enqueued;
use lovage_core::id::JobId;
use lovage_core::job::NewJob;
use lovage_core::limits;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::body::{self, JsonText};
use crate::convert::{self, Caller};
use crate::error::{ApiError, at_pointer};
use crate::idempotency;
use crate::params::NoParams;
use crate::state::State;

/// A [`BatchRequest`] whose jobs are read one by one, so that each is refused alone.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unread {
    jobs: Vec<Box<RawValue>>,
    #[serde(default)]
    atomic: bool,
}

/// A job of a batch on its way.
enum Item {
    /// It can be enqueued.
    Ready(Box<NewJob>, OnConflict),
    /// It cannot.
    Refused(ApiError),
}

/// Enqueue jobs, each accepted or refused alone; with `atomic` all or none.
#[utoipa::path(
    post, path = "/v1/batches", tag = "jobs", operation_id = "enqueue_batch", request_body = BatchRequest,
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "Up to 200 bytes, the job's place in the batch included; holds for each job of the batch by its place"),
        ("traceparent" = Option<String>, Header, description = "W3C trace context, stored with the job."),
    ),
    responses(
        (status = 200, body = BatchReply, description = "One answer per job, in order"),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "Not JSON, or not UTF-8"),
        (status = 413, body = Problem, content_type = "application/problem+json", description = "Body too large"),
        (status = 415, body = Problem, content_type = "application/problem+json", description = "Not sent as application/json"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "No batch, a parameter, or an atomic batch with refused jobs: `errors[]` says which"),
    )
)]
pub(crate) async fn enqueue(
    Extract(state): Extract<State>,
    _: NoParams,
    headers: HeaderMap,
    text: JsonText,
) -> Result<Json<BatchReply>, ApiError> {
    if state.draining.is_cancelled() {
        return Err(ApiError::Draining);
    }
    let batch: Unread = text.read()?;
    let (got, max) = (batch.jobs.len(), limits::ENQUEUE_BATCH_MAX);
    if got == 0 || got > max {
        let detail = format!("expected 1 to {max} jobs, got {got}");
        return Err(ApiError::Invalid(vec![at_pointer("/jobs", detail)]));
    }
    let caller = idempotency::caller(&headers)?;
    let now = state.clock.now();
    let items: Vec<_> = batch
        .jobs
        .iter()
        .enumerate()
        .map(|(index, job)| item(job, &idempotency::of_item(&caller, index), &state, now))
        .collect();
    if batch.atomic {
        refuse_all_if_any(&items)?;
    }
    let ready = items.iter().filter_map(|item| match item {
        Item::Ready(job, _) => Some(NewJob::clone(job)),
        Item::Refused(_) => None,
    });
    let ready: Vec<_> = ready.collect();
    let replies = if ready.is_empty() {
        Vec::new()
    } else {
        state.broker.enqueue(ready, batch.atomic).await?
    };
    let mut replies = replies.into_iter();
    let answers: Vec<_> = items
        .into_iter()
        .map(|item| answer(item, &mut replies))
        .collect();
    if batch.atomic {
        refuse_all_if_refused(&answers)?;
    }
    Ok(Json(reply(answers)))
}

fn item(raw: &RawValue, caller: &Caller, state: &State, now: jiff::Timestamp) -> Item {
    let read = || {
        let request: EnqueueRequest = body::read(raw.get())?;
        let unique = request.unique.as_ref();
        let on_conflict = unique.map(|unique| unique.on_conflict).unwrap_or_default();
        let job = convert::new_job(request, caller, state, now)?;
        Ok(Item::Ready(Box::new(job), on_conflict))
    };
    read().unwrap_or_else(Item::Refused)
}

/// What became of a job: its status and id, or why it was refused.
type Answer = Result<(StatusCode, JobId, bool), ApiError>;

fn answer(item: Item, replies: &mut impl Iterator<Item = Enqueued>) -> Answer {
    let on_conflict = match item {
        Item::Ready(_, on_conflict) => on_conflict,
        Item::Refused(error) => return Err(error),
    };
    match replies.next().expect("a store answers once per job") {
        Enqueued::Accepted(id) => Ok((StatusCode::ACCEPTED, id, false)),
        Enqueued::Replayed(id) => Ok((StatusCode::ACCEPTED, id, true)),
        Enqueued::Duplicate(id) if on_conflict == OnConflict::Return => {
            Ok((StatusCode::OK, id, false))
        }
        Enqueued::Duplicate(id) => Err(ApiError::UniqueConflict(id)),
        Enqueued::KeyReused(id) => Err(ApiError::KeyReused(id)),
        Enqueued::IdTaken(id) => Err(ApiError::IdTaken(id)),
        Enqueued::QueueFull => Err(ApiError::QueueFull),
    }
}

fn refuse_all_if_any(items: &[Item]) -> Result<(), ApiError> {
    let refusals = items.iter().map(|item| match item {
        Item::Ready(..) => None,
        Item::Refused(error) => Some(error),
    });
    refuse_all(refusals)
}

/// A conflict keeps an atomic batch out even where `on_conflict` is `return`:
/// the store cannot tell them apart.
fn refuse_all_if_refused(answers: &[Answer]) -> Result<(), ApiError> {
    let conflicts: Vec<_> = answers
        .iter()
        .map(|answer| match answer {
            Ok((StatusCode::OK, id, _)) => Some(ApiError::UniqueConflict(*id)),
            Ok(_) => None,
            Err(error) => Some(error.clone()),
        })
        .collect();
    refuse_all(conflicts.iter().map(Option::as_ref))
}

fn refuse_all<'a>(refusals: impl Iterator<Item = Option<&'a ApiError>>) -> Result<(), ApiError> {
    let errors: Vec<_> = refusals
        .enumerate()
        .filter_map(|(index, error)| Some(placed(index, error?)))
        .flatten()
        .collect();
    if errors.is_empty() {
        Ok(())
    } else {
        Err(ApiError::BatchRefused(errors))
    }
}

/// The errors of a job, with their places in the batch.
fn placed(index: usize, error: &ApiError) -> Vec<FieldError> {
    let base = format!("/jobs/{index}");
    let fields = error.fields();
    if fields.is_empty() {
        return vec![at_pointer(base, error.to_string())];
    }
    fields
        .into_iter()
        .map(|field| {
            at_pointer(
                base.clone() + &field.pointer.unwrap_or_default(),
                field.detail,
            )
        })
        .collect()
}

fn reply(answers: Vec<Answer>) -> BatchReply {
    let items: Vec<_> = answers
        .into_iter()
        .map(|answer| match answer {
            Ok((status, id, replayed)) => BatchItem {
                status: status.as_u16(),
                id: Some(id.uuid()),
                replayed,
                problem: None,
            },
            Err(error) => BatchItem {
                status: error.status().as_u16(),
                id: None,
                replayed: false,
                problem: Some(error.problem(None, None)),
            },
        })
        .collect();
    let refused = items.iter().filter(|item| item.problem.is_some()).count();
    BatchReply {
        accepted: items.len() - refused,
        refused,
        items,
    }
}
