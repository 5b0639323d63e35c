//! Every JSON shape that crosses HTTP.
//!
//! Times are RFC 3339 in UTC, durations whole seconds. Requests refuse unknown
//! fields; answers may gain fields, which a reader passes over.

mod limit;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

#[cfg(feature = "openapi")]
use utoipa::ToSchema;

pub use self::limit::{LimitList, LimitTotals, LimitView, ProviderLimits};

/// What a job will probably use of a language model. `null` is unknown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct EstimateView {
    /// The job's kind.
    pub kind: String,
    /// Calls to a model.
    pub calls: Option<u64>,
    /// Prompt tokens.
    pub prompt_tokens: Option<u64>,
    /// Completion tokens.
    pub completion_tokens: Option<u64>,
    /// US dollars; unknown where no price is set.
    pub cost_usd: Option<f64>,
    /// The same by step; empty where nothing is called or nobody knows.
    pub by_step: Vec<StepEstimateView>,
    /// What the estimate assumes and leaves out.
    pub notes: Vec<String>,
}

/// What one step will probably use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct StepEstimateView {
    /// Step.
    pub step: String,
    /// Calls to a model.
    pub calls: u64,
    /// Prompt tokens.
    pub prompt_tokens: u64,
    /// Completion tokens.
    pub completion_tokens: u64,
    /// US dollars; unknown where no price is set.
    pub cost_usd: Option<f64>,
}

/// A job to be run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct EnqueueRequest {
    /// What to do, such as `script.generate`.
    pub kind: String,
    /// What to do it with; the kind decides its shape. At most 1 MiB.
    #[cfg_attr(feature = "openapi", schema(value_type = serde_json::Value))]
    pub input: Box<RawValue>,
    /// Where to wait; without it the kind's queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "default"))]
    pub queue: Option<String>,
    /// 0 to 9, 9 first; without it 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 9))]
    pub priority: Option<u8>,
    /// Not before this time, to the millisecond. Not together with `delay_s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub run_at: Option<String>,
    /// Not before this many seconds have passed. Not together with `run_at`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_s: Option<u64>,
    /// Cancelled when it was not started by this time; a job that was started once has none any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub expires_at: Option<String>,
    /// Attempts before it fails, 1 to 1000; without it the kind's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1000))]
    pub attempts_max: Option<u32>,
    /// Longest run of one attempt in seconds, up to 7 days; without it the kind's timeout.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 604_800))]
    pub timeout_s: Option<u64>,
    /// A key that only one unfinished job of the queue may hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unique: Option<UniqueRequest>,
    /// Conversation it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(max_length = 200))]
    pub session: Option<String>,
    /// Labels to find it by, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(max_items = 16))]
    pub tags: Vec<String>,
    /// The caller's own id for it, any UUID; without it the server makes a UUIDv7.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Uuid>,
}

impl EnqueueRequest {
    /// A request with the defaults of everything but its kind and input.
    ///
    /// # Errors
    /// When the input has no JSON form (a map with keys that are no strings, say).
    pub fn new(kind: &str, input: &impl Serialize) -> Result<Self, serde_json::Error> {
        Ok(Self {
            kind: kind.to_owned(),
            input: serde_json::value::to_raw_value(input)?,
            queue: None,
            priority: None,
            run_at: None,
            delay_s: None,
            expires_at: None,
            attempts_max: None,
            timeout_s: None,
            unique: None,
            session: None,
            tags: Vec::new(),
            id: None,
        })
    }
}

/// A key that only one unfinished job of a queue may hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct UniqueRequest {
    /// The key, 1 to 200 bytes without control characters.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 200))]
    pub key: String,
    /// Hold it this many seconds, finished or not; without it until the job is finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub for_s: Option<u64>,
    /// What to answer while another job holds the key.
    #[serde(default)]
    pub on_conflict: OnConflict,
}

/// What to answer while another job holds a unique key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum OnConflict {
    /// `409` with `existing_job_id`.
    #[default]
    Reject,
    /// `200` with the job that holds it.
    Return,
}

/// Jobs to be run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct BatchRequest {
    /// 1 to 1000 jobs.
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 1000))]
    pub jobs: Vec<EnqueueRequest>,
    /// All or nothing: one refused job keeps all out.
    #[serde(default)]
    pub atomic: bool,
}

