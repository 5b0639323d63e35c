//! From the wire to the core and back, field by field.

use std::time::Duration;

use jiff::Timestamp;
use lovage_client::wire::{
    CheckpointView, ChildView, EnqueueRequest, ErrorView, EventView, JobState, JobView, Links,
    NoResult, ProgressView, QueueView, WaitingView,
};
use lovage_core::attempt::JobError;
use lovage_core::catalog::{CatalogError, KindSpec};
use lovage_core::checkpoint::Checkpoint;
use lovage_core::event::Event;
use lovage_core::id::{JobId, Priority};
use lovage_core::job::Child;
use lovage_core::job::{Idempotency, Job, NewJob};
use lovage_core::limits;
use lovage_core::payload::Payload;
use lovage_core::query::QueueStats;
use lovage_core::status::{Status, WaitReason};
use serde_json::value::RawValue;

use crate::error::ApiError;
use crate::fields::Fields;
use crate::idempotency::fingerprint;
use crate::limits::limits_view;
use crate::state::State;

/// Longest `timeout_s`: 7 days.
const TIMEOUT_S_MAX: u64 = 7 * 24 * 3600;

/// What an enqueue request says outside of its body.
#[derive(Debug, Clone, Default)]
pub(crate) struct Caller {
    /// The checked `Idempotency-Key`.
    pub(crate) key: Option<String>,
    /// The `traceparent`, when it is one.
    pub(crate) traceparent: Option<String>,
}

/// A request as a job to be enqueued at `now`; says everything that is wrong with it.
pub(crate) fn new_job(
    request: EnqueueRequest,
    caller: &Caller,
    state: &State,
    now: Timestamp,
) -> Result<NewJob, ApiError> {
    let mut fields = Fields::default();
    let Some(input) = fields.input(&request.input) else {
        return Err(ApiError::Invalid(fields.errors));
    };
    let bytes = request.input.get().len();
    let kinds = &state.catalog;
    let spec = match kinds.check(&request.kind, &input, bytes) {
        Ok(spec) => Some(spec),
        Err(CatalogError::Input(errors)) => {
            for error in errors {
                fields.refuse(&format!("/input{}", error.pointer), error.message);
            }
            kinds
                .kinds()
                .find(|spec| spec.kind.as_str() == request.kind)
        }
        Err(error @ CatalogError::UnknownKind { .. }) => {
            return Err(ApiError::UnknownKind(error.to_string()));
        }
        Err(CatalogError::TooLarge { got, max }) => {
            let what = "input";
            return Err(ApiError::ValueTooLarge { what, got, max });
        }
    };
    let spec = spec.expect("a kind whose input was checked is in the catalogue");
    let idempotency = caller.key.as_ref().map(|key| Idempotency {
        key: key.clone(),
        fingerprint: fingerprint(&request),
    });
    let new = checked(request, spec, &mut fields, now);
    let mut new = fields.all_right(new)?;
    new.idempotency = idempotency;
    new.traceparent = caller.traceparent.clone();
    new.keep = state.config.keep;
    new.keep_dead = state.config.keep_dead;
    Ok(new)
}

/// The job, where `fields` has no complaint.
fn checked(
    request: EnqueueRequest,
    spec: &KindSpec,
    fields: &mut Fields,
    now: Timestamp,
) -> NewJob {
    let id = request.id.map_or_else(|| JobId::at(now), JobId::from);
    let mut new = spec.job(id, Payload::from(request.input));
    let queue = request.queue.map(|text| text.parse());
    new.queue = fields.take("/queue", queue).unwrap_or(new.queue);
    let priority = request.priority.map(Priority::try_from);
    new.priority = fields.take("/priority", priority).unwrap_or_default();
    new.run_at = fields.run_at(request.run_at.as_deref(), request.delay_s, now);
    new.expires_at = fields.time("/expires_at", request.expires_at.as_deref());
    if new.run_at.is_some() && new.expires_at.is_some() && new.expires_at <= new.run_at {
        let got = request.expires_at.as_deref().unwrap_or_default();
        fields.refuse(
            "/expires_at",
            format!("expected a time after run_at, got {got}"),
        );
    }
    let attempts_max = request.attempts_max.map(u64::from);
    new.attempts_max = fields
        .within(
            "/attempts_max",
            attempts_max,
            u64::from(limits::ATTEMPTS_MAX),
        )
        .and_then(|number| u32::try_from(number).ok())
        .unwrap_or(new.attempts_max);
    new.timeout = fields
        .within("/timeout_s", request.timeout_s, TIMEOUT_S_MAX)
        .map(Duration::from_secs)
        .or(new.timeout);
    new.unique = request.unique.map(|unique| fields.unique(unique));
    new.session = request.session;
    if let Some(session) = &new.session {
        fields.label("/session", session);
    }
    new.tags = request.tags;
    if new.tags.len() > limits::TAGS_MAX {
        let (max, got) = (limits::TAGS_MAX, new.tags.len());
        fields.refuse("/tags", format!("expected at most {max}, got {got}"));
    }
    for (index, tag) in new.tags.iter().enumerate().take(limits::TAGS_MAX) {
        fields.label(&format!("/tags/{index}"), tag);
    }
    new
}

