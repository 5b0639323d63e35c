//! A store and the model live through one random history in lockstep.
//!
//! After every operation their answers are compared, and every now and then
//! everything that can be seen of them. Every seed is printed: with it in
//! `LOVAGE_SEED` the same history happens again.

mod look;

use std::collections::{BTreeSet, VecDeque};
use std::fmt::Debug;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use lovage_core::broker::{Broker, Claim, Claims, Enqueued, Settle, Spawn, Swept};
use lovage_core::error::BrokerError;
use lovage_core::id::{JobId, QueueName, WorkerId};
use lovage_core::job::{Job, NewJob};
use lovage_core::query::QueueStats;
use lovage_core::status::Status;

use crate::clock::ManualClock;
use crate::faults::{Faults, FaultyBroker, ResendingBroker};
use crate::harness::Harness;
use crate::history::{History, Operation};
use crate::model::ModelBroker;

pub use look::{look_at, look_at_stats};

/// The seed of a single history; without it there are several, of random seeds.
pub const SEED: &str = "LOVAGE_SEED";
/// How many operations the histories of one test have together.
pub const OPERATIONS: &str = "LOVAGE_SIM_OPS";

/// With two tests on each of two stores 100,000.
const OPERATIONS_DEFAULT: usize = 25_000;
/// Operations of one of several histories: what the model looks through stays few.
const HISTORY_OPERATIONS: usize = 2_500;
/// Operations between two looks at what they touched.
const LOOK_EVERY: usize = 50;
/// Operations shown with a difference.
const SHOWN_MAX: usize = 20;
/// Claims sent to a store until it gave what was asked for or has nothing left.
const CLAIMS_MAX: usize = 100;

/// Makes the two simulation tests of a store: on a good connection, and on one
/// that loses requests and answers.
///
/// Takes the same factory as [`broker_conformance!`](crate::broker_conformance).
#[macro_export]
macro_rules! broker_simulation {
    ($factory:expr) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn random_histories_go_as_in_the_model() {
            for history in $crate::sim::histories() {
                let harness = ($factory)().await;
                history
                    .play(harness.into(), $crate::sim::Connection::Good)
                    .await;
            }
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn random_histories_with_lost_calls_end_as_in_the_model() {
            for history in $crate::sim::histories() {
                let harness = ($factory)().await;
                history
                    .play(harness.into(), $crate::sim::Connection::Bad)
                    .await;
            }
        }
    };
}

/// What is between the simulation and the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// Every call is answered; answers and state are compared.
    Good,
    /// Calls and answers are lost and sent again; what a repeated call may
    /// answer differently is not compared, the state is.
    Bad,
}

/// What one history is made of.
#[derive(Debug, Clone, Copy)]
pub struct Draw {
    seed: u64,
    operations: usize,
}

impl Draw {
    /// Plays the history to a fresh store; `None` instead of one skips it.
    ///
    /// # Panics
    /// When the store differs from the model.
    pub async fn play(self, harness: Option<Harness>, connection: Connection) {
        let Some(harness) = harness else { return };
        let Self { seed, operations } = self;
        let store = harness.broker.name();
        // Past the capture of a test's output, which is shown on failure only.
        let line = format!("{SEED}={seed} {OPERATIONS}={operations} {store} {connection:?}\n");
        let shown = std::io::stderr().write_all(line.as_bytes());
        shown.expect("the standard error is open");
        run(harness, connection, seed, operations).await;
    }
}

/// The histories of one test: the one of `LOVAGE_SEED`, or as many random ones
/// as have `LOVAGE_SIM_OPS` operations together, or else 25,000.
///
/// # Panics
/// When a variable is no number.
pub fn histories() -> Vec<Draw> {
    let operations = number(OPERATIONS).map_or(OPERATIONS_DEFAULT, |operations| {
        usize::try_from(operations).unwrap_or(usize::MAX)
    });
    if let Some(seed) = number(SEED) {
        return vec![Draw { seed, operations }];
    }
    let starts = (0..operations).step_by(HISTORY_OPERATIONS);
    starts
        .map(|start| Draw {
            seed: rand::random(),
            operations: HISTORY_OPERATIONS.min(operations - start),
        })
        .collect()
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{variable} must be a number, got {text:?}")))
}

