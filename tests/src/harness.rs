//! What a conformance case is given: a fresh store, its clock, and short words
//! for what every case does.

use std::any::Any;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use lovage_core::broker::{
    Broker, Claim, Claimed, Claims, Enqueued, Settle, Settled, SignalReply, Spawn, Swept, Wake,
};
use lovage_core::checkpoint::Checkpoint;
use lovage_core::clock::Clock;
use lovage_core::error::BrokerError;
use lovage_core::event::{Event, EventPage, NewEvent};
use lovage_core::id::{JobId, QueueName, WorkerId};
use lovage_core::job::{Child, Job, NewJob};
use lovage_core::lifecycle;
use lovage_core::limits;
use lovage_core::outcome::Outcome;
use lovage_core::payload::Payload;
use lovage_core::query::{Filter, Page, QueueStats};
use lovage_core::queue::QueueLimits;
use lovage_core::status::{Status, WaitReason};

use crate::clock::ManualClock;

/// Opens another broker on the same store.
pub type Reopen = Box<dyn Fn() -> BoxFuture<'static, Arc<dyn Broker>> + Send + Sync>;

/// Overwrites the stored record of a job of the default queue.
pub type Corrupt = Box<dyn Fn(JobId, Vec<u8>) -> BoxFuture<'static, ()> + Send + Sync>;

/// How long a case waits for something that must not happen.
pub const MOMENT: Duration = Duration::from_millis(50);

/// Longest wait for something that is bound to happen at once.
pub const SOON: Duration = Duration::from_secs(5);

/// Sweeps and pages looked at before a case says that the store never ends.
const ROUNDS_MAX: usize = 10_000;

/// A fresh, empty store under test.
///
/// Its methods panic where a store errs: in a case that is a failed promise.
pub struct Harness {
    /// The store.
    pub broker: Arc<dyn Broker>,
    /// The clock the store reads.
    pub clock: ManualClock,
    /// The lease the store gives.
    pub lease: Duration,
    reopen: Option<Reopen>,
    corrupt: Option<Corrupt>,
    guard: Box<dyn Any + Send + Sync>,
}

impl Harness {
    /// A store that reads `clock` and gives leases of `lease`.
    pub fn new(broker: Arc<dyn Broker>, clock: ManualClock, lease: Duration) -> Self {
        Self {
            broker,
            clock,
            lease,
            reopen: None,
            corrupt: None,
            guard: Box::new(()),
        }
    }

    /// With a way to open the same store a second time, with the same clock and lease.
    pub fn reopening<F, R>(mut self, reopen: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Arc<dyn Broker>> + Send + 'static,
    {
        self.reopen = Some(Box::new(move || Box::pin(reopen())));
        self
    }

    /// With a way to overwrite what is stored about a job of the default queue.
    pub fn corrupting<F, R>(mut self, corrupt: F) -> Self
    where
        F: Fn(JobId, Vec<u8>) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        self.corrupt = Some(Box::new(move |id, record| Box::pin(corrupt(id, record))));
        self
    }

    /// With something that must live as long as the store is used.
    pub fn keeping(mut self, guard: impl Any + Send + Sync) -> Self {
        self.guard = Box::new((self.guard, guard));
        self
    }

    /// The same store seen through `wrap`, such as a broker that loses calls.
    pub fn decorated(mut self, wrap: impl FnOnce(Arc<dyn Broker>) -> Arc<dyn Broker>) -> Self {
        self.broker = wrap(self.broker);
        self
    }

    /// Another broker on the same store, as another process would have; `None`
    /// where the factory gave no way to open one.
    pub async fn reopen(&self) -> Option<Arc<dyn Broker>> {
        match &self.reopen {
            Some(reopen) => Some(reopen().await),
            None => None,
        }
    }

    /// Puts `record` in place of what is stored about a job of the default
    /// queue; says whether the factory gave a way to.
    pub async fn corrupt(&self, id: JobId, record: &[u8]) -> bool {
        match &self.corrupt {
            Some(corrupt) => {
                corrupt(id, record.to_owned()).await;
                true
            }
            None => false,
        }
    }

    /// Now, by the store's clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A job with the defaults, of kind `test.noop`, not yet in the store.
    pub fn job(&self) -> NewJob {
        let kind = "test.noop".parse().expect("a valid kind");
        NewJob::new(JobId::at(self.now()), kind, Payload::null())
    }

    /// Enqueues jobs, each for itself; one answer per job.
    pub async fn enqueue_all(&self, jobs: Vec<NewJob>) -> Vec<Enqueued> {
        self.broker
            .enqueue(jobs, false)
            .await
            .expect("the store takes jobs")
    }

    /// Enqueues one job that must be accepted.
    pub async fn enqueue(&self, job: NewJob) -> JobId {
        let id = job.id;
        assert_eq!(self.enqueue_all(vec![job]).await, [Enqueued::Accepted(id)]);
        id
    }

