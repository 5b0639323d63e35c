//! What operations cost, in steps of SQLite's machine: the same on every
//! machine, and no more with a large backlog than with a small one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use lovage_core::broker::{Claim, Claimed, Settle, SignalReply, Spawn};
use lovage_core::id::{JobId, QueueName, Tenant, WorkerId};
use lovage_core::job::{NewJob, Unique};
use lovage_core::outcome::Outcome;
use lovage_core::payload::Payload;
use lovage_core::query::{Filter, Page};
use lovage_core::queue::{QueueLimits, Rate, Weight};
use lovage_core::status::{Join, Status, WaitReason};
use lovage_core::{clock, lifecycle, limits};
use rusqlite::Connection;

use crate::ops::{
    cancel, claim, enqueue, extend, limit, prune, query, reclaim, redrive, settle, signal, spawn,
};
use crate::schema;
use crate::writer::Write;

const HOUR: Duration = Duration::from_secs(3_600);
/// A backlog that stays where it is while the test runs.
const LATER: Duration = Duration::from_secs(30 * 24 * 3_600);

/// A store in memory, one worker, and the time.
struct Bench {
    conn: Connection,
    steps: Arc<AtomicU64>,
    now: Timestamp,
    worker: WorkerId,
}

impl Bench {
    /// With `backlog` jobs of every kind that nobody touches: queued in another
    /// priority, scheduled, waiting for a signal, and finished.
    fn with(backlog: usize) -> Self {
        let mut conn = Connection::open_in_memory().unwrap();
        conn.pragma_update(None, "foreign_keys", true).unwrap();
        schema::migrate(&mut conn).unwrap();
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let mut bench = Self {
            conn,
            steps: Arc::default(),
            now,
            worker: WorkerId::at(now),
        };
        bench.register();
        bench.limit();
        for _ in 0..backlog {
            bench.fill();
        }
        bench.fill_lanes(backlog);
        bench.count();
        bench
    }

    /// Begins to count.
    fn count(&mut self) {
        let steps = self.steps.clone();
        let count = move || {
            steps.fetch_add(1, Ordering::Relaxed);
            false
        };
        self.conn.progress_handler(1, Some(count)).unwrap();
    }

