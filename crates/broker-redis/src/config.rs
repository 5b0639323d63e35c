//! Where the server is, and how the engine behaves on it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use lovage_core::clock::Clock;
use lovage_core::limits;

/// Settings of a [`crate::RedisBroker`].
#[derive(Clone)]
pub struct RedisConfig {
    /// `redis://[user:password@]host[:port][/db]` or `redis+unix:///path`.
    pub url: String,
    /// First part of every key.
    pub prefix: String,
    /// How long a worker's lease lasts without being extended; at least 1 ms.
    pub lease: Duration,
    /// Who tells the time; without one the server does. Tests move it.
    pub clock: Option<Arc<dyn Clock>>,
    /// After a time in which nobody swept (the store or all workers were away),
    /// give every worker one lease to come back before its jobs are taken:
    /// a restart of the store then does not run all running jobs twice.
    pub restart_grace: bool,
}

impl RedisConfig {
    /// The usual settings for a server.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            prefix: "lovage".to_owned(),
            lease: limits::LEASE,
            clock: None,
            restart_grace: true,
        }
    }
}

impl fmt::Debug for RedisConfig {
    /// Leaves the URL out: it may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("prefix", &self.prefix)
            .field("lease", &self.lease)
            .field("restart_grace", &self.restart_grace)
            .finish_non_exhaustive()
    }
}
