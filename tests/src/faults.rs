//! A broker behind a bad connection, and a caller that copes with one.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use lovage_core::broker::{
    Broker, CancelReply, Claim, Claimed, Claims, Enqueued, RedriveReply, Settle, Settled,
    SignalReply, Spawn, Swept, Wake,
};
use lovage_core::checkpoint::Checkpoint;
use lovage_core::error::BrokerError;
use lovage_core::event::{EventPage, NewEvent};
use lovage_core::id::{JobId, QueueName, WorkerId};
use lovage_core::job::{Child, Job, NewJob};
use lovage_core::lease::Lease;
use lovage_core::payload::Payload;
use lovage_core::query::{Filter, JobPage, Page, QueueStats};
use lovage_core::queue::QueueLimits;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// How bad the connection is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// Share of calls that never reach the store, in 0..1.
    pub request_lost: f64,
    /// Share of calls that take effect and whose answer is lost, in 0..1.
    pub answer_lost: f64,
    /// Longest real time a call is held up.
    pub delay_max: Duration,
}

/// A broker whose calls fail as over a network, from a seed.
///
/// A lost call is [`BrokerError::Unavailable`]; the caller cannot tell whether
/// it took effect. The answer of `emit` is never lost: events carry no id, so
/// sending them again appends them again.
pub struct FaultyBroker {
    inner: Arc<dyn Broker>,
    faults: Faults,
    rng: Mutex<StdRng>,
}

impl FaultyBroker {
    /// `inner` behind a connection with `faults`, decided by `seed`.
    pub fn new(inner: Arc<dyn Broker>, faults: Faults, seed: u64) -> Self {
        Self {
            inner,
            faults,
            rng: Mutex::new(StdRng::seed_from_u64(seed)),
        }
    }

    fn chance(&self) -> f64 {
        let mut rng = self.rng.lock().expect("drawing a number does not panic");
        rng.random()
    }

    /// The call as it fares on its way there.
    async fn sent<T>(&self, call: impl Future<Output = T>) -> Result<T, BrokerError> {
        if !self.faults.delay_max.is_zero() {
            tokio::time::sleep(self.faults.delay_max.mul_f64(self.chance())).await;
        }
        if self.chance() < self.faults.request_lost {
            return Err(lost("the request was lost"));
        }
        Ok(call.await)
    }

    /// The call as it fares on its way there and back.
    async fn through<T>(
        &self,
        call: impl Future<Output = Result<T, BrokerError>>,
    ) -> Result<T, BrokerError> {
        let answer = self.sent(call).await?;
        if self.chance() < self.faults.answer_lost {
            return Err(lost("the answer was lost"));
        }
        answer
    }
}

fn lost(what: &'static str) -> BrokerError {
    BrokerError::Unavailable(what.into())
}

#[async_trait]
impl Broker for FaultyBroker {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    async fn enqueue(&self, jobs: Vec<NewJob>, atomic: bool) -> Result<Vec<Enqueued>, BrokerError> {
        self.through(self.inner.enqueue(jobs, atomic)).await
    }

    async fn register(&self, queue: &QueueName, worker: &WorkerId) -> Result<(), BrokerError> {
        self.through(self.inner.register(queue, worker)).await
    }

    async fn deregister(&self, queue: &QueueName, worker: &WorkerId) -> Result<(), BrokerError> {
        self.through(self.inner.deregister(queue, worker)).await
    }

    async fn claim(&self, ask: &Claim) -> Result<Claims, BrokerError> {
        self.through(self.inner.claim(ask)).await
    }

    async fn held(
        &self,
        queue: &QueueName,
        worker: &WorkerId,
    ) -> Result<Vec<Claimed>, BrokerError> {
        self.through(self.inner.held(queue, worker)).await
    }

    async fn wake(
        &self,
        queue: &QueueName,
        worker: &WorkerId,
        work: bool,
        timeout: Duration,
    ) -> Result<Wake, BrokerError> {
        let waking = self.inner.wake(queue, worker, work, timeout);
        self.sent(waking).await?
    }

