//! Where the server is, and how the engine behaves on it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lovage_core::clock::Clock;
use lovage_core::limits;

/// Settings of a [`crate::RedisBroker`].
#[derive(Clone)]
pub struct RedisConfig {
    /// Which servers, in one of these forms; `valkey` for `redis` means the same:
    ///
    /// - `redis://[user:password@]host[:port][/db]`, or `redis+unix:///path`
    /// - `redis-cluster://[user:password@]host[:port][,host[:port]…]`
    /// - `redis-sentinel://[user:password@]host[:port][,host[:port]…]/master[/db]`,
    ///   where the hosts are sentinels and the login is that of the servers
    ///
    /// `rediss` for `redis` asks for TLS.
    pub url: String,
    /// Whom to trust and who we are, when the URL asks for TLS.
    pub tls: Tls,
    /// `user:password`, or a password alone, for the sentinels themselves;
    /// empty where they ask for none.
    pub sentinel_login: String,
    /// First part of every key.
    pub prefix: String,
    /// How long a worker's lease lasts without being extended; at least 1 ms.
    pub lease: Duration,
    /// Replicas that must have a new job, a step's value or an outcome before
    /// the call succeeds; with fewer after a second it fails with
    /// [`Unavailable`](lovage_core::error::BrokerError::Unavailable), as it is
    /// then unknown whether a failover keeps it. 0 waits for none.
    pub wait_replicas: u32,
    /// Who tells the time; without one the server does. Tests move it.
    pub clock: Option<Arc<dyn Clock>>,
    /// After a time in which nobody swept (the store or all workers were away),
    /// give every worker one lease to come back before its jobs are taken:
    /// a restart of the store then does not run all running jobs twice.
    pub restart_grace: bool,
    /// Bytes that all values of the cache may take together.
    pub cache_bytes_max: u64,
}

/// Files in PEM form, read when connecting.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// The authorities that may have signed the server's certificate; without
    /// it those that the system trusts.
    pub ca: Option<PathBuf>,
    /// Our certificate and its key, for servers that ask for one.
    pub client: Option<(PathBuf, PathBuf)>,
}

impl RedisConfig {
    /// The usual settings for a server.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            tls: Tls::default(),
            sentinel_login: String::new(),
            prefix: "lovage".to_owned(),
            lease: limits::LEASE,
            wait_replicas: 0,
            clock: None,
            restart_grace: true,
            cache_bytes_max: limits::CACHE_BYTES_MAX,
        }
    }
}

impl fmt::Debug for RedisConfig {
    /// Leaves out the URL and the sentinels' login: they may hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("tls", &self.tls)
            .field("prefix", &self.prefix)
            .field("lease", &self.lease)
            .field("wait_replicas", &self.wait_replicas)
            .field("restart_grace", &self.restart_grace)
            .field("cache_bytes_max", &self.cache_bytes_max)
            .finish_non_exhaustive()
    }
}
