//! Waiting for replicas, and what does not wait.

use std::time::Duration;

use lovage_broker_redis::RedisConfig;
use lovage_core::broker::{Broker, Enqueued};
use lovage_core::error::BrokerError;
use lovage_core::id::QueueName;
use lovage_tests::redis::{RedisServer, SYNC_AT_ONCE};
use tokio::time::timeout;

use crate::support::{connect, job, until_back, valkey};

/// A server that is awake answers in this time.
const AWAKE_MAX: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_waits_for_replicas_also_when_it_is_sent_again() {
    if !RedisServer::available() {
        return;
    }
    call_again_waits("redis-server").await;
    // It counts only the writes of a connection, while Redis 7.0 counts all before it.
    if let Some(program) = valkey() {
        call_again_waits(&program).await;
    }
}

async fn call_again_waits(program: &str) {
    let settings = [&SYNC_AT_ONCE[..], &["--enable-debug-command", "yes"]].concat();
    let master = RedisServer::start_program(program, &settings).await;
    let replica = RedisServer::start_program(program, &settings).await;
    replica.follow(&master).await;
    let config = RedisConfig {
        wait_replicas: 1,
        ..RedisConfig::new(master.url())
    };
    let [one, other] = [connect(config.clone()).await, connect(config).await];
    let job = job(&QueueName::default());
    let accepted = [Enqueued::Accepted(job.id)];
    let asleep = replica.command(&["DEBUG", "SLEEP", "4"]);
    let calls = async {
        // Asleep it does not answer.
        while timeout(AWAKE_MAX, replica.command(&["PING"])).await.is_ok() {}
        for broker in [&one, &other] {
            let unknown = broker.enqueue(vec![job.clone()], false).await;
            assert!(
                matches!(unknown, Err(BrokerError::Unavailable(_))),
                "{unknown:?}"
            );
        }
    };
    let (slept, ()) = tokio::join!(asleep, calls);
    slept.unwrap();
    let kept = until_back(|| other.enqueue(vec![job.clone()], false)).await;
    assert_eq!(kept, accepted);
}
