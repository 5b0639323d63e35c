//! Every promise of a broker, on a private server.

use std::sync::Arc;
use std::time::Duration;

use lovage_broker_redis::{RedisBroker, RedisConfig};
use lovage_core::broker::Broker;
use lovage_tests::clock::ManualClock;
use lovage_tests::harness::Harness;
use lovage_tests::redis::RedisServer;

const LEASE: Duration = Duration::from_secs(10);

async fn fresh() -> Option<Harness> {
    if !RedisServer::available() {
        return None;
    }
    let server = RedisServer::start().await;
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
    Some(
        Harness::new(broker, clock, LEASE)
            .reopening(open)
            .keeping(server),
    )
}

lovage_tests::broker_conformance!(fresh);
lovage_tests::broker_simulation!(fresh);
