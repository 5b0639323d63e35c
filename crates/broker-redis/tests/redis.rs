//! What this store promises beyond the suite: how it uses the server.

#![allow(
    clippy::unwrap_used,
    reason = "in a test, an error of the store is a failure"
)]

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use lovage_broker_redis::{RedisBroker, RedisConfig};
use lovage_core::broker::{Broker, CancelReply, Claim, Enqueued, Settle, Settled, Wake};
use lovage_core::clock::{Clock, SystemClock};
use lovage_core::error::BrokerError;
use lovage_core::event::NewEvent;
use lovage_core::id::{JobId, QueueName, WorkerId};
use lovage_core::job::NewJob;
use lovage_core::lifecycle;
use lovage_core::limits;
use lovage_core::outcome::Outcome;
use lovage_core::payload::Payload;
use lovage_core::query::{Filter, Page};
use lovage_core::status::Status;
use lovage_tests::clock::ManualClock;
use lovage_tests::redis::RedisServer;
use tokio::time::{Instant, timeout};

const LONG: Duration = Duration::from_secs(10);

async fn connect(server: &RedisServer) -> Arc<RedisBroker> {
    let broker = RedisBroker::connect(RedisConfig::new(server.url())).await;
    Arc::new(broker.expect("the server is fit"))
}

fn job() -> NewJob {
    let kind = "test.noop".parse().unwrap();
    NewJob::new(JobId::at(SystemClock.now()), kind, Payload::null())
}

async fn enqueue(broker: &RedisBroker, count: usize) -> Vec<JobId> {
    let jobs: Vec<NewJob> = (0..count).map(|_| job()).collect();
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    for batch in jobs.chunks(1_000) {
        let answers = broker.enqueue(batch.to_vec(), false).await.unwrap();
        assert!(answers.iter().all(|a| matches!(a, Enqueued::Accepted(_))));
    }
    ids
}

async fn worker(broker: &RedisBroker) -> WorkerId {
    let worker = WorkerId::at(SystemClock.now());
    broker
        .register(&QueueName::default(), &worker)
        .await
        .unwrap();
    worker
}

fn ask(worker: WorkerId, want: usize) -> Claim {
    Claim {
        worker,
        queue: QueueName::default(),
        want,
    }
}

async fn claim(broker: &RedisBroker, worker: WorkerId, want: usize) -> Vec<Settle> {
    let claims = broker.claim(&ask(worker, want)).await.unwrap();
    let done = Outcome::Done(Payload::null());
    claims
        .claimed
        .into_iter()
        .map(|claimed| Settle {
            next: lifecycle::settle(&claimed.job, &done, SystemClock.now(), 0.5),
            lease: claimed.lease,
            job: claimed.job,
        })
        .collect()
}

async fn commands(server: &RedisServer) -> u64 {
    let info = server.command(&["INFO", "stats"]).await.unwrap();
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("total_commands_processed:"));
    line.unwrap().trim().parse().unwrap()
}