/// A time for a caller: UTC, to the millisecond.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// A job for a caller.
pub(crate) fn job(job: &Job) -> JobView {
    let time = |at: Option<Timestamp>| at.map(rfc3339);
    JobView {
        id: job.id.uuid(),
        kind: job.kind.to_string(),
        queue: job.queue.to_string(),
        state: state(job.status),
        priority: job.priority.get(),
        attempt: job.attempt,
        attempts_max: job.attempts_max,
        created_at: rfc3339(job.created_at),
        run_at: time(job.run_at),
        started_at: time(job.started_at),
        finished_at: time(job.finished_at),
        expires_at: time(job.expires_at),
        waiting: waiting(job),
        progress: job.progress.as_ref().map(|progress| ProgressView {
            step: progress.step.clone(),
            current: progress.current,
            total: progress.total,
            message: progress.message.clone(),
        }),
        error: job.error.as_ref().map(error),
        session: job.session.clone(),
        tags: job.tags.clone(),
        parent_id: job.parent.map(JobId::uuid),
        links: links(job),
    }
}

fn waiting(job: &Job) -> Option<WaitingView> {
    let (reason, until) = match (job.status, &job.waiting) {
        (_, Some(waiting)) => (waiting.reason.as_str(), Some(waiting.until)),
        (Status::Scheduled, None) => ("scheduled", job.run_at),
        (Status::Queued, None) => ("queued", None),
        _ => return None,
    };
    let parked = job.waiting.as_ref().map(|waiting| &waiting.reason);
    let signal = parked.and_then(WaitReason::signal);
    let limit = parked.and_then(WaitReason::limit);
    Some(WaitingView {
        reason: reason.to_owned(),
        signal: signal.map(str::to_owned),
        limit: limit.map(str::to_owned),
        until: until.map(rfc3339),
    })
}

fn links(job: &Job) -> Links {
    let this = path(&job.id);
    let below = |name: &str| format!("{this}/{name}");
    let unfinished = !job.status.is_final();
    let retryable = matches!(job.status, Status::Failed | Status::Cancelled);
    Links {
        events: below("events"),
        result: below("result"),
        checkpoints: below("checkpoints"),
        children: Some(below("children")),
        signals: unfinished.then(|| below("signals")),
        cancel: unfinished.then(|| below("cancel")),
        retry: retryable.then(|| below("retry")),
        this,
    }
}

/// The path of a job.
pub(crate) fn path(id: &JobId) -> String {
    format!("/v1/jobs/{id}")
}

/// A status for a caller.
pub(crate) fn state(status: Status) -> JobState {
    match status {
        Status::Scheduled => JobState::Scheduled,
        Status::Queued => JobState::Queued,
        Status::Running => JobState::Running,
        Status::Waiting => JobState::Waiting,
        Status::Succeeded => JobState::Succeeded,
        Status::Failed => JobState::Failed,
        Status::Cancelled => JobState::Cancelled,
    }
}

fn error(error: &JobError) -> ErrorView {
    ErrorView {
        code: error.code.clone(),
        message: error.message.clone(),
        retryable: error.retryable,
    }
}

/// The end of a job that gave no result.
pub(crate) fn no_result(job: &Job) -> NoResult {
    NoResult {
        id: job.id.uuid(),
        state: state(job.status),
        error: job.error.as_ref().map(error),
    }
}

/// An event for a caller.
pub(crate) fn event(event: &Event) -> EventView {
    EventView {
        seq: event.seq,
        at: rfc3339(event.at),
        job_id: event.job.uuid(),
        kind: event.kind.clone(),
        step: event.step.clone(),
        data: raw(&event.data),
    }
}

/// A checkpoint for a caller.
pub(crate) fn checkpoint(checkpoint: &Checkpoint) -> CheckpointView {
    CheckpointView {
        step: checkpoint.step.clone(),
        occurrence: checkpoint.occurrence,
        fingerprint: checkpoint.fingerprint.clone(),
        value: raw(&checkpoint.value),
    }
}

/// A child for a caller.
pub(crate) fn child(child: &Child) -> ChildView {
    ChildView {
        id: child.id.uuid(),
        group: child.group.clone(),
        ended: child.ended.map(state),
    }
}

fn raw(payload: &Payload) -> Box<RawValue> {
    payload.read().expect("a payload is a JSON document")
}

/// A queue for a caller.
pub(crate) fn queue(stats: &QueueStats) -> QueueView {
    QueueView {
        queue: stats.queue.to_string(),
        paused: stats.paused,
        limits: limits_view(&stats.limits),
        scheduled: stats.scheduled,
        queued: stats.queued,
        running: stats.running,
        waiting: stats.waiting,
        succeeded_total: stats.succeeded_total,
        failed_total: stats.failed_total,
        cancelled_total: stats.cancelled_total,
    }
}