    async fn extend(
        &self,
        queue: &QueueName,
        worker: &WorkerId,
    ) -> Result<Vec<JobId>, BrokerError> {
        self.through(self.inner.extend(queue, worker)).await
    }

    async fn checkpoint(
        &self,
        lease: &Lease,
        checkpoint: &Checkpoint,
        events: &[NewEvent],
    ) -> Result<(), BrokerError> {
        let storing = self.inner.checkpoint(lease, checkpoint, events);
        self.through(storing).await
    }

    async fn emit(&self, lease: &Lease, events: &[NewEvent]) -> Result<(), BrokerError> {
        self.sent(self.inner.emit(lease, events)).await?
    }

    async fn spawn(&self, spawn: &Spawn) -> Result<(), BrokerError> {
        self.through(self.inner.spawn(spawn)).await
    }

    async fn children(&self, id: &JobId) -> Result<Vec<Child>, BrokerError> {
        self.through(self.inner.children(id)).await
    }

    async fn signal(
        &self,
        id: &JobId,
        name: &str,
        data: &Payload,
    ) -> Result<SignalReply, BrokerError> {
        self.through(self.inner.signal(id, name, data)).await
    }

    async fn settle(&self, settles: &[Settle]) -> Result<Vec<Settled>, BrokerError> {
        self.through(self.inner.settle(settles)).await
    }

    async fn cancel(&self, id: &JobId) -> Result<CancelReply, BrokerError> {
        self.through(self.inner.cancel(id)).await
    }

    async fn redrive(&self, id: &JobId) -> Result<RedriveReply, BrokerError> {
        self.through(self.inner.redrive(id)).await
    }

    async fn get(&self, id: &JobId) -> Result<Option<Job>, BrokerError> {
        self.through(self.inner.get(id)).await
    }

    async fn checkpoints(&self, id: &JobId) -> Result<Vec<Checkpoint>, BrokerError> {
        self.through(self.inner.checkpoints(id)).await
    }

    async fn list(&self, filter: &Filter, page: &Page) -> Result<JobPage, BrokerError> {
        self.through(self.inner.list(filter, page)).await
    }

    async fn events(
        &self,
        id: &JobId,
        after: u64,
        limit: usize,
        wait: Duration,
    ) -> Result<Option<EventPage>, BrokerError> {
        self.through(self.inner.events(id, after, limit, wait))
            .await
    }

    async fn stats(&self) -> Result<Vec<QueueStats>, BrokerError> {
        self.through(self.inner.stats()).await
    }

    async fn pause(&self, queue: &QueueName, paused: bool) -> Result<(), BrokerError> {
        self.through(self.inner.pause(queue, paused)).await
    }

    async fn limit(&self, queue: &QueueName, limits: &QueueLimits) -> Result<(), BrokerError> {
        self.through(self.inner.limit(queue, limits)).await
    }

    async fn reclaim(&self) -> Result<Swept, BrokerError> {
        self.through(self.inner.reclaim()).await
    }

    async fn prune(&self) -> Result<usize, BrokerError> {
        self.through(self.inner.prune()).await
    }

    async fn ping(&self) -> Result<(), BrokerError> {
        self.through(self.inner.ping()).await
    }
}

/// Calls sent before a caller gives up.
const TRIES_MAX: usize = 64;

/// A caller that sends every call again until it is answered.
///
/// A claim whose answer was lost is not sent again blindly: what it gave is
/// asked for by `held`, as a worker would.
pub struct ResendingBroker {
    inner: Arc<dyn Broker>,
}

impl ResendingBroker {
    /// A caller of `inner`.
    pub fn new(inner: Arc<dyn Broker>) -> Self {
        Self { inner }
    }
}