/// One answer per job of a batch, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct BatchReply {
    /// Jobs that are in the store, whether new or there before.
    pub accepted: usize,
    /// Jobs that are not.
    pub refused: usize,
    /// The answers.
    pub items: Vec<BatchItem>,
}

/// What became of one job of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct BatchItem {
    /// The status its own request would have had.
    #[cfg_attr(feature = "openapi", schema(example = 202))]
    pub status: u16,
    /// The job; null when it was refused.
    pub id: Option<Uuid>,
    /// The `Idempotency-Key` of the batch gave this job before.
    pub replayed: bool,
    /// Why it was refused.
    pub problem: Option<Problem>,
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Not before its `run_at`.
    Scheduled,
    /// Ready to be run.
    Queued,
    /// A worker runs it.
    Running,
    /// Parked, at the longest until a time: see `waiting`.
    Waiting,
    /// Finished with a result.
    Succeeded,
    /// Finished with an error.
    Failed,
    /// Ended by request or expiry.
    Cancelled,
}

impl JobState {
    /// Whether the job is over.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    /// The name used everywhere: URL, JSON, command line, log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A job as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct JobView {
    /// Its id.
    pub id: Uuid,
    /// What it does.
    pub kind: String,
    /// Where it waits.
    pub queue: String,
    /// Where it stands.
    pub state: JobState,
    /// 0 to 9, 9 first.
    pub priority: u8,
    /// Attempts used, the running one included.
    pub attempt: u32,
    /// Attempts before it fails.
    pub attempts_max: u32,
    /// When it was enqueued.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub created_at: String,
    /// Not before this time.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub run_at: Option<String>,
    /// When the last attempt began.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub started_at: Option<String>,
    /// When it was over.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub finished_at: Option<String>,
    /// Not to be started after this time.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub expires_at: Option<String>,
    /// Why it is not running; null when it runs or is over.
    pub waiting: Option<WaitingView>,
    /// Where the work stands, as last reported.
    pub progress: Option<ProgressView>,
    /// What went wrong last.
    pub error: Option<ErrorView>,
    /// Conversation it belongs to.
    pub session: Option<String>,
    /// Labels to find it by.
    pub tags: Vec<String>,
    /// The job that spawned it; null unless one did.
    pub parent_id: Option<Uuid>,
    /// Where to go from here.
    pub links: Links,
}

/// Why a job is not running, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct WaitingView {
    /// `scheduled` (its time is to come), `queued` (a worker is to come),
    /// `backoff` (the next attempt after a failed one), `limit` (a rate limit or quota),
    /// `signal` (somebody is to `POST` it) or `children` (they are to be over).
    #[cfg_attr(feature = "openapi", schema(example = "backoff"))]
    pub reason: String,
    /// Name of the signal it waits for; null for other reasons.
    pub signal: Option<String>,
    /// Which limit it waits for, such as `openai/gpt-5.4-mini#a1b2c3d4 tpm`; null for other reasons.
    #[serde(default)]
    pub limit: Option<String>,
    /// Until when, at the longest; null when nobody knows.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub until: Option<String>,
}

/// Where the work stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ProgressView {
    /// Step at work.
    pub step: String,
    /// Units done.
    pub current: u64,
    /// Units in all.
    pub total: u64,
    /// For a person.
    pub message: Option<String>,
}

/// What went wrong with a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ErrorView {
    /// Stable code, such as `timeout`.
    pub code: String,
    /// One sentence for a person.
    pub message: String,
    /// Whether trying again may help.
    pub retryable: bool,
}

/// Where to go from a job. Paths on the same server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Links {
    /// The job.
    #[serde(rename = "self")]
    pub this: String,
    /// Its events.
    pub events: String,
    /// Its result.
    pub result: String,
    /// What its steps stored.
    pub checkpoints: String,
    /// The jobs it spawned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub children: Option<String>,
    /// `POST` here to give it a signal; absent when it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signals: Option<String>,
    /// `POST` here to stop it; absent when it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancel: Option<String>,
    /// `POST` here to run it again; absent unless it failed or was cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<String>,
}

