//! The broker as plain maps: the executable meaning of [`Broker`].
//!
//! Every verb is a short search through all jobs under one lock. It is slow
//! and keeps nothing when the process ends; it exists to be read, and to be
//! compared with.

mod claim;
mod enqueue;
mod limit;
mod query;
mod settle;
mod signal;
mod spawn;
mod state;
mod stored;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use lovage_core::bound;
use lovage_core::broker::{
    Broker, CancelReply, Claim, Claimed, Claims, Enqueued, RedriveReply, Settle, Settled,
    SignalReply, Spawn, Swept, Wake,
};
use lovage_core::checkpoint::Checkpoint;
use lovage_core::clock::{self, Clock};
use lovage_core::error::BrokerError;
use lovage_core::event::{EventPage, NewEvent};
use lovage_core::id::{JobId, QueueName, WorkerId};
use lovage_core::job::{Child, Job, NewJob};
use lovage_core::lease::Lease;
use lovage_core::payload::Payload;
use lovage_core::query::{Filter, JobPage, Page, QueueStats};
use lovage_core::queue::QueueLimits;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::clock::ManualClock;
use enqueue::is_refusal;
use state::State;
use stored::Stored;

/// A broker in memory. Clones share one store.
#[derive(Clone)]
pub struct ModelBroker {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
    clock: ManualClock,
    lease: Duration,
}

impl ModelBroker {
    /// An empty store that reads `clock` and gives leases of `lease`.
    pub fn new(clock: ManualClock, lease: Duration) -> Self {
        Self {
            state: Arc::default(),
            changed: Arc::default(),
            clock,
            lease,
        }
    }

    /// As [`Broker::claim`]; where stores may differ (jobs put to the front of a
    /// lane by one call, whose turn it is among lanes of one priority) it takes
    /// them as in `like`.
    ///
    /// # Errors
    /// [`BrokerError::WorkerUnknown`] when the worker's lease ran out.
    pub fn claim_like(&self, ask: &Claim, like: &[JobId]) -> Result<Claims, BrokerError> {
        let mut state = self.change();
        state.known(&ask.queue, &ask.worker)?;
        Ok(state.claim(ask, like, self.clock.now()))
    }

    /// Whether the last thing that ended an attempt of the job, which is not
    /// gone, was a settle under this lease.
    pub fn was_settled_under(&self, lease: &Lease) -> bool {
        let state = self.lock();
        let stored = state.live(&lease.job, self.clock.now());
        stored.is_some_and(|stored| stored.settled == Some(lease.token))
    }

    /// Whether `lease` is the right to write about a running job.
    pub fn holds(&self, lease: &Lease) -> bool {
        self.lock().leased(lease).is_some()
    }

    /// Jobs that hear of one another: those that have `id` as a child, its
    /// children, and theirs in both directions.
    pub fn family(&self, id: &JobId) -> BTreeSet<JobId> {
        let state = self.lock();
        let (mut family, mut new) = (BTreeSet::new(), vec![*id]);
        while let Some(id) = new.pop() {
            if family.insert(id) {
                new.extend(state.parents_of(&id));
                new.extend(state.children_of(&id));
            }
        }
        family
    }

    /// Whether the job is not over and no job's child.
    pub fn is_orphan(&self, id: &JobId) -> bool {
        let state = self.lock();
        let stored = state.jobs.get(id);
        stored.is_some_and(|stored| !stored.status().is_final()) && state.parents_of(id).is_empty()
    }

    /// The jobs in a queue's lanes, or due to be, whose `expires_at` has passed.
    pub fn late(&self, queue: &QueueName) -> Vec<JobId> {
        let now = self.clock.now();
        let state = self.lock();
        let late = state
            .jobs
            .values()
            .filter(|stored| stored.job.queue == *queue && stored.is_late(now));
        late.map(|stored| stored.job.id).collect()
    }

    /// Every time at which a lease or a key ends. What holds at exactly that
    /// millisecond is not promised.
    pub fn edges(&self) -> BTreeSet<Timestamp> {
        let state = self.lock();
        let asked = state.jobs.values().filter_map(|stored| stored.cancel_asked);
        let overdue = asked.map(|at| clock::after(at, self.lease));
        let unique = state.unique.values().filter_map(|hold| hold.until);
        let remembered = state
            .idempotency
            .values()
            .map(|remembered| remembered.until);
        let leases = state.workers.values().copied();
        leases
            .chain(overdue)
            .chain(unique)
            .chain(remembered)
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no verb panics under the lock")
    }

