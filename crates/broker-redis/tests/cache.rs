//! Every promise of a cache, on a private server.

#![allow(
    clippy::unwrap_used,
    reason = "in a test, an error of the store is a failure"
)]

use std::sync::Arc;
use std::time::Duration;

use lovage_broker_redis::{RedisBroker, RedisConfig};
use lovage_core::cache::{Cache, CacheKey, Hold, Shelf, Taken};
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

/// A server drops a value by itself a while after its time; who makes it anew
/// keeps the right to, whoever makes room meanwhile.
#[tokio::test]
async fn a_hold_outlives_what_the_server_dropped_before_it() {
    if !RedisServer::available() {
        return;
    }
    const KEEP: Duration = Duration::from_secs(600);
    let server = RedisServer::start().await;
    let clock = ManualClock::default();
    let config = RedisConfig {
        clock: Some(Arc::new(clock.clone())),
        ..RedisConfig::new(server.url())
    };
    let cache = RedisBroker::connect(config).await.unwrap();
    let [old, other] = [1, 2].map(|number| CacheKey {
        shelf: Shelf::Page,
        digest: [number; 32],
    });
    let first = hold(&cache, &old).await;
    assert!(cache.put(&first, b"first", KEEP).await.unwrap());
    clock.advance(KEEP);
    let key = format!("lovage:{{~cache}}:e:{old}");
    assert_eq!(server.command(&["DEL", key.as_str()]).await.unwrap(), "1");
    let second = hold(&cache, &old).await;
    let between = hold(&cache, &other).await;
    assert!(cache.put(&between, b"other", KEEP).await.unwrap());
    assert!(cache.put(&second, b"second", KEEP).await.unwrap());
    let stats = cache.counts().await.unwrap();
    assert_eq!((stats.values, stats.bytes), (2, 11));
}

async fn hold(cache: &RedisBroker, key: &CacheKey) -> Hold {
    match cache
        .take(key, Duration::from_secs(10), Duration::ZERO)
        .await
        .unwrap()
    {
        Taken::Yours(hold) => hold,
        other => panic!("not free: {other:?}"),
    }
}