/// One page of jobs, unfinished ones before finished ones.
///
/// A page may hold fewer jobs than asked for and still have a `next_cursor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct JobList {
    /// The jobs.
    pub jobs: Vec<JobView>,
    /// Where to go on; null at the end.
    pub next_cursor: Option<String>,
}

/// Type of the event that stands for events which are no longer kept.
pub const GAP: &str = "gap";

/// Something that happened to a job.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct EventView {
    /// Position in the job's events, from 1; also the cursor.
    pub seq: u64,
    /// When it happened.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub at: String,
    /// The job.
    pub job_id: Uuid,
    /// Type, such as `progress`. The last event of a finished job has its state as type;
    /// `gap` stands for events that are no longer kept and has the job in `data.job`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The step it belongs to.
    pub step: Option<String>,
    /// Anything else.
    #[cfg_attr(feature = "openapi", schema(value_type = serde_json::Value))]
    pub data: Box<RawValue>,
}

impl EventView {
    /// Whether the type is a final state. It is the job's last event unless the job is run again.
    pub fn is_final(&self) -> bool {
        matches!(self.kind.as_str(), "succeeded" | "failed" | "cancelled")
    }
}

/// One page of a job's events.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct EventList {
    /// The events, in order.
    pub events: Vec<EventView>,
    /// What to ask for as `after` next.
    pub next_after: u64,
    /// Some events after the cursor are no longer kept.
    pub missed: bool,
    /// The job is over and these are its last events.
    pub ended: bool,
}

/// What a step of a job stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct CheckpointView {
    /// The step.
    pub step: String,
    /// Which run of that step inside one attempt, from 0.
    pub occurrence: u32,
    /// Fingerprint of the step's input.
    pub fingerprint: String,
    /// What it returned.
    #[cfg_attr(feature = "openapi", schema(value_type = serde_json::Value))]
    pub value: Box<RawValue>,
}

/// What the steps of a job stored, in the order they were stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct CheckpointList {
    /// The checkpoints.
    pub checkpoints: Vec<CheckpointView>,
}

/// A value for a job, under a name.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SignalRequest {
    /// The name its handler waits for, 1 to 200 bytes without control characters.
    #[cfg_attr(
        feature = "openapi",
        schema(min_length = 1, max_length = 200, example = "approval")
    )]
    pub name: String,
    /// The value, up to 1 MiB; null when absent. The first value of a name stays.
    #[serde(default = "null")]
    #[cfg_attr(feature = "openapi", schema(value_type = serde_json::Value))]
    pub data: Box<RawValue>,
}

fn null() -> Box<RawValue> {
    RawValue::NULL.to_owned()
}

/// A job that another one spawned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ChildView {
    /// Its id.
    pub id: Uuid,
    /// The group it was spawned in.
    pub group: String,
    /// How it ended: `succeeded`, `failed` or `cancelled`; null while it is not over.
    pub ended: Option<JobState>,
}

/// The children of a job, in the order they were spawned; at most 1000.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ChildList {
    /// The children.
    pub children: Vec<ChildView>,
}

/// The result of a job that gave none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct NoResult {
    /// The job.
    pub id: Uuid,
    /// `failed` or `cancelled`.
    pub state: JobState,
    /// Why.
    pub error: Option<ErrorView>,
}

/// What a queue holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct QueueView {
    /// The queue.
    pub queue: String,
    /// Gives no jobs until resumed.
    pub paused: bool,
    /// How many jobs it gives at once and how fast, and how tenants share them.
    #[serde(default)]
    pub limits: LimitsView,
    /// Jobs not before their time.
    pub scheduled: u64,
    /// Jobs ready to be run.
    pub queued: u64,
    /// Jobs being run.
    pub running: u64,
    /// Jobs parked.
    pub waiting: u64,
    /// Jobs that succeeded since the queue was made.
    pub succeeded_total: u64,
    /// Jobs that failed since the queue was made.
    pub failed_total: u64,
    /// Jobs that were cancelled since the queue was made.
    pub cancelled_total: u64,
}

/// What a queue may give, in place of what was set before: what is absent or null is not limited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct LimitsRequest {
    /// Jobs that wait to be started at most, 1 to 10 million; without it 10 million. More are refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 10_000_000))]
    pub length: Option<u64>,
    /// Jobs running at once, over all workers; at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub concurrency: Option<u32>,
    /// Jobs started per time, over all workers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<RateRequest>,
    /// Shares of tenants among jobs of one priority, 1 to 100 by the tenant's
    /// name; at most 1000. Who is not named has 1.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub weights: BTreeMap<String, u8>,
}

