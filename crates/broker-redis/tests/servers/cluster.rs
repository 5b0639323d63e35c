//! A cluster of three masters with replicas.

use std::collections::BTreeSet;
use std::sync::Arc;

use lovage_broker_redis::{RedisBroker, RedisConfig};
use lovage_core::broker::{Broker, Enqueued, Wake};
use lovage_core::error::BrokerError;
use lovage_core::id::{JobId, QueueName};
use lovage_core::limiter::Limiter;
use lovage_core::query::{Filter, Page};
use lovage_core::status::Status;
use lovage_tests::clock::ManualClock;
use lovage_tests::conformance;
use lovage_tests::conformance::limiter::{self, LimiterHarness};
use lovage_tests::redis::RedisServer;
use lovage_tests::redis::cluster::RedisCluster;
use lovage_tests::sim::{self, Connection};

use crate::support::{LONG, connect, enqueue, fresh, job, queue, register, until_back, work_off};
use crate::traffic::{Traffic, nothing_is_lost};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_keeps_every_promise() {
    if !RedisServer::available() {
        return;
    }
    let cluster = RedisCluster::start().await;
    let config = RedisConfig::new(cluster.url());
    conformance::check_all(|| fresh(config.clone())).await;
    for history in sim::histories().into_iter().take(1) {
        let store = fresh(config.clone()).await;
        history.play(Some(store), Connection::Good).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_admits_calls_as_one_server_does() {
    if !RedisServer::available() {
        return;
    }
    let cluster = RedisCluster::start().await;
    let config = RedisConfig::new(cluster.url());
    limiter::the_store_counts_as_the_core_does(fresh_limiter(&config, "random").await).await;
    limiter::calls_at_once_share_the_places(fresh_limiter(&config, "at-once").await).await;
}

/// A limiter of an empty store; it and another process's read one clock.
async fn fresh_limiter(config: &RedisConfig, prefix: &str) -> LimiterHarness {
    let clock = ManualClock::default();
    let config = RedisConfig {
        prefix: format!("lovage:{prefix}"),
        clock: Some(Arc::new(clock.clone())),
        ..config.clone()
    };
    let open = move || {
        let config = config.clone();
        async move { connect(config).await as Arc<dyn Limiter> }
    };
    LimiterHarness::new(open().await, clock, ()).reopening(open)
}

/// Queues that are spread over all masters.
fn many_queues() -> Vec<QueueName> {
    (0..24).map(|n| queue(&format!("q{n}"))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_queues_are_one_store_although_they_are_spread() {
    if !RedisServer::available() {
        return;
    }
    let cluster = RedisCluster::start().await;
    let broker = connect(RedisConfig::new(cluster.url())).await;
    let queues = many_queues();
    let mut owners = BTreeSet::new();
    for queue in &queues {
        owners.insert(cluster.owner(&format!("lovage:{{{queue}}}:k")).await);
    }
    assert_eq!(owners.len(), 3, "every master has some");
    let jobs: Vec<_> = queues.iter().flat_map(|q| [job(q), job(q)]).collect();
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    let refused = broker.enqueue(jobs.clone(), true).await.unwrap_err();
    assert!(
        matches!(refused, BrokerError::Divided { queues: 24 }),
        "{refused:?}"
    );
    let answers = broker.enqueue(jobs, false).await.unwrap();
    let accepted = ids.iter().copied().map(Enqueued::Accepted);
    assert!(
        answers.into_iter().eq(accepted),
        "in the order they were given"
    );
    // Another process knows all of it.
    let other = connect(RedisConfig::new(cluster.url())).await;
    for id in &ids {
        assert_eq!(other.get(id).await.unwrap().unwrap().status, Status::Queued);
    }
    let stats = other.stats().await.unwrap();
    assert!(stats.iter().all(|row| row.queued == 2));
    assert_eq!(stats.len(), queues.len());
    assert_eq!(listed(&other).await, ids.iter().copied().collect());
    for queue in &queues {
        let worker = register(&other, queue).await;
        assert_eq!(work_off(&other, queue, worker).await.len(), 2);
    }
    broker.reclaim().await.unwrap();
    broker.prune().await.unwrap();
    broker.ping().await.unwrap();
}

async fn listed(broker: &RedisBroker) -> BTreeSet<JobId> {
    let (mut ids, mut cursor) = (BTreeSet::new(), None);
    loop {
        let page = Page { cursor, limit: 10 };
        let page = broker.list(&Filter::default(), &page).await.unwrap();
        ids.extend(page.jobs.iter().map(|job| job.id));
        cursor = page.next;
        if cursor.is_none() {
            return ids;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_takes_over_with_all_that_was_kept_on_it() {
    if !RedisServer::available() {
        return;
    }
    let mut cluster = RedisCluster::start().await;
    let config = RedisConfig {
        wait_replicas: 1,
        ..RedisConfig::new(cluster.url())
    };
    let broker = connect(config).await;
    let (mail, key) = (queue("mail"), "lovage:{mail}:k");
    let worker = register(&broker, &mail).await;
    let mut accepted = BTreeSet::new();
    for _ in 0..100 {
        accepted.insert(enqueue(&broker, &mail).await);
    }
    let asleep = {
        let (broker, mail) = (broker.clone(), mail.clone());
        tokio::spawn(async move { broker.wake(&mail, &worker, true, LONG).await })
    };
    let master = cluster.owner(key).await;
    cluster.kill(master).await;
    cluster.taken_over(key, master).await;
    // Nobody follows the new master yet: it has the job, and may lose it.
    let last = job(&mail);
    accepted.insert(last.id);
    let unknown = broker.enqueue(vec![last.clone()], false).await;
    assert!(
        matches!(unknown, Err(BrokerError::Unavailable(_))),
        "{unknown:?}"
    );
    cluster.restart(master).await;
    until_back(|| broker.enqueue(vec![last.clone()], false)).await;
    assert_eq!(asleep.await.unwrap().unwrap(), Wake::Work);
    let mut done = BTreeSet::new();
    while done.len() < accepted.len() {
        let more = work_off(&broker, &mail, worker).await;
        assert!(!more.is_empty(), "lost: {:?}", accepted.difference(&done));
        done.extend(more);
    }
    assert_eq!(done, accepted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_go_on_while_their_slot_moves_to_another_master() {
    if !RedisServer::available() {
        return;
    }
    let cluster = RedisCluster::start().await;
    let broker = connect(RedisConfig::new(cluster.url())).await;
    let (mail, key) = (queue("mail"), "lovage:{mail}:k");
    let first = enqueue(&broker, &mail).await;
    let traffic = Traffic::start(&broker, &mail).await;
    let home = cluster.owner(key).await;
    for to in [(home + 1) % 3, home] {
        cluster.move_slot(key, to).await;
        assert_eq!(cluster.owner(key).await, to);
    }
    let last = enqueue(&broker, &mail).await;
    let (mut accepted, done) = traffic.end().await;
    accepted.extend([first, last]);
    assert!(!done.is_empty());
    nothing_is_lost(&broker, &mail, &accepted, &done).await;
    let counts = broker.stats().await.unwrap().remove(0);
    let over = u64::try_from(accepted.len()).unwrap();
    let counted = counts.succeeded_total + counts.running;
    assert_eq!((counted, counts.queued), (over, 0));
    // Who slept where the slot was is woken where it is.
    let worker = register(&broker, &mail).await;
    let asleep = {
        let (broker, mail) = (broker.clone(), mail.clone());
        tokio::spawn(async move { broker.wake(&mail, &worker, true, LONG).await })
    };
    cluster.move_slot(key, (home + 1) % 3).await;
    enqueue(&broker, &mail).await;
    assert_eq!(asleep.await.unwrap().unwrap(), Wake::Work);
}
