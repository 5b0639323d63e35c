//! Every promise of a cache, in a file.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

use std::path::PathBuf;
use std::sync::Arc;

use lovage_broker_sqlite::{SqliteBroker, SqliteConfig};
use lovage_core::cache::Cache;
use lovage_tests::clock::ManualClock;
use lovage_tests::conformance::cache::{CACHE_BYTES, CacheHarness};

async fn open(path: PathBuf, clock: ManualClock) -> Arc<dyn Cache> {
    let config = SqliteConfig {
        clock: Arc::new(clock),
        cache_bytes_max: CACHE_BYTES,
        ..SqliteConfig::new(path)
    };
    Arc::new(SqliteBroker::open(config).await.unwrap())
}

async fn fresh() -> CacheHarness {
    let dir = tempfile::tempdir().unwrap();
    let (path, clock) = (dir.path().join("jobs.db"), ManualClock::default());
    let cache = open(path.clone(), clock.clone()).await;
    CacheHarness::new(cache, clock.clone())
        .reopening(move || open(path.clone(), clock.clone()))
        .keeping(dir)
}

lovage_tests::cache_conformance!(fresh);