/// `None` when Redis tests are switched off.
async fn server() -> Option<RedisServer> {
    match RedisServer::available() {
        true => Some(RedisServer::start().await),
        false => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_claimers_get_each_of_two_thousand_jobs_once() {
    let Some(server) = server().await else { return };
    let broker = connect(&server).await;
    let ids = enqueue(&broker, 2_000).await;
    let claimers = (0..16).map(|n| {
        let broker = broker.clone();
        tokio::spawn(async move {
            let worker = worker(&broker).await;
            let mut got = Vec::new();
            loop {
                let settles = claim(&broker, worker, 1 + n % 7).await;
                if settles.is_empty() {
                    return got;
                }
                got.extend(settles.iter().map(|settle| settle.job.id));
                let settled = broker.settle(&settles).await.unwrap();
                assert!(settled.iter().all(|settled| *settled == Settled::Done));
            }
        })
    });
    let mut got = Vec::new();
    for claimer in claimers.collect::<Vec<_>>() {
        got.extend(claimer.await.unwrap());
    }
    assert_eq!(got.len(), 2_000, "none is given twice");
    let all: HashSet<JobId> = ids.into_iter().collect();
    assert_eq!(got.into_iter().collect::<HashSet<_>>(), all, "none is lost");
    let stats = broker.stats().await.unwrap().remove(0);
    assert_eq!(
        (stats.succeeded_total, stats.queued, stats.running),
        (2_000, 0, 0)
    );
}

#[tokio::test]
async fn an_idle_worker_does_not_poll() {
    let Some(server) = server().await else { return };
    let broker = connect(&server).await;
    let (worker, queue) = (worker(&broker).await, QueueName::default());
    let first = Duration::from_millis(200);
    let idle = broker.wake(&queue, &worker, true, first).await.unwrap();
    assert_eq!(idle, Wake::Timeout);
    let before = commands(&server).await;
    let wait = Duration::from_secs(2);
    let idle = broker.wake(&queue, &worker, true, wait).await.unwrap();
    assert_eq!(idle, Wake::Timeout);
    // Asking is a command too.
    let sent = commands(&server).await - before;
    assert!(sent < 10, "{sent} commands in {wait:?}");
}

#[tokio::test]
async fn an_enqueue_wakes_a_sleeping_worker_at_once() {
    let Some(server) = server().await else { return };
    let broker = connect(&server).await;
    let (worker, queue) = (worker(&broker).await, QueueName::default());
    let sleeper = {
        let broker = broker.clone();
        tokio::spawn(async move {
            broker
                .wake(&QueueName::default(), &worker, true, LONG)
                .await
        })
    };
    enqueue(&broker, 1).await;
    let began = Instant::now();
    assert_eq!(sleeper.await.unwrap().unwrap(), Wake::Work);
    assert!(began.elapsed() < Duration::from_secs(1));
    // A worker without a free slot takes no token from those that have one.
    let busy = broker.wake(&queue, &worker, false, Duration::from_millis(50));
    assert_eq!(busy.await.unwrap(), Wake::Timeout);
}

#[tokio::test]
async fn a_cancel_reaches_a_worker_whose_last_wait_was_dropped_within_a_second() {
    let Some(server) = server().await else { return };
    let broker = connect(&server).await;
    let id = enqueue(&broker, 1).await[0];
    let (worker, queue) = (worker(&broker).await, QueueName::default());
    claim(&broker, worker, 1).await;
    let dropped = broker.wake(&queue, &worker, false, LONG);
    assert!(timeout(Duration::from_millis(50), dropped).await.is_err());
    assert_eq!(broker.cancel(&id).await.unwrap(), CancelReply::Requested);
    let began = Instant::now();
    let woken = broker.wake(&queue, &worker, false, LONG).await.unwrap();
    assert_eq!(woken, Wake::Cancel(vec![id]));
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!(broker.extend(&queue, &worker).await.unwrap(), [id]);
}

#[tokio::test]
async fn a_token_heard_by_a_worker_that_became_busy_wakes_another() {
    let Some(server) = server().await else { return };
    let broker = connect(&server).await;
    let queue = QueueName::default();
    let (busy, idle) = (worker(&broker).await, worker(&broker).await);
    let asked = broker.wake(&queue, &busy, true, Duration::from_millis(100));
    assert_eq!(asked.await.unwrap(), Wake::Timeout);
    enqueue(&broker, 1).await;
    let full = broker.wake(&queue, &busy, false, Duration::from_millis(50));
    assert_eq!(full.await.unwrap(), Wake::Timeout);
    let woken = broker.wake(&queue, &idle, true, LONG).await.unwrap();
    assert_eq!(woken, Wake::Work);
}

#[tokio::test]
async fn a_watcher_in_another_process_is_woken_by_what_happens_here() {
    let Some(server) = server().await else { return };
    let (here, there) = (connect(&server).await, connect(&server).await);
    let id = enqueue(&here, 1).await[0];
    let worker = worker(&here).await;
    let settles = claim(&here, worker, 1).await;
    let watch = |after| {
        let there = there.clone();
        tokio::spawn(async move { there.events(&id, after, 10, LONG).await })
    };
    let began = Instant::now();
    let first = watch(0);
    let note = NewEvent {
        kind: "note".into(),
        step: None,
        data: Payload::null(),
    };
    here.emit(&settles[0].lease, &[note]).await.unwrap();
    let page = first.await.unwrap().unwrap().unwrap();
    assert_eq!((page.events.len(), page.ended), (1, false));
    let last = watch(1);
    here.settle(&settles).await.unwrap();
    let page = last.await.unwrap().unwrap().unwrap();
    assert!(page.ended);
    assert_eq!(page.events[0].kind, "succeeded");
    assert!(began.elapsed() < Duration::from_secs(5), "nobody polled");
}

#[tokio::test]
async fn a_job_cancelled_in_its_lane_and_redriven_is_listed_and_given_once() {
    let Some(server) = server().await else { return };
    let broker = connect(&server).await;
    let ids = enqueue(&broker, 3).await;
    broker.cancel(&ids[0]).await.unwrap();
    broker.redrive(&ids[0]).await.unwrap();
    let page = Page {
        cursor: None,
        limit: 100,
    };
    let listed = broker.list(&Filter::default(), &page).await.unwrap();
    assert_eq!(listed.jobs.len(), 3);
    let worker = worker(&broker).await;
    assert_eq!(claim(&broker, worker, 100).await.len(), 3);
    assert_eq!(broker.stats().await.unwrap()[0].queued, 0);
}

#[tokio::test]
async fn the_same_work_survives_a_lost_script_cache() {
    let Some(server) = server().await else { return };
    let broker = connect(&server).await;
    enqueue(&broker, 1).await;
    server.command(&["SCRIPT", "FLUSH"]).await.unwrap();
    let ids = enqueue(&broker, 1).await;
    assert_eq!(
        broker.get(&ids[0]).await.unwrap().unwrap().status,
        Status::Queued
    );
}

#[tokio::test]
async fn a_server_that_evicts_or_follows_is_refused() {
    let Some(server) = server().await else { return };
    let set = ["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"];
    server.command(&set).await.unwrap();
    let refused = RedisBroker::connect(RedisConfig::new(server.url())).await;
    assert!(matches!(refused, Err(BrokerError::Unfit(_))), "{refused:?}");
    let set = ["CONFIG", "SET", "maxmemory-policy", "noeviction"];
    server.command(&set).await.unwrap();
    server
        .command(&["REPLICAOF", "127.0.0.1", "1"])
        .await
        .unwrap();
    let refused = RedisBroker::connect(RedisConfig::new(server.url())).await;
    assert!(
        matches!(refused, Err(BrokerError::ReadOnly(_))),
        "{refused:?}"
    );
}

/// The key of which attempts are counted for a script to read.
const NOTED: &str = "lovage:{default}:t";

#[tokio::test]
async fn an_attempt_after_those_that_an_older_program_counted_has_the_next_number() {
    let Some(server) = server().await else { return };
    let broker = connect(&server).await;
    enqueue(&broker, 1).await;
    let first = worker(&broker).await;
    let mut lost = claim(&broker, first, 1).await;
    lost[0].next = lifecycle::attempt_lost(&lost[0].job);
    broker.settle(&lost).await.unwrap();
    // The older program wrote the record, and nothing else.
    server.command(&["DEL", NOTED]).await.unwrap();

    let second = worker(&broker).await;
    let given = claim(&broker, second, 1).await;
    assert_eq!((given[0].job.attempt, given[0].lease.token.attempt), (2, 2));
    let held = broker.held(&QueueName::default(), &second).await.unwrap();
    assert_eq!(held[0].lease, given[0].lease);
    assert_eq!(held[0].job, given[0].job);
    for _ in 0..2 {
        assert_eq!(broker.settle(&given).await.unwrap(), [Settled::Done]);
    }
    let job = broker.get(&given[0].job.id).await.unwrap().unwrap();
    assert_eq!((job.status, job.attempt), (Status::Succeeded, 2));
    assert_eq!(server.command(&["EXISTS", NOTED]).await.unwrap(), "0");
}

#[tokio::test]
async fn what_was_noted_of_a_job_that_an_older_program_ended_is_forgotten_with_it() {
    let Some(server) = server().await else { return };
    let clock = ManualClock::default();
    let config = RedisConfig {
        clock: Some(Arc::new(clock.clone())),
        ..RedisConfig::new(server.url())
    };
    let broker = RedisBroker::connect(config).await.unwrap();
    let id = enqueue(&broker, 1).await[0];
    let worker = worker(&broker).await;
    broker
        .settle(&claim(&broker, worker, 1).await)
        .await
        .unwrap();
    // The older program ended it, and knew nothing of this.
    let note = ["HSET", NOTED, &id.to_string(), "0"];
    server.command(&note).await.unwrap();
    clock.advance(limits::KEEP + limits::TOMBSTONE + LONG);
    assert_eq!(broker.prune().await.unwrap(), 1);
    assert_eq!(server.command(&["EXISTS", NOTED]).await.unwrap(), "0");
}

#[tokio::test]
async fn what_a_newer_program_wrote_is_refused() {
    let Some(server) = server().await else { return };
    drop(
        RedisBroker::connect(RedisConfig::new(server.url()))
            .await
            .unwrap(),
    );
    let signed = server.command(&["GET", "lovage:schema"]).await.unwrap();
    assert!(format!("{signed:?}").contains('1'), "{signed:?}");
    server
        .command(&["SET", "lovage:schema", "99"])
        .await
        .unwrap();
    let refused = RedisBroker::connect(RedisConfig::new(server.url())).await;
    let newer = BrokerError::NewerSchema {
        found: 99,
        known: 1,
    };
    assert_eq!(refused.unwrap_err().to_string(), newer.to_string());
}

#[tokio::test]
async fn a_password_is_never_shown() {
    let Some(server) = server().await else { return };
    let url = server.url().replace("redis://", "redis://someone:s3cret@");
    let config = RedisConfig::new(&url);
    assert!(!format!("{config:?}").contains("s3cret"));
    let refused = RedisBroker::connect(config).await.unwrap_err();
    let source = std::error::Error::source(&refused).map(ToString::to_string);
    let shown = format!("{refused} {refused:?} {source:?}");
    assert!(!shown.contains("s3cret"), "{shown}");
}
