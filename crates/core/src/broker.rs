//! What a store of jobs promises.
//!
//! Both stores and the in-memory model pass one conformance suite, a named
//! test per promise of [`crate::invariant`]. Every call may be sent again
//! after [`BrokerError::Unavailable`]: nothing happens twice, but for an event
//! emitted by a call whose answer was lost, which may then stand twice.

use std::time::Duration;

use async_trait::async_trait;

use crate::checkpoint::Checkpoint;
use crate::error::BrokerError;
use crate::event::{EventPage, NewEvent};
use crate::id::{JobId, QueueName, WorkerId};
use crate::job::{Child, Job, NewJob};
use crate::lease::Lease;
use crate::lifecycle::Next;
use crate::payload::Payload;
use crate::query::{Filter, JobPage, Page, QueueStats};
use crate::queue::QueueLimits;
use crate::status::Status;

/// What became of one job of an enqueue call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enqueued {
    /// It is in the store now.
    Accepted(JobId),
    /// The same idempotency key gave this job before (E2).
    Replayed(JobId),
    /// The same idempotency key was used for something else (E2).
    KeyReused(JobId),
    /// An unfinished job holds the unique key (E3).
    Duplicate(JobId),
    /// A job with this id is there already.
    IdTaken(JobId),
    /// As many jobs wait in the queue as its limits allow.
    QueueFull,
}

/// A worker asking for jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Who asks; registered for the queue.
    pub worker: WorkerId,
    /// From where.
    pub queue: QueueName,
    /// How many at most; at most [`crate::limits::BATCH_MAX`] are given.
    pub want: usize,
}

/// A job given to a worker, with the right to write about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The job, `Running`.
    pub job: Job,
    /// The right.
    pub lease: Lease,
}

/// What a claim gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// The jobs, most urgent first.
    pub claimed: Vec<Claimed>,
    /// Time until a claim may give more: until the next scheduled or waiting job
    /// of the queue is due, or its rate allows the next of its jobs.
    pub next_due: Option<Duration>,
}

/// One attempt's end.
#[derive(Debug, Clone, PartialEq)]
pub struct Settle {
    /// The right to settle.
    pub lease: Lease,
    /// The job as it was claimed.
    pub job: Job,
    /// What [`crate::lifecycle::settle`] decided.
    pub next: Next,
}

/// Whether a settle took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It did, now or when it was sent before (S2).
    Done,
    /// The lease was lost; nothing was written (L3).
    Fenced,
}

/// Why a waiting worker was woken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wake {
    /// There may be jobs.
    Work,
    /// These jobs are to be stopped.
    Cancel(Vec<JobId>),
    /// Nothing happened for as long as was asked.
    Timeout,
}

/// What became of a request to cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelReply {
    /// Nobody ran it: it is cancelled.
    Cancelled,
    /// Its worker was told; it ends within a lease (K1, K2).
    Requested,
    /// It was over already, with this status.
    TooLate(Status),
    /// No such job.
    NotFound,
}

/// What became of a request to run a finished job again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedriveReply {
    /// It is queued.
    Queued,
    /// Its status does not allow it.
    Refused(Status),
    /// Another unfinished job holds its unique key.
    Duplicate(JobId),
    /// No such job.
    NotFound,
}

/// Children of a running job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spawn {
    /// The right to spawn.
    pub lease: Lease,
    /// Which of the parent's groups they are; at most [`crate::limits::KEY_BYTES_MAX`] bytes.
    pub group: String,
    /// The children, in the parent's queue; their `parent` is set by the store.
    pub children: Vec<NewJob>,
}

/// What became of a signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignalReply {
    /// The job has it, now or since it was sent before.
    Delivered,
    /// The job has another value under this name.
    Taken,
    /// It is over already, with this status.
    TooLate(Status),
    /// No such job.
    NotFound,
}

/// What a sweep did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Jobs taken from workers whose lease ran out, and where they went.
    pub reclaimed: Vec<(JobId, Status)>,
    /// Jobs cancelled because they did not stop within a lease (K2).
    pub cancelled: Vec<JobId>,
    /// Jobs ended because they were not started by their `expires_at`.
    pub expired: Vec<JobId>,
    /// Running jobs whose record is gone; reported once, not looped.
    pub orphans: Vec<JobId>,
}