/// Sends a call until it is answered, at most [`TRIES_MAX`] times.
pub(crate) async fn answered<T, F>(mut call: impl FnMut() -> F) -> Result<T, BrokerError>
where
    F: Future<Output = Result<T, BrokerError>>,
{
    for _ in 1..TRIES_MAX {
        match call().await {
            Err(BrokerError::Unavailable(_)) => {}
            answer => return answer,
        }
    }
    call().await
}

#[async_trait]
impl Broker for ResendingBroker {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    async fn enqueue(&self, jobs: Vec<NewJob>, atomic: bool) -> Result<Vec<Enqueued>, BrokerError> {
        answered(|| self.inner.enqueue(jobs.clone(), atomic)).await
    }

    async fn register(&self, queue: &QueueName, worker: &WorkerId) -> Result<(), BrokerError> {
        answered(|| self.inner.register(queue, worker)).await
    }

    async fn deregister(&self, queue: &QueueName, worker: &WorkerId) -> Result<(), BrokerError> {
        answered(|| self.inner.deregister(queue, worker)).await
    }

    async fn claim(&self, ask: &Claim) -> Result<Claims, BrokerError> {
        let known = self.held(&ask.queue, &ask.worker).await?;
        let known: BTreeSet<JobId> = known.iter().map(|held| held.job.id).collect();
        for _ in 0..TRIES_MAX {
            match self.inner.claim(ask).await {
                Err(BrokerError::Unavailable(_)) => {}
                answer => return answer,
            }
            let mut claimed = self.held(&ask.queue, &ask.worker).await?;
            claimed.retain(|held| !known.contains(&held.job.id));
            if !claimed.is_empty() {
                let next_due = None;
                return Ok(Claims { claimed, next_due });
            }
        }
        self.inner.claim(ask).await
    }

    async fn held(
        &self,
        queue: &QueueName,
        worker: &WorkerId,
    ) -> Result<Vec<Claimed>, BrokerError> {
        answered(|| self.inner.held(queue, worker)).await
    }

    async fn wake(
        &self,
        queue: &QueueName,
        worker: &WorkerId,
        work: bool,
        timeout: Duration,
    ) -> Result<Wake, BrokerError> {
        answered(|| self.inner.wake(queue, worker, work, timeout)).await
    }

    async fn extend(
        &self,
        queue: &QueueName,
        worker: &WorkerId,
    ) -> Result<Vec<JobId>, BrokerError> {
        answered(|| self.inner.extend(queue, worker)).await
    }

    async fn checkpoint(
        &self,
        lease: &Lease,
        checkpoint: &Checkpoint,
        events: &[NewEvent],
    ) -> Result<(), BrokerError> {
        answered(|| self.inner.checkpoint(lease, checkpoint, events)).await
    }

    async fn emit(&self, lease: &Lease, events: &[NewEvent]) -> Result<(), BrokerError> {
        answered(|| self.inner.emit(lease, events)).await
    }

    async fn spawn(&self, spawn: &Spawn) -> Result<(), BrokerError> {
        answered(|| self.inner.spawn(spawn)).await
    }

    async fn children(&self, id: &JobId) -> Result<Vec<Child>, BrokerError> {
        answered(|| self.inner.children(id)).await
    }

    async fn signal(
        &self,
        id: &JobId,
        name: &str,
        data: &Payload,
    ) -> Result<SignalReply, BrokerError> {
        answered(|| self.inner.signal(id, name, data)).await
    }

    async fn settle(&self, settles: &[Settle]) -> Result<Vec<Settled>, BrokerError> {
        answered(|| self.inner.settle(settles)).await
    }

    async fn cancel(&self, id: &JobId) -> Result<CancelReply, BrokerError> {
        answered(|| self.inner.cancel(id)).await
    }

    async fn redrive(&self, id: &JobId) -> Result<RedriveReply, BrokerError> {
        answered(|| self.inner.redrive(id)).await
    }

    async fn get(&self, id: &JobId) -> Result<Option<Job>, BrokerError> {
        answered(|| self.inner.get(id)).await
    }