    /// Enqueues `count` plain jobs in one batch; their ids in order.
    pub async fn enqueue_plain(&self, count: usize) -> Vec<JobId> {
        let jobs: Vec<NewJob> = (0..count).map(|_| self.job()).collect();
        let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
        for batch in jobs.chunks(limits::ENQUEUE_BATCH_MAX) {
            self.enqueue_all(batch.to_vec()).await;
        }
        ids
    }

    /// Registers a new worker for the default queue.
    pub async fn worker(&self) -> WorkerId {
        self.worker_of(&QueueName::default()).await
    }

    /// Registers a new worker for a queue.
    pub async fn worker_of(&self, queue: &QueueName) -> WorkerId {
        let worker = WorkerId::at(self.now());
        self.broker
            .register(queue, &worker)
            .await
            .expect("a new worker can register");
        worker
    }

    /// Claims from the default queue; the whole answer.
    pub async fn claims(&self, worker: WorkerId, want: usize) -> Result<Claims, BrokerError> {
        let ask = Claim {
            worker,
            queue: QueueName::default(),
            want,
        };
        self.broker.claim(&ask).await
    }

    /// Claims from the default queue.
    pub async fn claim(&self, worker: WorkerId, want: usize) -> Vec<Claimed> {
        let claims = self.claims(worker, want).await;
        claims.expect("a registered worker may claim").claimed
    }

    /// Claims one job that must be there.
    pub async fn claim_one(&self, worker: WorkerId) -> Claimed {
        let mut claimed = self.claim(worker, 1).await;
        assert_eq!(claimed.len(), 1, "one job was to be had");
        claimed.remove(0)
    }

    /// The ids of what a claim of `want` gives.
    pub async fn claim_ids(&self, worker: WorkerId, want: usize) -> Vec<JobId> {
        let claimed = self.claim(worker, want).await;
        claimed.iter().map(|claimed| claimed.job.id).collect()
    }

    /// Enqueues a job and has a new worker claim it.
    pub async fn running(&self, job: NewJob) -> (WorkerId, Claimed) {
        let id = self.enqueue(job).await;
        let worker = self.worker().await;
        let claimed = self.claim_one(worker).await;
        assert_eq!(claimed.job.id, id);
        (worker, claimed)
    }

    /// Moves a worker's lease; the jobs it is to stop.
    pub async fn extend(&self, worker: WorkerId) -> Result<Vec<JobId>, BrokerError> {
        self.broker.extend(&QueueName::default(), &worker).await
    }

    /// The settle of an attempt that ended like this now, with the longest back-off.
    pub fn ended(&self, claimed: &Claimed, outcome: &Outcome) -> Settle {
        Settle {
            lease: claimed.lease.clone(),
            job: claimed.job.clone(),
            next: lifecycle::settle(&claimed.job, outcome, self.now(), 1.0),
        }
    }

    /// Settles an attempt.
    pub async fn settle(&self, claimed: &Claimed, outcome: Outcome) -> Settled {
        self.settle_as(self.ended(claimed, &outcome)).await
    }

    /// Parks a job for an hour at the longest.
    pub async fn park(&self, claimed: &Claimed, reason: WaitReason) {
        let after = Duration::from_secs(3_600);
        let parked = self.settle(claimed, Outcome::Park { reason, after }).await;
        assert_eq!(parked, Settled::Done);
    }

    /// Ends an attempt whose job is over with it, without a result.
    pub async fn finish(&self, claimed: &Claimed) {
        let done = self.settle(claimed, Outcome::Done(Payload::null())).await;
        assert_eq!(done, Settled::Done);
    }

    /// Stores children of a running job; their ids.
    pub async fn spawn(&self, parent: &Claimed, group: &str, children: Vec<NewJob>) -> Vec<JobId> {
        let ids = children.iter().map(|child| child.id).collect();
        let spawn = Spawn {
            lease: parent.lease.clone(),
            group: group.to_owned(),
            children,
        };
        let spawned = self.broker.spawn(&spawn).await;
        spawned.expect("the lease is held");
        ids
    }

    /// The children of a job.
    pub async fn children(&self, id: JobId) -> Vec<Child> {
        let children = self.broker.children(&id).await;
        children.expect("the store answers")
    }

    /// Gives a job a value under a name.
    pub async fn signal(&self, id: JobId, name: &str, data: &Payload) -> SignalReply {
        let reply = self.broker.signal(&id, name, data).await;
        reply.expect("the store takes signals")
    }

    /// Limits the default queue.
    pub async fn limit(&self, limits: QueueLimits) {
        let queue = QueueName::default();
        let limited = self.broker.limit(&queue, &limits).await;
        limited.expect("the store takes limits");
    }

    /// Has a worker wait while `make` makes work; it must be woken.
    pub async fn woken_by(&self, worker: WorkerId, make: impl Future<Output = ()>) {
        let broker = Arc::clone(&self.broker);
        let waiting = tokio::spawn(async move {
            let queue = QueueName::default();
            broker.wake(&queue, &worker, true, SOON * 2).await
        });
        tokio::task::yield_now().await;
        make.await;
        let woken = tokio::time::timeout(SOON, waiting).await;
        let woken = woken.expect("the waiting worker is woken");
        let woken = woken.expect("waiting does not panic");
        assert_eq!(woken.expect("the store answers"), Wake::Work);
    }

