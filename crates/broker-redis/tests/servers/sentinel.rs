//! A master and a replica behind three sentinels.

use lovage_broker_redis::{RedisBroker, RedisConfig};
use lovage_core::broker::Broker;
use lovage_core::error::{BrokerError, chain};
use lovage_tests::conformance;
use lovage_tests::redis::RedisServer;
use lovage_tests::redis::sentinel::SentinelGroup;

use crate::support::{connect, enqueue, fresh, job, queue, until_back};
use crate::traffic::{Traffic, nothing_is_lost};

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
    let traffic = Traffic::start(&broker, &films).await;
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
