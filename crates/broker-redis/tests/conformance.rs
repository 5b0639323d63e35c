//! Every promise of a broker, on a private server.

use std::sync::Arc;
use std::time::Duration;

use lovage_broker_redis::{RedisBroker, RedisConfig};
use lovage_core::broker::Broker;
use lovage_core::id::JobId;
use lovage_core::limiter::Limiter;
use lovage_tests::clock::ManualClock;
use lovage_tests::conformance::limiter::LimiterHarness;
use lovage_tests::harness::Harness;
use lovage_tests::redis::RedisServer;

const LEASE: Duration = Duration::from_secs(10);

async fn fresh() -> Option<Harness> {
    if !RedisServer::available() {
        return None;
    }
    let server = Arc::new(RedisServer::start().await);
    let clock = ManualClock::default();
    let config = RedisConfig {
        lease: LEASE,
        clock: Some(Arc::new(clock.clone())),
        restart_grace: false,
        ..RedisConfig::new(server.url())
    };
    let open = move || {
        let config = config.clone();
        async move {
            let broker = RedisBroker::connect(config).await;
            Arc::new(broker.expect("the server is fit")) as Arc<dyn Broker>
        }
    };
    let broker = open().await;
    let harness = Harness::new(broker, clock, LEASE).reopening(open);
    let store = Arc::clone(&server);
    let harness = harness.corrupting(move |id, record| overwrite(Arc::clone(&store), id, record));
    Some(harness.keeping(server))
}

/// Puts other bytes in place of a job's record.
async fn overwrite(server: Arc<RedisServer>, id: JobId, record: Vec<u8>) {
    let key = format!("lovage:{{default}}:j:{id}").into_bytes();
    let exists = server.command(&[b"EXISTS".to_vec(), key.clone()]).await;
    assert_eq!(exists.expect("the server answers"), "1");
    let set = server.command(&[b"SET".to_vec(), key, record]).await;
    assert_eq!(set.expect("the server answers"), "OK");
}

lovage_tests::broker_conformance!(fresh);
lovage_tests::broker_simulation!(fresh);

async fn fresh_limiter() -> Option<LimiterHarness> {
    if !RedisServer::available() {
        return None;
    }
    let server = RedisServer::start().await;
    let clock = ManualClock::default();
    let config = RedisConfig {
        clock: Some(Arc::new(clock.clone())),
        ..RedisConfig::new(server.url())
    };
    let open = move || {
        let config = config.clone();
        async move {
            let broker = RedisBroker::connect(config).await;
            Arc::new(broker.expect("the server is fit")) as Arc<dyn Limiter>
        }
    };
    let limiter = open().await;
    Some(LimiterHarness::new(limiter, clock, server).reopening(open))
}

mod limiter {
    lovage_tests::limiter_conformance!(super::fresh_limiter);
}