/// Runs the history of one seed.
///
/// # Panics
/// When the store differs from the model.
pub async fn run(harness: Harness, connection: Connection, seed: u64, operations: usize) {
    let harness = match connection {
        Connection::Good => harness,
        Connection::Bad => harness.decorated(|store| {
            let faults = Faults {
                request_lost: 0.1,
                answer_lost: 0.1,
                delay_max: Duration::ZERO,
            };
            let faulty = FaultyBroker::new(store, faults, seed);
            Arc::new(ResendingBroker::new(Arc::new(faulty)))
        }),
    };
    let diary = Diary {
        seed,
        operations,
        lines: VecDeque::new(),
    };
    let mut sim = Sim::new(harness, connection, diary);
    for count in 1..=operations {
        let operation = sim.history.next(&sim.model).await;
        sim.diary.write(count, &operation);
        sim.apply(operation).await;
        if count % LOOK_EVERY == 0 {
            sim.look_at_touched().await;
        }
    }
    sim.look_at_everything().await;
}

/// The last operations and the seed, printed when the simulation panics.
struct Diary {
    seed: u64,
    operations: usize,
    lines: VecDeque<String>,
}

impl Diary {
    fn write(&mut self, count: usize, operation: &Operation) {
        if self.lines.len() == SHOWN_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(format!("{count}: {operation:?}"));
    }
}

impl Drop for Diary {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for line in &self.lines {
                eprintln!("{line}");
            }
            eprintln!(
                "the same history again: {SEED}={} {OPERATIONS}={} cargo test random_histories",
                self.seed, self.operations
            );
        }
    }
}

struct Sim {
    store: Harness,
    model: ModelBroker,
    clock: ManualClock,
    history: History,
    connection: Connection,
    touched: BTreeSet<JobId>,
    diary: Diary,
}

impl Sim {
    fn new(store: Harness, connection: Connection, diary: Diary) -> Self {
        let (clock, lease) = (store.clock.clone(), store.lease);
        Self {
            model: ModelBroker::new(clock.clone(), lease),
            history: History::new(diary.seed, clock.clone(), lease),
            clock,
            store,
            connection,
            touched: BTreeSet::new(),
            diary,
        }
    }

    async fn apply(&mut self, operation: Operation) {
        let (store, model) = (Arc::clone(&self.store.broker), self.model.clone());
        match operation {
            Operation::Enqueue { jobs, atomic } => self.enqueue(jobs, atomic).await,
            Operation::Register(queue, worker) => {
                let answer = store.register(&queue, &worker).await;
                same(answer, model.register(&queue, &worker).await);
            }
            Operation::Deregister(queue, worker) => {
                let answer = store.deregister(&queue, &worker).await;
                same(answer, model.deregister(&queue, &worker).await);
            }
            Operation::Claim(ask) => self.claim(ask).await,
            Operation::Extend(queue, worker) => {
                self.extend(&queue, &worker).await;
            }
            Operation::Checkpoint(lease, step, events) => {
                self.touch(&lease.job);
                let answer = store.checkpoint(&lease, &step, &events).await;
                same(answer, model.checkpoint(&lease, &step, &events).await);
            }
            Operation::Emit(lease, events) => {
                self.touch(&lease.job);
                let answer = store.emit(&lease, &events).await;
                same(answer, model.emit(&lease, &events).await);
            }
            Operation::Spawn(spawn) => self.spawn(&spawn).await,
            Operation::Signal(id, name, data) => {
                let answer = store.signal(&id, &name, &data).await;
                same(answer, model.signal(&id, &name, &data).await);
                self.touch(&id);
            }
            Operation::Settle(settles) => self.settle(settles).await,
            Operation::Cancel(id) => self.cancel(id).await,
            Operation::Redrive(id) => {
                self.touch(&id);
                let answer = store.redrive(&id).await;
                self.same_if_sure(answer, model.redrive(&id).await);
            }
            Operation::Pause(queue, paused) => {
                let answer = store.pause(&queue, paused).await;
                same(answer, model.pause(&queue, paused).await);
            }
            Operation::Limit(queue, limits) => {
                let answer = store.limit(&queue, &limits).await;
                same(answer, model.limit(&queue, &limits).await);
            }
            Operation::Advance(by) => self.clock.advance(by),
            Operation::Reclaim => self.reclaim().await,
            Operation::Prune => {
                self.store.prune().await;
                same(model.prune().await.map(drop), Ok(()));
            }
            Operation::List(filter) => self.list(&filter).await,
        }
    }

    async fn enqueue(&mut self, jobs: Vec<NewJob>, atomic: bool) {
        let answers = self.store.broker.enqueue(jobs.clone(), atomic).await;
        if matches!(answers, Err(BrokerError::Divided { .. })) {
            return;
        }
        // A store that keeps its queues apart may refuse this; then nothing of it happened.
        if let Err(BrokerError::Divided { queues }) = answers {
            let named: BTreeSet<_> = jobs.iter().map(|job| &job.queue).collect();
            assert!(atomic && queues == named.len() && queues > 1);
            return;
        }
        // A resent job under a key may be known by its key or by its id.
        let by_id = |(job, answer): (&NewJob, Enqueued)| match answer {
            Enqueued::Replayed(id) if id == job.id => Enqueued::Accepted(id),
            answer => answer,
        };
        let answers = answers.map(|answers| jobs.iter().zip(answers).map(by_id).collect());
        let expected = self.model.enqueue(jobs.clone(), atomic).await;
        same::<Vec<Enqueued>>(answers, expected);
        for job in &jobs {
            self.touched.insert(job.id);
            if self.model.get(&job.id).await.is_ok_and(|job| job.is_some()) {
                self.history.enqueued(job);
            }
        }
    }

