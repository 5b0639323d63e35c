//! The stores that are measured.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use lovage_broker_redis::{RedisBroker, RedisConfig};
use lovage_broker_sqlite::{SqliteBroker, SqliteConfig};
use lovage_core::broker::Broker;
use lovage_core::clock::{self, Clock, SystemClock};
use lovage_core::error::BrokerError;

use crate::exit::Exit;

/// A store, whichever it is.
pub(super) type Store = Arc<dyn Broker>;

/// The store in the Redis at `url`.
pub(super) async fn redis(url: &str) -> Result<Store, Exit> {
    open_redis(RedisConfig::new(url)).await
}

/// The same, by a clock that can be moved.
pub(super) async fn redis_by(url: &str, clock: Arc<Moved>) -> Result<Store, Exit> {
    let config = RedisConfig {
        clock: Some(clock),
        ..RedisConfig::new(url)
    };
    open_redis(config).await
}

async fn open_redis(config: RedisConfig) -> Result<Store, Exit> {
    let broker = RedisBroker::connect(config)
        .await
        .map_err(|error| Exit::because("the Redis store cannot be used", &error))?;
    Ok(Arc::new(broker))
}

/// A new embedded store: a file `name` in `folder`.
pub(super) async fn sqlite(folder: &Path, name: &str) -> Result<Store, Exit> {
    open_sqlite(SqliteConfig::new(folder.join(name))).await
}

/// The same, by a clock that can be moved.
pub(super) async fn sqlite_by(folder: &Path, name: &str, clock: Arc<Moved>) -> Result<Store, Exit> {
    let config = SqliteConfig {
        clock,
        ..SqliteConfig::new(folder.join(name))
    };
    open_sqlite(config).await
}

async fn open_sqlite(config: SqliteConfig) -> Result<Store, Exit> {
    let broker = SqliteBroker::open(config)
        .await
        .map_err(|error| Exit::because("the SQLite store cannot be used", &error))?;
    Ok(Arc::new(broker))
}

/// The machine's clock, ahead by as much as it was moved.
#[derive(Default)]
pub(super) struct Moved(AtomicI64);

impl Moved {
    /// Moves it ahead.
    pub(super) fn ahead(&self, by: Duration) {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.0.fetch_add(millis, Ordering::Relaxed);
    }
}

impl Clock for Moved {
    fn now(&self) -> jiff::Timestamp {
        let millis = u64::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(0);
        clock::after(SystemClock.now(), Duration::from_millis(millis))
    }
}

/// What a store's refusal means here: the end.
pub(super) fn failed(error: BrokerError) -> Exit {
    Exit::because("the store failed", &error)
}