/// A store of jobs.
#[async_trait]
pub trait Broker: Send + Sync + 'static {
    /// `redis` or `sqlite`, for logs and health.
    fn name(&self) -> &'static str;

    /// Stores jobs. One answer each, in order; each is accepted or refused alone.
    /// With `atomic`, one refusal keeps all out: the others then say `Accepted`
    /// though none was stored (the caller sees the refusal).
    ///
    /// # Errors
    /// [`BrokerError::TooMany`] beyond [`crate::limits::ENQUEUE_BATCH_MAX`] jobs,
    /// [`BrokerError::TooLarge`] for an input beyond [`crate::limits::INPUT_BYTES_MAX`];
    /// nothing is stored then.
    async fn enqueue(&self, jobs: Vec<NewJob>, atomic: bool) -> Result<Vec<Enqueued>, BrokerError>;

    /// Begins a worker's lease on a queue. The id must be new.
    async fn register(&self, queue: &QueueName, worker: &WorkerId) -> Result<(), BrokerError>;

    /// Ends a worker's lease on a queue at once. What it still holds is reclaimed by the next sweep.
    async fn deregister(&self, queue: &QueueName, worker: &WorkerId) -> Result<(), BrokerError>;

    /// Gives jobs to a registered worker, within the queue's limits: due ones are
    /// promoted first, then the most urgent lanes are served, lanes of one
    /// priority by their tenants' weights. A job whose record cannot be read
    /// goes to the dead list; one that a newer program wrote is parked for it.
    ///
    /// # Errors
    /// [`BrokerError::WorkerUnknown`] when the worker's lease ran out.
    async fn claim(&self, ask: &Claim) -> Result<Claims, BrokerError>;

    /// Every job of the queue that this worker holds: a claim whose answer was
    /// lost may have given some that it does not know of. At most as many as it has slots.
    ///
    /// # Errors
    /// [`BrokerError::WorkerUnknown`] when the worker's lease ran out and was swept.
    async fn held(&self, queue: &QueueName, worker: &WorkerId)
    -> Result<Vec<Claimed>, BrokerError>;

    /// Waits until there may be work (when `work` is set), a job of this worker
    /// is to be stopped, or `timeout` is over. No polling.
    async fn wake(
        &self,
        queue: &QueueName,
        worker: &WorkerId,
        work: bool,
        timeout: Duration,
    ) -> Result<Wake, BrokerError>;

    /// Moves the worker's lease; answers with every job it holds that is to be stopped.
    ///
    /// # Errors
    /// [`BrokerError::WorkerUnknown`] when the lease ran out and was swept.
    async fn extend(&self, queue: &QueueName, worker: &WorkerId)
    -> Result<Vec<JobId>, BrokerError>;

    /// Stores a step's value and the events that go with it, in one write.
    /// A name and occurrence that is there already keeps its value (S4).
    ///
    /// # Errors
    /// [`BrokerError::LeaseLost`] when the job is no longer held under this lease,
    /// [`BrokerError::TooLarge`] beyond [`crate::limits::CHECKPOINT_BYTES_MAX`].
    async fn checkpoint(
        &self,
        lease: &Lease,
        checkpoint: &Checkpoint,
        events: &[NewEvent],
    ) -> Result<(), BrokerError>;

    /// Appends events; the last `progress` among them becomes the job's progress.
    ///
    /// # Errors
    /// [`BrokerError::LeaseLost`] when the job is no longer held under this lease.
    async fn emit(&self, lease: &Lease, events: &[NewEvent]) -> Result<(), BrokerError>;

    /// Stores a group of children of a running job, once: a group that is there
    /// already stays as it is. Children wait in the parent's queue and outlive
    /// the attempt that spawned them.
    ///
    /// To wait for them the attempt ends with
    /// [`crate::status::WaitReason::Children`]; the parent is queued again
    /// exactly once, ahead of its lane, when they are over (P2).
    ///
    /// # Errors
    /// [`BrokerError::LeaseLost`] when the job is no longer held under this
    /// lease, [`BrokerError::TooMany`] beyond [`crate::limits::CHILDREN_MAX`]
    /// children of one job.
    async fn spawn(&self, spawn: &Spawn) -> Result<(), BrokerError>;

    /// The children of a job, in the order they were spawned.
    async fn children(&self, id: &JobId) -> Result<Vec<Child>, BrokerError>;

    /// Gives a value to an unfinished job, under a name: the first value of a
    /// name stays, and is kept like a checkpoint named
    /// [`crate::checkpoint::signal_step`]. A job that waits for the name is
    /// queued again, ahead of its lane; one that waits for it later need not (P3).
    ///
    /// # Errors
    /// [`BrokerError::TooLarge`] beyond [`crate::limits::SIGNAL_BYTES_MAX`], or
    /// [`crate::limits::KEY_BYTES_MAX`] for the name.
    async fn signal(
        &self,
        id: &JobId,
        name: &str,
        data: &Payload,
    ) -> Result<SignalReply, BrokerError>;

    /// Ends attempts. One answer each, in order; state, result, event, counters
    /// and unique key of a job change together or not at all (S1).
    ///
    /// # Errors
    /// [`BrokerError::TooMany`] beyond [`crate::limits::BATCH_MAX`] at a time.
    async fn settle(&self, settles: &[Settle]) -> Result<Vec<Settled>, BrokerError>;

    /// Cancels a job that nobody runs, or asks its worker to stop it; its
    /// unfinished children before it.
    async fn cancel(&self, id: &JobId) -> Result<CancelReply, BrokerError>;

    /// Queues a failed or cancelled job again, its checkpoints kept; its failed
    /// and cancelled children before it.
    async fn redrive(&self, id: &JobId) -> Result<RedriveReply, BrokerError>;

    /// The job with its result, or nothing where the id is unknown or forgotten.
    async fn get(&self, id: &JobId) -> Result<Option<Job>, BrokerError>;

    /// What the job's steps stored, in the order they were stored.
    async fn checkpoints(&self, id: &JobId) -> Result<Vec<Checkpoint>, BrokerError>;

    /// Jobs that pass `filter`: running, queued, waiting and scheduled, then
    /// finished (newest first). A job that stays in its state meanwhile is seen once (Q2).
    ///
    /// # Errors
    /// [`BrokerError::BadCursor`] for a cursor this store did not make.
    async fn list(&self, filter: &Filter, page: &Page) -> Result<JobPage, BrokerError>;

    /// The job's events after `after`, waiting up to `wait` while there are none
    /// and the job is not final. Nothing where the id is unknown (V1).
    async fn events(
        &self,
        id: &JobId,
        after: u64,
        limit: usize,
        wait: Duration,
    ) -> Result<Option<EventPage>, BrokerError>;

    /// What each queue holds.
    async fn stats(&self) -> Result<Vec<QueueStats>, BrokerError>;

    /// Stops or starts the giving of jobs; lasts over restarts (C4).
    async fn pause(&self, queue: &QueueName, paused: bool) -> Result<(), BrokerError>;

    /// Limits what a queue gives, in place of its limits before; lasts over
    /// restarts. Jobs that run already go on (C6).
    ///
    /// # Errors
    /// [`BrokerError::TooMany`] beyond [`crate::limits::WEIGHTS_MAX`] weights.
    async fn limit(&self, queue: &QueueName, limits: &QueueLimits) -> Result<(), BrokerError>;

    /// Takes jobs from workers whose lease ran out, ends overdue cancels and jobs
    /// that were not started in time, a bounded number per call. Any process may
    /// call it at any time.
    async fn reclaim(&self) -> Result<Swept, BrokerError>;

    /// Forgets finished jobs past their time, a bounded number per call; says how many.
    async fn prune(&self) -> Result<usize, BrokerError>;

    /// Whether the store answers and takes writes.
    async fn ping(&self) -> Result<(), BrokerError>;
}