    async fn spawn(&mut self, spawn: &Spawn) {
        let answer = self.store.broker.spawn(spawn).await;
        let stored = same(answer, self.model.spawn(spawn).await).is_some();
        self.touch(&spawn.lease.job);
        let known = self.model.family(&spawn.lease.job);
        let children = spawn.children.iter();
        let children: Vec<NewJob> = children
            .filter(|child| stored && known.contains(&child.id))
            .cloned()
            .collect();
        self.history.spawned(&children);
    }

    /// What may change with a job: itself, and jobs that hear of it.
    fn touch(&mut self, id: &JobId) {
        self.touched.extend(self.model.family(id));
    }

    /// Extends on both sides; whether the worker is still known.
    async fn extend(&mut self, queue: &QueueName, worker: &WorkerId) -> bool {
        let sorted = |mut ids: Vec<JobId>| {
            ids.sort();
            ids
        };
        let answer = self.store.broker.extend(queue, worker).await.map(sorted);
        let expected = self.model.extend(queue, worker).await.map(sorted);
        let known = same(answer, expected).is_some();
        if !known {
            self.history.lost(worker);
        }
        known
    }

    /// A store may give fewer than asked for when it meets expired jobs, so it
    /// is asked until it gave enough or takes no more.
    async fn claim(&mut self, ask: Claim) {
        if !self.extend(&ask.queue, &ask.worker).await {
            return;
        }
        self.end_late_children(&ask.queue).await;
        let meets_late = !self.model.late(&ask.queue).is_empty();
        let (mut all, mut left) = (Claims::default(), None);
        for _ in 0..CLAIMS_MAX {
            let want = ask.want - all.claimed.len();
            let more = Claim {
                want,
                ..ask.clone()
            };
            let claims = self.store.broker.claim(&more).await;
            let claims = claims.expect("an extended worker may claim");
            all.claimed.extend(claims.claimed);
            all.next_due = claims.next_due;
            if all.claimed.len() >= ask.want || !meets_late {
                break;
            }
            let before = left.replace(self.queued(&ask.queue).await);
            if before == left {
                break;
            }
        }
        let given: Vec<JobId> = all.claimed.iter().map(|claimed| claimed.job.id).collect();
        let mut taken = self.expired_in_store(&ask.queue).await;
        taken.extend(&given);
        let expected = self.model.claim_like(&ask, &taken);
        let mut expected = expected.expect("an extended worker may claim");
        if self.connection == Connection::Bad {
            // What a lost answer gave comes back in any order.
            all.claimed.sort_by_key(|claimed| claimed.job.id);
            expected.claimed.sort_by_key(|claimed| claimed.job.id);
        }
        if self.is_paused(&ask.queue).await || self.connection == Connection::Bad {
            (all.next_due, expected.next_due) = (None, None);
        }
        let ids = |claims: &Claims| -> Vec<JobId> {
            claims
                .claimed
                .iter()
                .map(|claimed| claimed.job.id)
                .collect()
        };
        assert_eq!(ids(&all), ids(&expected), "store, model: claimed ids");
        assert_eq!(all, expected, "store, model: claim");
        self.touched.extend(taken);
        self.history.claimed(&all.claimed);
    }

    /// Jobs that the store met and ended because they were not started in time,
    /// and that the model still has in line.
    async fn expired_in_store(&self, queue: &QueueName) -> Vec<JobId> {
        let mut ended = Vec::new();
        for id in self.model.late(queue) {
            let job = self.store.get(id).await;
            ended.extend(job.status.is_final().then_some(id));
        }
        ended
    }

    async fn row(&self, broker: &dyn Broker, queue: &QueueName) -> QueueStats {
        let rows = broker.stats().await.expect("stats answer");
        let row = rows.into_iter().find(|row| row.queue == *queue);
        row.unwrap_or_default()
    }

    /// A claim that finds a child too late queues its parent, for this claim or
    /// the next: here such children end before.
    async fn end_late_children(&mut self, queue: &QueueName) {
        let late = self.model.late(queue);
        if late.iter().any(|id| self.model.family(id).len() > 1) {
            self.reclaim().await;
        }
    }

