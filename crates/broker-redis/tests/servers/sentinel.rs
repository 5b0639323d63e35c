//! A master and a replica behind three sentinels.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lovage_broker_redis::{RedisBroker, RedisConfig};
use lovage_core::broker::Broker;
use lovage_core::error::{BrokerError, chain};
use lovage_core::id::{JobId, QueueName};
use lovage_core::status::Status;
use lovage_tests::conformance;
use lovage_tests::redis::RedisServer;
use lovage_tests::redis::sentinel::SentinelGroup;
use tokio::time::timeout;

use crate::support::{LONG, connect, enqueue, fresh, job, queue, register, until_back, work_off};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_behind_sentinels_keeps_every_promise() {
    if !RedisServer::available() {
        return;
    }
    let group = SentinelGroup::start().await;
    let config = RedisConfig::new(group.url());
    conformance::check_all(|| fresh(config.clone())).await;
}

#[tokio::test]
async fn sentinels_that_ask_for_a_login_get_their_own() {
    if !RedisServer::available() {
        return;
    }
    let group = SentinelGroup::start().await;
    for sentinel in group.sentinels() {
        let user = [
            "ACL",
            "SETUSER",
            "watcher",
            "on",
            ">s3cret",
            "+sentinel|masters",
            "+role",
        ];
        sentinel.command(&user).await.unwrap();
        let off = ["ACL", "SETUSER", "default", "off"];
        sentinel.command(&off).await.unwrap();
    }
    let config = RedisConfig::new(group.url());
    let refused = RedisBroker::connect(config.clone()).await.unwrap_err();
    assert!(chain(&refused).contains("NOAUTH"), "{refused:?}");
    let sentinel_login = "watcher:s3cret".to_owned();
    let config = RedisConfig {
        sentinel_login,
        ..config
    };
    connect(config).await.ping().await.unwrap();
}

/// Jobs that go through the store for as long as it runs.
struct Traffic {
    stop: Arc<AtomicBool>,
    producer: tokio::task::JoinHandle<BTreeSet<JobId>>,
    worker: tokio::task::JoinHandle<BTreeSet<JobId>>,
}

impl Traffic {
    fn start(broker: &Arc<RedisBroker>, queue: &QueueName) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let producer = {
            let (broker, queue, stop) = (broker.clone(), queue.clone(), stop.clone());
            tokio::spawn(async move {
                let mut accepted = BTreeSet::new();
                while !stop.load(Ordering::Relaxed) {
                    accepted.insert(enqueue(&broker, &queue).await);
                }
                accepted
            })
        };
        let worker = {
            let (broker, queue, stop) = (broker.clone(), queue.clone(), stop.clone());
            tokio::spawn(async move {
                let mut done = BTreeSet::new();
                let worker = register(&broker, &queue).await;
                while !stop.load(Ordering::Relaxed) {
                    done.extend(work_off(&broker, &queue, worker).await);
                }
                done
            })
        };
        Self {
            stop,
            producer,
            worker,
        }
    }

    /// What was accepted and what was done when it was told to stop.
    async fn end(self) -> (BTreeSet<JobId>, BTreeSet<JobId>) {
        self.stop.store(true, Ordering::Relaxed);
        let accepted = timeout(LONG, self.producer).await.unwrap().unwrap();
        (accepted, timeout(LONG, self.worker).await.unwrap().unwrap())
    }
}

/// Every accepted job is in the store, and what was done stays done.
async fn nothing_is_lost(
    broker: &RedisBroker,
    queue: &QueueName,
    accepted: &BTreeSet<JobId>,
    done: &BTreeSet<JobId>,
) {
    let worker = register(broker, queue).await;
    while !work_off(broker, queue, worker).await.is_empty() {}
    for id in accepted {
        let job = until_back(|| broker.get(id)).await;
        let status = job.unwrap_or_else(|| panic!("{id} is lost")).status;
        let held = status == Status::Running && !done.contains(id);
        assert!(status == Status::Succeeded || held, "{id} is {status:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_go_on_through_a_failover_and_the_death_of_a_master() {
    if !RedisServer::available() {
        return;
    }
    let mut group = SentinelGroup::start().await;
    let config = RedisConfig {
        wait_replicas: 1,
        ..RedisConfig::new(group.url())
    };
    let (broker, films) = (connect(config).await, queue("films"));
    let first = enqueue(&broker, &films).await;
    let traffic = Traffic::start(&broker, &films);
    group.fail_over().await;
    group.led_by(1).await;
    let between = enqueue(&broker, &films).await;
    group.kill(1).await;
    group.taken_over(0).await;
    // Nobody follows the new master: it has a job, and may lose it.
    let last = job(&films);
    let unknown = broker.enqueue(vec![last.clone()], false).await;
    assert!(
        matches!(unknown, Err(BrokerError::Unavailable(_))),
        "{unknown:?}"
    );
    group.restart(1).await;
    group.led_by(0).await;
    until_back(|| broker.enqueue(vec![last.clone()], false)).await;
    let (mut accepted, done) = traffic.end().await;
    accepted.extend([first, between, last.id]);
    assert!(!done.is_empty());
    nothing_is_lost(&broker, &films, &accepted, &done).await;
}
