//! Every promise of a broker, and random histories against the model.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lovage_broker_sqlite::{SqliteBroker, SqliteConfig};
use lovage_core::broker::Broker;
use lovage_core::id::JobId;
use lovage_core::limiter::Limiter;
use lovage_tests::clock::ManualClock;
use lovage_tests::conformance::limiter::LimiterHarness;
use lovage_tests::harness::Harness;

const LEASE: Duration = Duration::from_secs(10);
/// Longest wait for the store to finish its own write.
const BUSY_MAX: Duration = Duration::from_secs(5);

async fn open(path: PathBuf, clock: ManualClock) -> Arc<dyn Broker> {
    let config = SqliteConfig {
        lease: LEASE,
        clock: Arc::new(clock),
        ..SqliteConfig::new(path)
    };
    Arc::new(SqliteBroker::open(config).await.unwrap())
}

async fn fresh() -> Harness {
    let dir = tempfile::tempdir().unwrap();
    let (path, clock) = (dir.path().join("jobs.db"), ManualClock::default());
    let broker = open(path.clone(), clock.clone()).await;
    Harness::new(broker, clock.clone(), LEASE)
        .reopening({
            let path = path.clone();
            move || open(path.clone(), clock.clone())
        })
        .corrupting(move |id, record| {
            overwrite(&path, id, &record);
            std::future::ready(())
        })
        .keeping(dir)
}

/// Puts other bytes in place of a job's record.
fn overwrite(path: &Path, id: JobId, record: &[u8]) {
    let store = rusqlite::Connection::open(path).unwrap();
    store.busy_timeout(BUSY_MAX).unwrap();
    let put = "UPDATE records SET record = ?2 WHERE job = (SELECT row FROM jobs WHERE id = ?1)";
    let id = id.uuid().into_bytes();
    assert_eq!(
        store.execute(put, rusqlite::params![id, record]).unwrap(),
        1
    );
}

lovage_tests::broker_conformance!(fresh);
lovage_tests::broker_simulation!(fresh);

async fn open_limiter(path: PathBuf, clock: ManualClock) -> Arc<dyn Limiter> {
    let config = SqliteConfig {
        clock: Arc::new(clock),
        ..SqliteConfig::new(path)
    };
    Arc::new(SqliteBroker::open(config).await.unwrap())
}

async fn fresh_limiter() -> LimiterHarness {
    let dir = tempfile::tempdir().unwrap();
    let (path, clock) = (dir.path().join("jobs.db"), ManualClock::default());
    let limiter = open_limiter(path.clone(), clock.clone()).await;
    LimiterHarness::new(limiter, clock.clone(), dir)
        .reopening(move || open_limiter(path.clone(), clock.clone()))
}

mod limiter {
    lovage_tests::limiter_conformance!(super::fresh_limiter);
}
