//! How fast an empty job goes through the store. Not part of the suite:
//! `cargo test --release --test throughput -- --ignored --nocapture`.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lovage_broker_sqlite::{SqliteBroker, SqliteConfig};
use lovage_core::broker::{Broker, Claim, Claimed, Settle};
use lovage_core::clock::{Clock, SystemClock};
use lovage_core::id::{JobId, QueueName, WorkerId};
use lovage_core::job::NewJob;
use lovage_core::lifecycle;
use lovage_core::limits;
use lovage_core::outcome::Outcome;
use lovage_core::payload::Payload;
use lovage_tests::clock::ManualClock;

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

fn ask(worker: WorkerId, want: usize) -> Claim {
    Claim {
        worker,
        queue: QueueName::default(),
        want,
    }
}

fn done(claimed: Claimed) -> Settle {
    let outcome = Outcome::Done(Payload::null());
    Settle {
        next: lifecycle::settle(&claimed.job, &outcome, SystemClock.now(), 0.5),
        lease: claimed.lease,
        job: claimed.job,
    }
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
    let ask = ask(worker, slots);
    let mut ran = 0;
    loop {
        let claims = broker.claim(&ask).await.unwrap();
        if claims.claimed.is_empty() {
            return ran;
        }
        ran += claims.claimed.len();
        let settles: Vec<Settle> = claims.claimed.into_iter().map(done).collect();
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

/// The median time of `count` calls.
async fn median<F: Future>(count: usize, mut call: impl FnMut() -> F) -> Duration {
    let mut took = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        call().await;
        took.push(start.elapsed());
    }
    took.sort();
    took[count / 2]
}

/// What each operation costs now, in microseconds.
async fn costs(broker: &SqliteBroker, worker: WorkerId) -> Vec<(&'static str, f64)> {
    let micros = |took: Duration| took.as_secs_f64() * 1e6;
    let mut costs = Vec::new();
    let enqueue = |jobs: usize| async move {
        let jobs = (0..jobs).map(|_| job()).collect();
        broker.enqueue(jobs, false).await.unwrap();
    };
    costs.push(("enqueue of 1", micros(median(400, || enqueue(1)).await)));
    costs.push(("enqueue of 100", micros(median(40, || enqueue(100)).await)));
    for (want, names) in [
        (1, ["claim of 1", "settle of 1"]),
        (100, ["claim of 100", "settle of 100"]),
    ] {
        let held = Mutex::new(Vec::new());
        let claim = || async {
            let claims = broker.claim(&ask(worker, want)).await.unwrap();
            held.lock().unwrap().push(claims.claimed);
        };
        costs.push((names[0], micros(median(400 / want + 36, claim).await)));
        let held = held.into_inner().unwrap();
        let settles: Vec<Vec<Settle>> = held
            .into_iter()
            .map(|claimed| claimed.into_iter().map(done).collect())
            .collect();
        let mut settles = settles.iter();
        let settle = || broker.settle(settles.next().unwrap());
        costs.push((names[1], micros(median(settles.len(), settle).await)));
    }
    costs
}

/// Environment variable `LOVAGE_ROWS` says how many instead of a million.
fn rows() -> usize {
    std::env::var("LOVAGE_ROWS").map_or(1_000_000, |rows| rows.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn costs_do_not_grow_with_the_backlog() {
    let dir = tempfile::tempdir().unwrap();
    let broker = open(&dir).await;
    let worker = WorkerId::at(SystemClock.now());
    broker
        .register(&QueueName::default(), &worker)
        .await
        .unwrap();
    fill(&broker, 5_000).await;
    let few = costs(&broker, worker).await;
    fill(&broker, rows()).await;
    let many = costs(&broker, worker).await;
    for ((name, few), (_, many)) in few.iter().zip(many) {
        println!("{name}: {few:.0} µs, {many:.0} µs, ratio {:.2}", many / few);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn claims_go_on_while_many_finished_jobs_are_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::default();
    let config = SqliteConfig {
        clock: Arc::new(clock.clone()),
        ..SqliteConfig::new(dir.path().join("jobs.db"))
    };
    let broker = Arc::new(SqliteBroker::open(config).await.unwrap());
    fill(&broker, rows()).await;
    drain(broker.clone(), 256).await;
    clock.advance(limits::KEEP + limits::TOMBSTONE);
    let pruning = tokio::spawn({
        let broker = broker.clone();
        async move {
            let (start, mut forgotten) = (Instant::now(), 0);
            loop {
                match broker.prune().await.unwrap() {
                    0 => return rate(forgotten, start.elapsed()),
                    some => forgotten += some,
                }
            }
        }
    });
    let worker = WorkerId::at(SystemClock.now());
    broker
        .register(&QueueName::default(), &worker)
        .await
        .unwrap();
    let mut took = Vec::new();
    while !pruning.is_finished() {
        let start = Instant::now();
        broker.enqueue(vec![job()], false).await.unwrap();
        let claims = broker.claim(&ask(worker, 1)).await.unwrap();
        let settles: Vec<Settle> = claims.claimed.into_iter().map(done).collect();
        broker.settle(&settles).await.unwrap();
        took.push(start.elapsed());
    }
    took.sort();
    println!("pruned {:.0}/s", pruning.await.unwrap());
    println!(
        "enqueue, claim and settle meanwhile: p50 {:?}, p99 {:?}, max {:?}, of {}",
        took[took.len() / 2],
        took[took.len() * 99 / 100],
        took[took.len() - 1],
        took.len()
    );
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
