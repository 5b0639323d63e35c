//! How fast an empty job goes through the store. Not part of the suite:
//! `cargo test --release --test throughput -- --ignored --nocapture`.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use lovage_broker_sqlite::{SqliteBroker, SqliteConfig};
use lovage_core::broker::{Broker, Claim, Settle};
use lovage_core::clock::{Clock, SystemClock};
use lovage_core::id::{JobId, QueueName, WorkerId};
use lovage_core::job::NewJob;
use lovage_core::lifecycle;
use lovage_core::outcome::Outcome;
use lovage_core::payload::Payload;

const JOBS: usize = 20_000;

fn job() -> NewJob {
    let input = Payload::of(&"x".repeat(1_000)).unwrap();
    let kind = "test.noop".parse().unwrap();
    NewJob::new(JobId::at(SystemClock.now()), kind, input)
}

async fn open(dir: &tempfile::TempDir) -> Arc<SqliteBroker> {
    let config = SqliteConfig::new(dir.path().join("jobs.db"));
    Arc::new(SqliteBroker::open(config).await.unwrap())
}

fn rate(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

async fn fill(broker: &SqliteBroker, jobs: usize) {
    let start = Instant::now();
    for _ in 0..jobs / 100 {
        let batch = (0..100).map(|_| job()).collect();
        broker.enqueue(batch, false).await.unwrap();
    }
    let enqueued = rate(jobs, start.elapsed());
    println!("enqueue, batches of 100: {enqueued:.0}/s");
}

/// Claims and settles until the queue is empty; says how many.
async fn drain(broker: Arc<SqliteBroker>, slots: usize) -> usize {
    let worker = WorkerId::at(SystemClock.now());
    let queue = QueueName::default();
    broker.register(&queue, &worker).await.unwrap();
    let ask = Claim {
        worker,
        queue,
        want: slots,
    };
    let mut ran = 0;
    loop {
        let claims = broker.claim(&ask).await.unwrap();
        if claims.claimed.is_empty() {
            return ran;
        }
        ran += claims.claimed.len();
        let settles: Vec<Settle> = claims
            .claimed
            .into_iter()
            .map(|claimed| Settle {
                next: lifecycle::settle(
                    &claimed.job,
                    &Outcome::Done(Payload::null()),
                    SystemClock.now(),
                    0.5,
                ),
                lease: claimed.lease,
                job: claimed.job,
            })
            .collect();
        broker.settle(&settles).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn drain_rate() {
    for (workers, slots) in [(1, 1), (1, 16), (1, 64), (16, 1), (4, 64)] {
        let dir = tempfile::tempdir().unwrap();
        let broker = open(&dir).await;
        fill(&broker, JOBS).await;
        let start = Instant::now();
        let tasks = (0..workers).map(|_| tokio::spawn(drain(broker.clone(), slots)));
        let mut ran = 0;
        for task in tasks.collect::<Vec<_>>() {
            ran += task.await.unwrap();
        }
        let drained = rate(ran, start.elapsed());
        println!("drain, {workers} workers of {slots}: {drained:.0}/s");
        assert_eq!(ran, JOBS);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn claim_cost_does_not_grow_with_the_backlog() {
    let dir = tempfile::tempdir().unwrap();
    let broker = open(&dir).await;
    let worker = WorkerId::at(SystemClock.now());
    let queue = QueueName::default();
    broker.register(&queue, &worker).await.unwrap();
    for _ in 0..4 {
        fill(&broker, 50_000).await;
        let start = Instant::now();
        for _ in 0..200 {
            let ask = Claim {
                worker,
                queue: queue.clone(),
                want: 1,
            };
            broker.claim(&ask).await.unwrap();
        }
        let queued = broker.stats().await.unwrap()[0].queued;
        println!("{queued} queued: {:?} per claim", start.elapsed() / 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn opening_is_fast() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a new file", "a file that is there"] {
        let start = Instant::now();
        let broker = open(&dir).await;
        println!("open {name}: {:?}", start.elapsed());
        broker.enqueue(vec![job()], false).await.unwrap();
        println!("  and the first enqueue: {:?}", start.elapsed());
    }
}
