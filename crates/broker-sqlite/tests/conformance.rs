//! Every promise of a broker, and random histories against the model.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lovage_broker_sqlite::{SqliteBroker, SqliteConfig};
use lovage_core::broker::Broker;
use lovage_core::id::JobId;
use lovage_tests::clock::ManualClock;
use lovage_tests::harness::Harness;
use rusqlite::{Connection, params};

const LEASE: Duration = Duration::from_secs(10);

async fn open(path: PathBuf, clock: ManualClock) -> Arc<dyn Broker> {
    let config = SqliteConfig {
        lease: LEASE,
        clock: Arc::new(clock),
        ..SqliteConfig::new(path)
    };
    Arc::new(SqliteBroker::open(config).await.unwrap())
}

async fn corrupt(path: PathBuf, id: JobId, record: Vec<u8>) {
    let conn = Connection::open(path).unwrap();
    conn.busy_timeout(LEASE).unwrap();
    let damage = "UPDATE records SET record = ?2 WHERE job = (SELECT row FROM jobs WHERE id = ?1)";
    let changed = conn.execute(damage, params![id.uuid().as_bytes(), record]);
    assert_eq!(changed.unwrap(), 1);
}

async fn fresh() -> Harness {
    let dir = tempfile::tempdir().unwrap();
    let (path, clock) = (dir.path().join("jobs.db"), ManualClock::default());
    let file = path.clone();
    let broker = open(path.clone(), clock.clone()).await;
    Harness::new(broker, clock.clone(), LEASE)
        .corrupting(move |id, record| corrupt(file.clone(), id, record))
        .reopening(move || open(path.clone(), clock.clone()))
        .keeping(dir)
}

lovage_tests::broker_conformance!(fresh);
lovage_tests::broker_simulation!(fresh);