    async fn checkpoints(&self, id: &JobId) -> Result<Vec<Checkpoint>, BrokerError> {
        answered(|| self.inner.checkpoints(id)).await
    }

    async fn list(&self, filter: &Filter, page: &Page) -> Result<JobPage, BrokerError> {
        answered(|| self.inner.list(filter, page)).await
    }

    async fn events(
        &self,
        id: &JobId,
        after: u64,
        limit: usize,
        wait: Duration,
    ) -> Result<Option<EventPage>, BrokerError> {
        answered(|| self.inner.events(id, after, limit, wait)).await
    }

    async fn stats(&self) -> Result<Vec<QueueStats>, BrokerError> {
        answered(|| self.inner.stats()).await
    }

    async fn pause(&self, queue: &QueueName, paused: bool) -> Result<(), BrokerError> {
        answered(|| self.inner.pause(queue, paused)).await
    }

    async fn limit(&self, queue: &QueueName, limits: &QueueLimits) -> Result<(), BrokerError> {
        answered(|| self.inner.limit(queue, limits)).await
    }

    async fn reclaim(&self) -> Result<Swept, BrokerError> {
        answered(|| self.inner.reclaim()).await
    }

    async fn prune(&self) -> Result<usize, BrokerError> {
        answered(|| self.inner.prune()).await
    }

    async fn ping(&self) -> Result<(), BrokerError> {
        answered(|| self.inner.ping()).await
    }
}

#[cfg(test)]
mod tests {
    use lovage_core::clock::Clock;
    use lovage_core::limits;

    use super::*;
    use crate::clock::ManualClock;
    use crate::harness::Harness;
    use crate::model::ModelBroker;

    const ALWAYS: f64 = 1.0;

    fn model() -> (Arc<dyn Broker>, NewJob) {
        let clock = ManualClock::default();
        let id = JobId::at(clock.now());
        let job = NewJob::new(id, "test.noop".parse().unwrap(), Payload::null());
        (Arc::new(ModelBroker::new(clock, limits::LEASE)), job)
    }

    #[tokio::test]
    async fn a_lost_request_changes_nothing_and_a_lost_answer_does() {
        for (request_lost, answer_lost, stored) in [(ALWAYS, 0.0, false), (0.0, ALWAYS, true)] {
            let (inner, job) = model();
            let faults = Faults {
                request_lost,
                answer_lost,
                ..Faults::default()
            };
            let faulty = FaultyBroker::new(Arc::clone(&inner), faults, 1);
            let id = job.id;
            let lost = faulty.enqueue(vec![job], false).await;
            assert!(matches!(lost, Err(BrokerError::Unavailable(_))));
            assert_eq!(inner.get(&id).await.unwrap().is_some(), stored);
        }
    }

    #[tokio::test]
    async fn a_caller_that_is_never_answered_gives_up() {
        let (inner, job) = model();
        let faults = Faults {
            request_lost: ALWAYS,
            ..Faults::default()
        };
        let faulty = FaultyBroker::new(inner, faults, 1);
        let caller = ResendingBroker::new(Arc::new(faulty));
        assert!(caller.get(&job.id).await.is_err());
    }

    /// The model behind a connection that is slow and loses requests.
    async fn behind_a_bad_connection() -> Harness {
        let (clock, lease) = (ManualClock::default(), limits::LEASE);
        let model = ModelBroker::new(clock.clone(), lease);
        let faults = Faults {
            request_lost: 0.2,
            answer_lost: 0.0,
            delay_max: Duration::from_micros(200),
        };
        Harness::new(Arc::new(model), clock, lease).decorated(|inner| {
            let faulty = FaultyBroker::new(inner, faults, 7);
            Arc::new(ResendingBroker::new(Arc::new(faulty)))
        })
    }

    mod resending {
        crate::broker_conformance!(super::behind_a_bad_connection);
    }
}
