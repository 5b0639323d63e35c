//! The server goes away, comes back, fills up and turns into a replica while
//! one broker is in use: it works again by itself.

#![allow(
    clippy::unwrap_used,
    reason = "in a test, an error of the store is a failure"
)]

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use lovage_broker_redis::{RedisBroker, RedisConfig};
use lovage_core::broker::{Broker, Claim, Claimed, Settle, Settled, Swept, Wake};
use lovage_core::clock::{Clock, SystemClock};
use lovage_core::error::BrokerError;
use lovage_core::id::{JobId, QueueName, WorkerId};
use lovage_core::job::NewJob;
use lovage_core::lifecycle;
use lovage_core::outcome::Outcome;
use lovage_core::payload::Payload;
use lovage_core::query::{Filter, Page};
use lovage_core::status::Status;
use lovage_tests::clock::ManualClock;
use lovage_tests::redis::RedisServer;
use tokio::time::{Instant, timeout};

const LONG: Duration = Duration::from_secs(20);
const DURABLE: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

async fn connect(server: &RedisServer) -> Arc<RedisBroker> {
    let broker = RedisBroker::connect(RedisConfig::new(server.url())).await;
    Arc::new(broker.expect("the server is fit"))
}

fn job(input: &str) -> NewJob {
    let input = Payload::of(&input).unwrap();
    NewJob::new(
        JobId::at(SystemClock.now()),
        "test.noop".parse().unwrap(),
        input,
    )
}

async fn enqueue(broker: &RedisBroker) -> Result<JobId, BrokerError> {
    let job = job("");
    let id = job.id;
    broker.enqueue(vec![job], false).await.map(|_| id)
}

async fn claim_one(broker: &RedisBroker) -> (WorkerId, Claimed) {
    let queue = QueueName::default();
    let worker = WorkerId::at(SystemClock.now());
    broker.register(&queue, &worker).await.unwrap();
    let ask = Claim {
        worker,
        queue,
        want: 1,
    };
    let mut claims = broker.claim(&ask).await.unwrap();
    (worker, claims.claimed.remove(0))
}

fn done(claimed: &Claimed) -> Settle {
    let outcome = Outcome::Done(Payload::null());
    Settle {
        lease: claimed.lease.clone(),
        job: claimed.job.clone(),
        next: lifecycle::settle(&claimed.job, &outcome, SystemClock.now(), 0.5),
    }
}