    /// A worker that finds nothing to claim is not woken over and over; a
    /// wake-up left from before may come, late where it is slow to connect.
    pub async fn stays_quiet(&self, worker: WorkerId) {
        let queue = QueueName::default();
        let mut woken = Vec::new();
        for _ in 0..4 {
            assert_eq!(self.claim_ids(worker, 1).await, []);
            let wake = self.broker.wake(&queue, &worker, true, MOMENT).await;
            woken.push(wake.expect("the store answers"));
        }
        let wakes = woken.iter().filter(|wake| **wake != Wake::Timeout).count();
        assert!(wakes <= 2, "{woken:?}");
    }

    /// Sends one settle.
    pub async fn settle_as(&self, settle: Settle) -> Settled {
        let answers = self.broker.settle(&[settle]).await;
        let answers = answers.expect("the store settles");
        assert_eq!(answers.len(), 1, "one answer per settle");
        answers[0]
    }

    /// Appends events under a lease that must be held.
    pub async fn emit(&self, claimed: &Claimed, events: &[NewEvent]) {
        let emitted = self.broker.emit(&claimed.lease, events).await;
        emitted.expect("the lease is held");
    }

    /// Stores a checkpoint and its events under a lease that must be held.
    pub async fn checkpoint(&self, claimed: &Claimed, step: &Checkpoint, events: &[NewEvent]) {
        let stored = self.broker.checkpoint(&claimed.lease, step, events).await;
        stored.expect("the lease is held");
    }

    /// The job, which must be there.
    pub async fn get(&self, id: JobId) -> Job {
        let found = self.broker.get(&id).await.expect("the store answers");
        found.unwrap_or_else(|| panic!("job {id} is not in the store"))
    }

    /// Where the job stands.
    pub async fn status(&self, id: JobId) -> Status {
        self.get(id).await.status
    }

    /// Moves the clock.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Moves the clock past every lease, and past the time to stop of every cancel.
    pub fn outlast_lease(&self) {
        self.advance(self.lease + Duration::from_millis(1));
    }

    /// Sweeps until nothing is left to do; everything that was done.
    pub async fn sweep(&self) -> Swept {
        let mut all = Swept::default();
        for _ in 0..ROUNDS_MAX {
            let swept = self.broker.reclaim().await.expect("the store sweeps");
            if swept == Swept::default() {
                return all;
            }
            all.reclaimed.extend(swept.reclaimed);
            all.cancelled.extend(swept.cancelled);
            all.expired.extend(swept.expired);
            all.orphans.extend(swept.orphans);
        }
        panic!("reclaim finds something to do for ever");
    }

    /// Prunes until nothing is left to forget.
    pub async fn prune(&self) {
        for _ in 0..ROUNDS_MAX {
            if self.broker.prune().await.expect("the store prunes") == 0 {
                return;
            }
        }
        panic!("prune finds something to forget for ever");
    }

    /// What the default queue holds; zeros where it was never used.
    pub async fn stats(&self) -> QueueStats {
        let rows = self.broker.stats().await.expect("the store counts");
        let row = rows
            .into_iter()
            .find(|row| row.queue == QueueName::default());
        row.unwrap_or_default()
    }

    /// One page of a job's events, at once; the job must be known.
    pub async fn events_after(&self, id: JobId, after: u64, limit: usize) -> EventPage {
        let page = self.broker.events(&id, after, limit, Duration::ZERO).await;
        page.expect("the store answers").expect("a known job")
    }

    /// Every kept event of a job, page by page.
    pub async fn events(&self, id: JobId) -> Vec<Event> {
        let mut events: Vec<Event> = Vec::new();
        loop {
            let after = events.last().map_or(0, |event| event.seq);
            let page = self.events_after(id, after, limits::EVENT_PAGE_MAX).await;
            if page.events.is_empty() {
                return events;
            }
            events.extend(page.events);
        }
    }

    /// The types of a job's events, in order.
    pub async fn event_kinds(&self, id: JobId) -> Vec<String> {
        let events = self.events(id).await;
        events.into_iter().map(|event| event.kind).collect()
    }

    /// Everything a listing shows, page by page of at most `limit`.
    pub async fn list(&self, filter: &Filter, limit: usize) -> Vec<Job> {
        let mut jobs = Vec::new();
        let mut cursor = None;
        for _ in 0..ROUNDS_MAX {
            let page = Page { cursor, limit };
            let page = self.broker.list(filter, &page).await;
            let page = page.expect("the store lists");
            assert!(page.jobs.len() <= limit, "a page holds at most its limit");
            jobs.extend(page.jobs);
            cursor = page.next;
            if cursor.is_none() {
                return jobs;
            }
        }
        panic!("the listing has no end");
    }
}

impl std::fmt::Debug for Harness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Harness")
            .field("broker", &self.broker.name())
            .field("now", &self.now())
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}