    async fn queued(&self, queue: &QueueName) -> u64 {
        self.row(self.store.broker.as_ref(), queue).await.queued
    }

    async fn is_paused(&self, queue: &QueueName) -> bool {
        self.row(&self.model, queue).await.paused
    }

    async fn settle(&mut self, settles: Vec<Settle>) {
        for settle in &settles {
            self.touch(&settle.lease.job);
        }
        let answer = self.store.broker.settle(&settles).await;
        let expected = self.model.settle(&settles).await;
        let answers = same(answer, expected).unwrap_or_default();
        self.history.settled(&settles, &answers);
    }

    async fn cancel(&mut self, id: JobId) {
        self.touch(&id);
        let mut idle = Vec::new();
        for id in self.model.family(&id) {
            let job = self.model.get(&id).await.expect("the model answers");
            let idle_job = |job: &Job| !job.status.is_final() && job.status != Status::Running;
            idle.extend(job.filter(idle_job).map(|job| job.id));
        }
        let answer = self.store.broker.cancel(&id).await;
        let expected = self.model.cancel(&id).await;
        for id in idle {
            let job = self.model.get(&id).await.expect("the model answers");
            if job.is_some_and(|job| job.status == Status::Cancelled) {
                self.history.cancelled(id);
            }
        }
        self.same_if_sure(answer, expected);
    }

    async fn reclaim(&mut self) {
        let swept = self.store.sweep().await;
        let mut expected = Swept::default();
        loop {
            let more = self.model.reclaim().await.expect("the model sweeps");
            if more == Swept::default() {
                break;
            }
            expected.reclaimed.extend(more.reclaimed);
            expected.cancelled.extend(more.cancelled);
            expected.expired.extend(more.expired);
        }
        let reclaimed = expected.reclaimed.iter().map(|(id, _)| id);
        let ended = expected.cancelled.iter().chain(&expected.expired);
        for id in reclaimed.chain(ended) {
            self.touched.extend(self.model.family(id));
        }
        // Where such a job would stand when it is queued again is free.
        for id in &expected.expired {
            self.history.cancelled(*id);
        }
        let sorted = |mut swept: Swept| {
            swept.reclaimed.sort();
            swept.cancelled.sort();
            swept.expired.sort();
            swept
        };
        self.same_if_sure(Ok(sorted(swept)), Ok(sorted(expected)));
    }

    /// Compares answers unless a resent call may answer otherwise.
    fn same_if_sure<T: Debug + PartialEq>(
        &self,
        answer: Result<T, BrokerError>,
        expected: Result<T, BrokerError>,
    ) {
        if self.connection == Connection::Good {
            same(answer, expected);
        }
    }
}

/// Compares two answers, errors by what they say; the answer, if it is none.
fn same<T: Debug + PartialEq>(
    answer: Result<T, BrokerError>,
    expected: Result<T, BrokerError>,
) -> Option<T> {
    let text = |error: BrokerError| error.to_string();
    let (answer, expected) = (answer.map_err(text), expected.map_err(text));
    assert_eq!(answer, expected, "store, model");
    answer.ok()
}

#[cfg(test)]
mod tests {
    use lovage_core::limits;

    use super::*;

    async fn fresh() -> Harness {
        let (clock, lease) = (ManualClock::default(), limits::LEASE);
        let model = ModelBroker::new(clock.clone(), lease);
        Harness::new(Arc::new(model), clock, lease)
    }

    #[tokio::test]
    async fn the_model_goes_as_itself_on_any_connection() {
        for connection in [Connection::Good, Connection::Bad] {
            let history = histories().remove(0);
            history.play(Some(fresh().await), connection).await;
        }
    }

    #[tokio::test]
    #[should_panic(expected = "store, model")]
    async fn a_store_that_keeps_leases_too_long_is_found_out() {
        let (clock, lease) = (ManualClock::default(), limits::LEASE);
        let model = ModelBroker::new(clock.clone(), lease * 2);
        let harness = Harness::new(Arc::new(model), clock, lease);
        run(harness, Connection::Good, 1, HISTORY_OPERATIONS).await;
    }

    #[tokio::test]
    async fn one_seed_gives_one_history() {
        let mut ends = Vec::new();
        for _ in 0..2 {
            let start = "2026-01-01T00:00:00Z".parse().unwrap();
            let clock = ManualClock::at(start);
            let model = ModelBroker::new(clock.clone(), limits::LEASE);
            let harness = Harness::new(Arc::new(model.clone()), clock, limits::LEASE);
            run(harness, Connection::Good, 7, 300).await;
            ends.push(model.stats().await.unwrap());
        }
        assert_eq!(ends[0], ends[1]);
    }
}