/// Sends a call again, as callers do, while the store cannot be reached.
async fn until_back<T, F>(call: impl Fn() -> F) -> T
where
    F: Future<Output = Result<T, BrokerError>>,
{
    let trying = async {
        loop {
            match call().await {
                Ok(answer) => return answer,
                Err(BrokerError::Unavailable(_)) => tokio::task::yield_now().await,
                Err(error) => panic!("{error:?}"),
            }
        }
    };
    timeout(LONG, trying).await.expect("the store is back")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_fail_fast_while_the_server_is_away_and_work_once_it_is_back() {
    if !RedisServer::available() {
        return;
    }
    let mut server = RedisServer::start_with(&DURABLE).await;
    let broker = connect(&server).await;
    let id = enqueue(&broker).await.unwrap();
    let (_, claimed) = claim_one(&broker).await;
    server.kill().await;
    for _ in 0..3 {
        let began = Instant::now();
        let error = broker.settle(&[done(&claimed)]).await.unwrap_err();
        assert!(matches!(error, BrokerError::Unavailable(_)), "{error:?}");
        assert!(error.is_transient());
        assert!(began.elapsed() < Duration::from_secs(3), "it did not hang");
    }
    assert!(broker.ping().await.is_err());
    server.restart().await;
    let settles = [done(&claimed)];
    let settled = until_back(|| broker.settle(&settles)).await;
    assert_eq!(settled, [Settled::Done]);
    let job = until_back(|| broker.get(&id)).await.unwrap();
    assert_eq!(job.status, Status::Succeeded);
    until_back(|| broker.ping()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sleeping_worker_is_woken_after_the_server_came_back() {
    if !RedisServer::available() {
        return;
    }
    let mut server = RedisServer::start_with(&DURABLE).await;
    let broker = connect(&server).await;
    enqueue(&broker).await.unwrap();
    let (worker, claimed) = claim_one(&broker).await;
    let sleeper = || {
        let broker = broker.clone();
        tokio::spawn(async move {
            broker
                .wake(&QueueName::default(), &worker, true, LONG)
                .await
        })
    };
    // The claim left nothing behind; a token from the enqueue may be there still.
    let first = broker
        .wake(
            &QueueName::default(),
            &worker,
            true,
            Duration::from_millis(200),
        )
        .await;
    assert!(matches!(first, Ok(Wake::Work | Wake::Timeout)), "{first:?}");
    let asleep = sleeper();
    server.restart().await;
    until_back(|| enqueue(&broker)).await;
    assert_eq!(asleep.await.unwrap().unwrap(), Wake::Work);
    let asleep = sleeper();
    server
        .command(&["CLIENT", "KILL", "TYPE", "normal"])
        .await
        .unwrap();
    let id = claimed.job.id;
    until_back(|| broker.cancel(&id)).await;
    match asleep.await.unwrap().unwrap() {
        Wake::Cancel(ids) => assert_eq!(ids, [id]),
        Wake::Work => {
            let woken = broker
                .wake(&QueueName::default(), &worker, false, LONG)
                .await;
            assert_eq!(woken.unwrap(), Wake::Cancel(vec![id]));
        }
        Wake::Timeout => panic!("the cancel was not heard"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_hears_of_the_end_although_its_connection_was_cut() {
    if !RedisServer::available() {
        return;
    }
    let server = RedisServer::start().await;
    let broker = connect(&server).await;
    let id = enqueue(&broker).await.unwrap();
    let (_, claimed) = claim_one(&broker).await;
    let watcher = {
        let broker = broker.clone();
        tokio::spawn(async move { broker.events(&id, 0, 10, LONG).await })
    };
    let kill = ["CLIENT", "KILL", "TYPE", "pubsub"];
    server.command(&kill).await.unwrap();
    let settles = [done(&claimed)];
    until_back(|| broker.settle(&settles)).await;
    let page = watcher.await.unwrap().unwrap().unwrap();
    assert!(page.ended);
}

#[tokio::test]
async fn a_full_server_refuses_new_jobs_and_lets_running_ones_end() {
    if !RedisServer::available() {
        return;
    }
    let server = RedisServer::start().await;
    let broker = connect(&server).await;
    let id = enqueue(&broker).await.unwrap();
    let queue = QueueName::default();
    let (worker, claimed) = claim_one(&broker).await;
    enqueue(&broker).await.unwrap();
    let set = ["CONFIG", "SET", "maxmemory", "1"];
    server.command(&set).await.unwrap();
    let refused = enqueue(&broker).await.unwrap_err();
    assert!(matches!(refused, BrokerError::Full(_)), "{refused:?}");
    let pinged = broker.ping().await.unwrap_err();
    assert!(matches!(pinged, BrokerError::Full(_)), "{pinged:?}");
    assert_eq!(broker.extend(&queue, &worker).await.unwrap(), []);
    broker.reclaim().await.unwrap();
    let settled = broker.settle(&[done(&claimed)]).await.unwrap();
    assert_eq!(settled, [Settled::Done]);
    let job = broker.get(&id).await.unwrap().unwrap();
    assert_eq!(job.status, Status::Succeeded);
    // Whoever watches and lists still can.
    let page = broker.events(&id, 0, 10, LONG).await.unwrap().unwrap();
    assert!(page.ended);
    let page = Page {
        cursor: None,
        limit: 10,
    };
    let listed = broker.list(&Filter::default(), &page).await.unwrap();
    assert_eq!(listed.jobs.len(), 2);
    let unset = ["CONFIG", "SET", "maxmemory", "0"];
    server.command(&unset).await.unwrap();
    enqueue(&broker).await.unwrap();
}

#[tokio::test]
async fn a_server_that_became_a_replica_is_read_only() {
    if !RedisServer::available() {
        return;
    }
    let server = RedisServer::start().await;
    let broker = connect(&server).await;
    enqueue(&broker).await.unwrap();
    let follow = ["REPLICAOF", "127.0.0.1", "1"];
    server.command(&follow).await.unwrap();
    for refused in [enqueue(&broker).await.map(|_| ()), broker.ping().await] {
        let error = refused.unwrap_err();
        assert!(matches!(error, BrokerError::ReadOnly(_)), "{error:?}");
    }
    let lead = ["REPLICAOF", "NO", "ONE"];
    server.command(&lead).await.unwrap();
    until_back(|| async {
        match broker.ping().await {
            // The old connection may be kept until it is refused once more.
            Err(BrokerError::ReadOnly(cause)) => Err(BrokerError::Unavailable(cause)),
            answer => answer,
        }
    })
    .await;
}

#[tokio::test]
async fn after_a_time_without_sweeps_workers_get_a_lease_to_come_back() {
    if !RedisServer::available() {
        return;
    }
    let server = RedisServer::start().await;
    let clock = ManualClock::default();
    let config = RedisConfig {
        clock: Some(Arc::new(clock.clone())),
        ..RedisConfig::new(server.url())
    };
    let lease = config.lease;
    let broker = RedisBroker::connect(config).await.unwrap();
    let queue = QueueName::default();
    let (alive, gone) = (WorkerId::at(clock.now()), WorkerId::at(clock.now()));
    broker
        .enqueue(vec![job("alive"), job("gone")], false)
        .await
        .unwrap();
    for worker in [alive, gone] {
        broker.register(&queue, &worker).await.unwrap();
        let ask = Claim {
            worker,
            queue: queue.clone(),
            want: 1,
        };
        assert_eq!(broker.claim(&ask).await.unwrap().claimed.len(), 1);
    }
    assert_eq!(broker.reclaim().await.unwrap(), Swept::default());
    // The store is away for an hour: nobody could extend, nobody swept.
    clock.advance(Duration::from_secs(3_600));
    assert_eq!(broker.reclaim().await.unwrap(), Swept::default());
    assert_eq!(broker.extend(&queue, &alive).await.unwrap(), []);
    clock.advance(lease - Duration::from_millis(1));
    assert_eq!(broker.reclaim().await.unwrap(), Swept::default());
    assert_eq!(broker.extend(&queue, &alive).await.unwrap(), []);
    clock.advance(Duration::from_millis(2));
    let swept = broker.reclaim().await.unwrap();
    assert_eq!(swept.reclaimed.len(), 1, "only the one that stayed away");
    assert_eq!(broker.held(&queue, &alive).await.unwrap().len(), 1);
}