    /// The state, to be changed: whoever waits looks again.
    fn change(&self) -> MutexGuard<'_, State> {
        let state = self.lock();
        // Woken waiters block on the lock, so they see the change.
        self.changed.notify_waiters();
        state
    }

    /// Looks until `look` finds something or `wait` is over; then what it found last.
    async fn watch<T>(
        &self,
        wait: Duration,
        mut look: impl FnMut(&mut State) -> Option<T>,
    ) -> Option<T> {
        let watching = async {
            loop {
                let changed = self.changed.notified();
                if let Some(found) = look(&mut self.lock()) {
                    return found;
                }
                changed.await;
            }
        };
        timeout(wait, watching).await.ok()
    }
}

#[async_trait]
impl Broker for ModelBroker {
    fn name(&self) -> &'static str {
        "model"
    }

    async fn enqueue(&self, jobs: Vec<NewJob>, atomic: bool) -> Result<Vec<Enqueued>, BrokerError> {
        bound::enqueue(&jobs)?;
        let now = self.clock.now();
        let mut state = self.change();
        let before = atomic.then(|| state.clone());
        let answers: Vec<Enqueued> = jobs.iter().map(|job| state.enqueue(job, now)).collect();
        if let Some(before) = before.filter(|_| answers.iter().any(is_refusal)) {
            *state = before;
        }
        Ok(answers)
    }

    async fn register(&self, queue: &QueueName, worker: &WorkerId) -> Result<(), BrokerError> {
        let deadline = clock::after(self.clock.now(), self.lease);
        let mut state = self.change();
        state.workers.insert((queue.clone(), *worker), deadline);
        Ok(())
    }

    async fn deregister(&self, queue: &QueueName, worker: &WorkerId) -> Result<(), BrokerError> {
        self.change().workers.remove(&(queue.clone(), *worker));
        Ok(())
    }

    async fn claim(&self, ask: &Claim) -> Result<Claims, BrokerError> {
        self.claim_like(ask, &[])
    }

    async fn held(
        &self,
        queue: &QueueName,
        worker: &WorkerId,
    ) -> Result<Vec<Claimed>, BrokerError> {
        let state = self.lock();
        state.known(queue, worker)?;
        Ok(state
            .held_by(queue, worker)
            .filter_map(Stored::given)
            .collect())
    }

    async fn wake(
        &self,
        queue: &QueueName,
        worker: &WorkerId,
        work: bool,
        timeout: Duration,
    ) -> Result<Wake, BrokerError> {
        let look = |state: &mut State| state.wake(queue, worker, work, self.clock.now());
        let woken = self.watch(timeout, look);
        Ok(woken.await.unwrap_or(Wake::Timeout))
    }

    async fn extend(
        &self,
        queue: &QueueName,
        worker: &WorkerId,
    ) -> Result<Vec<JobId>, BrokerError> {
        let deadline = clock::after(self.clock.now(), self.lease);
        let mut state = self.lock();
        state.known(queue, worker)?;
        state.workers.insert((queue.clone(), *worker), deadline);
        let held = state.held_by(queue, worker);
        let asked = held.filter(|stored| stored.cancel_asked.is_some());
        Ok(asked.map(|stored| stored.job.id).collect())
    }

    async fn checkpoint(
        &self,
        lease: &Lease,
        checkpoint: &Checkpoint,
        events: &[NewEvent],
    ) -> Result<(), BrokerError> {
        bound::checkpoint(checkpoint)?;
        let mut state = self.change();
        let stored = state.leased(lease).ok_or(BrokerError::LeaseLost)?;
        let same = |old: &Checkpoint| {
            (&old.step, old.occurrence) == (&checkpoint.step, checkpoint.occurrence)
        };
        if !stored.checkpoints.iter().any(same) {
            stored.checkpoints.push(checkpoint.clone());
            stored.report(events, self.clock.now());
        }
        Ok(())
    }

    async fn emit(&self, lease: &Lease, events: &[NewEvent]) -> Result<(), BrokerError> {
        let mut state = self.change();
        let stored = state.leased(lease).ok_or(BrokerError::LeaseLost)?;
        stored.report(events, self.clock.now());
        Ok(())
    }

    async fn spawn(&self, spawn: &Spawn) -> Result<(), BrokerError> {
        bound::spawn(spawn)?;
        self.change().spawn(spawn, self.clock.now())
    }

    async fn children(&self, id: &JobId) -> Result<Vec<Child>, BrokerError> {
        let state = self.lock();
        let stored = state.live(id, self.clock.now());
        Ok(stored.map_or_else(Vec::new, |stored| stored.children.clone()))
    }

    async fn signal(
        &self,
        id: &JobId,
        name: &str,
        data: &Payload,
    ) -> Result<SignalReply, BrokerError> {
        bound::signal(name, data)?;
        Ok(self.change().signal(id, name, data, self.clock.now()))
    }

    async fn settle(&self, settles: &[Settle]) -> Result<Vec<Settled>, BrokerError> {
        bound::settle(settles)?;
        let now = self.clock.now();
        let mut state = self.change();
        state.new_front();
        Ok(settles
            .iter()
            .map(|settle| state.settle(settle, now))
            .collect())
    }

    async fn cancel(&self, id: &JobId) -> Result<CancelReply, BrokerError> {
        let mut state = self.change();
        state.new_front();
        Ok(state.cancel(id, self.clock.now()))
    }

    async fn redrive(&self, id: &JobId) -> Result<RedriveReply, BrokerError> {
        Ok(self.change().redrive(id, self.clock.now()))
    }

    async fn get(&self, id: &JobId) -> Result<Option<Job>, BrokerError> {
        Ok(self.lock().live(id, self.clock.now()).map(Stored::shown))
    }

    async fn checkpoints(&self, id: &JobId) -> Result<Vec<Checkpoint>, BrokerError> {
        let state = self.lock();
        let stored = state.live(id, self.clock.now());
        Ok(stored
            .map(|stored| stored.checkpoints.clone())
            .unwrap_or_default())
    }

    async fn list(&self, filter: &Filter, page: &Page) -> Result<JobPage, BrokerError> {
        self.lock().list(filter, page, self.clock.now())
    }

    async fn events(
        &self,
        id: &JobId,
        after: u64,
        limit: usize,
        wait: Duration,
    ) -> Result<Option<EventPage>, BrokerError> {
        let read = |state: &mut State| {
            let stored = state.live(id, self.clock.now());
            stored.map(|stored| stored.page(after, limit))
        };
        let news = self.watch(wait, |state| match read(state) {
            Some(page) if page.events.is_empty() && !page.ended => None,
            answer => Some(answer),
        });
        match news.await {
            Some(answer) => Ok(answer),
            None => Ok(read(&mut self.lock())),
        }
    }

    async fn stats(&self) -> Result<Vec<QueueStats>, BrokerError> {
        Ok(self.lock().stats())
    }

    async fn pause(&self, queue: &QueueName, paused: bool) -> Result<(), BrokerError> {
        self.change().queue(queue).paused = paused;
        Ok(())
    }

    async fn limit(&self, queue: &QueueName, limits: &QueueLimits) -> Result<(), BrokerError> {
        bound::weights(limits)?;
        self.change().limit(queue, limits);
        Ok(())
    }

    async fn reclaim(&self) -> Result<Swept, BrokerError> {
        Ok(self.change().reclaim(self.lease, self.clock.now()))
    }

    async fn prune(&self) -> Result<usize, BrokerError> {
        let now = self.clock.now();
        let mut state = self.change();
        let before = state.jobs.len();
        state.jobs.retain(|_, stored| !stored.job.is_gone(now));
        Ok(before - state.jobs.len())
    }

    async fn ping(&self) -> Result<(), BrokerError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use lovage_core::limits;

    use super::*;
    use crate::harness::Harness;

    async fn fresh() -> Harness {
        let (clock, lease) = (ManualClock::default(), limits::LEASE);
        let model = ModelBroker::new(clock.clone(), lease);
        let again = model.clone();
        Harness::new(Arc::new(model), clock, lease).reopening(move || {
            let again: Arc<dyn Broker> = Arc::new(again.clone());
            async move { again }
        })
    }

    crate::broker_conformance!(fresh);
}
