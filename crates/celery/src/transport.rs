//! Celery's broker: taking messages over, giving them back, sending new ones.

use std::time::Duration;

use crate::config::CeleryConfig;
use crate::keys::Keys;

/// A failure of Celery's Redis.
pub(crate) type RedisResult<T> = redis::RedisResult<T>;

/// A message that this bridge holds in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    /// Its place in the ledger, made by the bridge: delivery tags may be missing or repeat.
    pub(crate) entry: String,
    /// The envelope as it stood in the list.
    pub(crate) raw: Vec<u8>,
    /// The queue it came through.
    pub(crate) queue: String,
    /// It was held by a bridge before, which died.
    pub(crate) again: bool,
}

/// Celery's broker. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Transport {
    // connection, keys, settings
}

impl Transport {
    pub(crate) async fn connect(config: &CeleryConfig) -> RedisResult<Self> {
        let _ = config;
        todo!("transport")
    }

    pub(crate) fn keys(&self) -> &Keys {
        todo!("transport")
    }

    /// Declares queues, so that producers and tools know them.
    pub(crate) async fn declare(&self, queues: &[String]) -> RedisResult<()> {
        let _ = queues;
        todo!("transport")
    }

    /// Moves up to `want` messages of `queues` into the ledger in one script,
    /// the most urgent first; and entries of dead bridges.
    pub(crate) async fn take(&self, queues: &[String], want: usize) -> RedisResult<Vec<Held>> {
        let _ = (queues, want);
        todo!("transport")
    }

    /// Returns when something may be there to take, or after `timeout`.
    pub(crate) async fn wait(&self, queues: &[String], timeout: Duration) -> RedisResult<()> {
        let _ = (queues, timeout);
        todo!("transport")
    }

    /// Says that this bridge lives: others leave these entries alone for a while.
    pub(crate) async fn renew(&self, entries: &[String]) -> RedisResult<()> {
        let _ = entries;
        todo!("transport")
    }

    /// The entry is over: all that its producer waits for is written.
    pub(crate) async fn done(&self, entry: &str) -> RedisResult<()> {
        let _ = entry;
        todo!("transport")
    }

    /// The entry cannot be a job: its bytes go to the dead list.
    pub(crate) async fn bury(&self, held: &Held, reason: &str) -> RedisResult<()> {
        let _ = (held, reason);
        todo!("transport")
    }

    /// Puts a sealed message into a queue.
    pub(crate) async fn publish(&self, queue: &str, priority: u8, envelope: &str) -> RedisResult<()> {
        let _ = (queue, priority, envelope);
        todo!("transport")
    }
}