/// Jobs started per time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RateRequest {
    /// How many, 1 to 1000000.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1_000_000))]
    pub jobs: u32,
    /// In how many seconds, up to 30 days.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 2_592_000))]
    pub per_s: u32,
    /// How many at once after a pause, 1 to `jobs`; without it what 10 ms allow, at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub burst: Option<u32>,
}

/// What a queue may give.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct LimitsView {
    /// Jobs that wait to be started at most; null for 10 million.
    #[serde(default)]
    pub length: Option<u64>,
    /// Jobs running at once, over all workers; null when not limited.
    pub concurrency: Option<u32>,
    /// Jobs started per time, over all workers; null when not limited.
    pub rate: Option<RateView>,
    /// Shares of tenants; who is not named has 1.
    pub weights: BTreeMap<String, u8>,
}

/// Jobs started per time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct RateView {
    /// How many.
    pub jobs: u64,
    /// In how many seconds.
    pub per_s: u32,
    /// How many at once after a pause.
    pub burst: u32,
}

/// Every queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct QueueList {
    /// The queues.
    pub queues: Vec<QueueView>,
}

/// Whether the server can do its work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Health {
    /// All checks passed.
    pub ok: bool,
    /// The checks.
    pub checks: Vec<HealthCheck>,
}

/// Whether one component works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct HealthCheck {
    /// Which, such as `store`.
    pub component: String,
    /// It works.
    pub ok: bool,
    /// Why not.
    pub detail: Option<String>,
}

/// What went wrong with a request (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Problem {
    /// Stable name of the kind of problem.
    #[serde(rename = "type")]
    #[cfg_attr(
        feature = "openapi",
        schema(example = "urn:lovage:problem:invalid_request")
    )]
    pub kind: String,
    /// The kind of problem, for a person.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What went wrong this time.
    pub detail: String,
    /// The path that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Stable code, the last part of `type`.
    pub code: String,
    /// The `X-Request-Id` of the answer; also in the server's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Each thing that is wrong with the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// The job that stands in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub existing_job_id: Option<Uuid>,
    /// When the result ceased to be kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub expired_at: Option<String>,
    /// The state of the job that does not allow what was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<JobState>,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.detail, self.code)?;
        for error in &self.errors {
            let place = error.pointer.as_ref().or(error.parameter.as_ref());
            match place.filter(|place| !place.is_empty()) {
                Some(place) => write!(f, "; {place}: {}", error.detail)?,
                None => write!(f, "; {}", error.detail)?,
            }
        }
        Ok(())
    }
}

/// One thing that is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct FieldError {
    /// JSON Pointer into the body, such as `/input/topic`; empty for the body itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Name of the path or query parameter or header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
    /// What was expected and what came.
    pub detail: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_carries_its_input_untouched_and_refuses_what_it_does_not_know() {
        let text = r#"{"kind":"test.noop","input":{ "b":1.0, "a":[] }}"#;
        let request: EnqueueRequest = serde_json::from_str(text).unwrap();
        assert_eq!(request.input.get(), r#"{ "b":1.0, "a":[] }"#);
        assert_eq!(serde_json::to_string(&request).unwrap(), text);
        for unknown in ["webhook", "qeueu"] {
            let text = format!(r#"{{"kind":"test.noop","input":1,"{unknown}":"x"}}"#);
            let error = serde_json::from_str::<EnqueueRequest>(&text).unwrap_err();
            assert!(error.to_string().contains(unknown), "{error}");
        }
    }

    #[test]
    fn a_problem_says_what_is_wrong_and_where() {
        let problem: Problem = serde_json::from_str(
            r#"{"type":"urn:x","title":"t","status":422,"detail":"the request is not valid",
                "code":"invalid_request","errors":[{"pointer":"/priority","detail":"0 to 9"}]}"#,
        )
        .unwrap();
        assert_eq!(
            problem.to_string(),
            "the request is not valid (invalid_request); /priority: 0 to 9"
        );
    }
}
