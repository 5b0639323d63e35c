//! Every promise of a cache, on a private server.

use std::sync::Arc;

use lovage_broker_redis::{RedisBroker, RedisConfig};
use lovage_core::cache::Cache;
use lovage_tests::clock::ManualClock;
use lovage_tests::conformance::cache::{CACHE_BYTES, CacheHarness};
use lovage_tests::redis::RedisServer;

async fn fresh() -> Option<CacheHarness> {
    if !RedisServer::available() {
        return None;
    }
    let server = RedisServer::start().await;
    let clock = ManualClock::default();
    let config = RedisConfig {
        clock: Some(Arc::new(clock.clone())),
        cache_bytes_max: CACHE_BYTES,
        ..RedisConfig::new(server.url())
    };
    let open = move || {
        let config = config.clone();
        async move {
            let broker = RedisBroker::connect(config).await;
            Arc::new(broker.expect("the server is fit")) as Arc<dyn Cache>
        }
    };
    let cache = open().await;
    let harness = CacheHarness::new(cache, clock).reopening(open);
    Some(harness.keeping(server))
}

lovage_tests::cache_conformance!(fresh);