    /// Runs an operation; its answer, and the steps it took.
    fn run<T>(&mut self, operation: impl FnOnce(&mut Write<'_>) -> T) -> (T, u64) {
        self.steps.store(0, Ordering::Relaxed);
        let tx = self.conn.transaction().unwrap();
        let answer = operation(&mut Write::new(&tx, self.now, limits::LEASE));
        tx.commit().unwrap();
        (answer, self.steps.load(Ordering::Relaxed))
    }

    fn register(&mut self) {
        let worker = self.worker;
        let queue = QueueName::default();
        let registered = self.run(|write| extend::register(write, &queue, &worker));
        registered.0.unwrap();
    }

    fn limit(&mut self) {
        let tenant: Tenant = "heavy".parse().unwrap();
        let limits = QueueLimits {
            length: None,
            concurrency: Some(1_000_000),
            rate: Some(Rate {
                jobs: 1_000_000,
                per_ms: 1,
                burst: 1_000_000,
            }),
            weights: [(tenant, Weight::try_from(9).unwrap())].into(),
        };
        let queue = QueueName::default();
        let limited = self.run(|write| limit::limit(write, &queue, &limits));
        limited.0.unwrap();
    }

    fn job(&self) -> NewJob {
        let kind = "test.noop".parse().unwrap();
        NewJob::new(JobId::at(self.now), kind, Payload::null())
    }

    fn enqueue(&mut self, new: NewJob) -> u64 {
        let (answers, steps) = self.run(|write| enqueue::enqueue(write, &[new], false));
        answers.unwrap();
        steps
    }

    fn claim(&mut self, want: usize) -> (Vec<Claimed>, u64) {
        let ask = Claim {
            worker: self.worker,
            queue: QueueName::default(),
            want,
        };
        let (claims, steps) = self.run(|write| claim::claim(write, &ask));
        let claimed = claims.unwrap().claimed;
        assert_eq!(claimed.len(), want);
        (claimed, steps)
    }

    fn settle(&mut self, claimed: Vec<Claimed>, outcome: &Outcome) -> u64 {
        let now = self.now;
        let settles: Vec<Settle> = claimed
            .into_iter()
            .map(|one| Settle {
                next: lifecycle::settle(&one.job, outcome, now, 0.5),
                lease: one.lease,
                job: one.job,
            })
            .collect();
        let (settled, steps) = self.run(|write| settle::settle(write, &settles));
        settled.unwrap();
        steps
    }

    /// Enqueues a job and claims it.
    fn running(&mut self) -> Claimed {
        self.enqueue(self.job());
        self.claim(1).0.remove(0)
    }

    fn parked(&mut self, reason: WaitReason) -> JobId {
        let claimed = self.running();
        let id = claimed.job.id;
        let park = Outcome::Park {
            reason,
            after: LATER,
        };
        self.settle(vec![claimed], &park);
        id
    }

    fn finished(&mut self) {
        let claimed = self.running();
        self.settle(vec![claimed], &Outcome::Done(Payload::null()));
    }

    fn fill(&mut self) {
        self.finished();
        self.parked(WaitReason::Signal("approval".into()));
        let scheduled = NewJob {
            run_at: Some(clock::after(self.now, LATER)),
            ..self.job()
        };
        self.enqueue(scheduled);
    }

    /// Behind all others, so that claims pass them by.
    fn fill_lanes(&mut self, backlog: usize) {
        for number in 0..backlog {
            let queued = NewJob {
                priority: 0.try_into().unwrap(),
                tenant: format!("t{}", number % 7).parse().unwrap(),
                expires_at: Some(clock::after(self.now, LATER)),
                ..self.job()
            };
            self.enqueue(queued);
        }
    }

    /// The steps of every operation, by name.
    fn costs(&mut self) -> Vec<(&'static str, u64)> {
        let mut costs = vec![("enqueue", self.enqueue(self.job()))];
        let keyed = NewJob {
            unique: Some(Unique {
                key: "k".into(),
                window: None,
            }),
            tags: vec!["tag".into()],
            ..self.job()
        };
        costs.push(("enqueue with a key and a tag", self.enqueue(keyed)));
        let (claimed, steps) = self.claim(2);
        costs.push(("claim", steps));
        costs.push(("settle", self.settle(claimed, &Outcome::Cancelled)));
        costs.extend(self.late_costs());
        costs.extend(self.one_job_costs());
        costs.extend(self.reading_costs());
        costs
    }

    /// What is due, late or over.
    fn late_costs(&mut self) -> Vec<(&'static str, u64)> {
        let mut costs = Vec::new();
        let due = NewJob {
            run_at: Some(clock::after(self.now, HOUR)),
            ..self.job()
        };
        let late = NewJob {
            expires_at: Some(clock::after(self.now, HOUR)),
            ..self.job()
        };
        self.enqueue(late.clone());
        self.enqueue(due);
        self.now = clock::after(self.now, HOUR);
        let (swept, steps) = self.run(reclaim::reclaim);
        assert_eq!(swept.unwrap().expired, [late.id]);
        costs.push(("reclaim", steps));
        self.worker = WorkerId::at(self.now);
        self.register();
        let (claimed, steps) = self.claim(1);
        costs.push(("claim of what is due", steps));
        self.settle(claimed, &Outcome::Done(Payload::null()));
        costs
    }

    /// What is done to one job among all.
    fn one_job_costs(&mut self) -> Vec<(&'static str, u64)> {
        let id = self.parked(WaitReason::Signal("approval".into()));
        let data = Payload::null();
        let (reply, steps) = self.run(|write| signal::signal(write, &id, "approval", &data));
        assert_eq!(reply.unwrap(), SignalReply::Delivered);
        let mut costs = vec![("signal", steps)];
        let (_, steps) = self.run(|write| cancel::cancel(write, &id).unwrap());
        costs.push(("cancel", steps));
        let (_, steps) = self.run(|write| redrive::redrive(write, &id).unwrap());
        costs.push(("redrive", steps));
        let claimed = self.claim(1).0;
        self.settle(claimed, &Outcome::Cancelled);
        costs
    }

    fn reading_costs(&mut self) -> Vec<(&'static str, u64)> {
        let now = self.now;
        let page = Page {
            cursor: None,
            limit: 5,
        };
        let filter = Filter {
            states: vec![Status::Waiting],
            ..Filter::default()
        };
        let (listed, steps) = self.run(|write| query::list(write, &filter, &page, now));
        assert_eq!(listed.unwrap().jobs.len(), 5);
        let mut costs = vec![("list", steps)];
        let (_, steps) = self.run(|write| query::stats(write).unwrap());
        costs.push(("stats", steps));
        costs
    }

    /// What it costs that one child of so many ends.
    fn child_cost(children: usize) -> u64 {
        let mut bench = Self::with(1);
        let parent = bench.running();
        let spawn = Spawn {
            lease: parent.lease.clone(),
            group: "parts".into(),
            children: (0..children).map(|_| bench.job()).collect(),
        };
        let (spawned, _) = bench.run(|write| spawn::spawn(write, &spawn));
        spawned.unwrap();
        let park = Outcome::Park {
            reason: WaitReason::Children(Join::All),
            after: LATER,
        };
        bench.settle(vec![parent], &park);
        let child = bench.claim(1).0;
        bench.settle(child, &Outcome::Done(Payload::null()))
    }
}

#[test]
fn no_operation_costs_more_with_a_large_backlog() {
    let (mut small, mut large) = (Bench::with(40), Bench::with(400));
    for ((name, few), (_, many)) in small.costs().into_iter().zip(large.costs()) {
        assert!(few > 0, "{name} is not counted");
        assert!(many <= few + few / 10, "{name}: {few} steps, then {many}");
    }
}

#[test]
fn a_bite_of_pruning_costs_the_same_however_much_is_left() {
    let prune = |finished| {
        let mut bench = Bench::with(1);
        for _ in 0..finished {
            bench.finished();
        }
        bench.now = clock::after(bench.now, limits::KEEP + limits::TOMBSTONE);
        let (forgotten, steps) = bench.run(|write| prune::forget(write));
        assert_eq!(forgotten.unwrap(), limits::BATCH_MAX);
        steps
    };
    let (few, many) = (prune(limits::BATCH_MAX), prune(2 * limits::BATCH_MAX));
    assert!(many <= few + few / 10, "{few} steps, then {many}");
}

#[test]
fn a_child_that_ends_costs_the_same_however_many_siblings_it_has() {
    let (few, many) = (Bench::child_cost(3), Bench::child_cost(300));
    assert!(many <= few + few / 10, "{few} steps, then {many}");
}
