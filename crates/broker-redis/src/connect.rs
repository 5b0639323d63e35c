//! The store as operations use it, and whether its servers are fit to keep jobs.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lovage_core::error::BrokerError;
use lovage_core::id::{JobId, QueueName};
use lovage_core::limiter::LimitName;
use redis::aio::PubSub;
use redis::{FromRedisValue, Pipeline};

use crate::config::RedisConfig;
use crate::error::corrupt;
use crate::keys::{self, Keys};
use crate::link::{Link, Peer};
use crate::script::Call;
use crate::time::{StoreTime, millis};

/// The version of keys and records this program writes.
const SCHEMA: u32 = 1;
/// Oldest server that has script flags.
const MAJOR_MIN: u32 = 7;

/// The servers, as all operations use them.
pub(crate) struct Store {
    link: Link,
    wait_replicas: u32,
    pub(crate) keys: Keys,
    pub(crate) time: StoreTime,
    pub(crate) lease: Duration,
    pub(crate) restart_grace: bool,
    pub(crate) cache_bytes_max: u64,
    queues: Mutex<Queues>,
    limits: Mutex<BTreeSet<LimitName>>,
}

/// What this process knows of the set of all queues.
#[derive(Default)]
struct Queues {
    /// Those in the set when it was last looked at, or added since.
    listed: BTreeSet<QueueName>,
    /// Those this process has put to use: added again if the set loses them.
    used: BTreeSet<QueueName>,
}

impl Store {
    pub(crate) async fn connect(config: RedisConfig) -> Result<Self, BrokerError> {
        let store = Self {
            link: Link::connect(&config).await?,
            wait_replicas: config.wait_replicas,
            keys: Keys::new(config.prefix),
            time: StoreTime::new(config.clock),
            lease: config.lease,
            restart_grace: config.restart_grace,
            cache_bytes_max: config.cache_bytes_max,
            queues: Mutex::default(),
            limits: Mutex::default(),
        };
        store.check().await?;
        store.check_schema().await?;
        store.refresh_queues().await?;
        Ok(store)
    }

    /// Runs a script: by its hash, or whole when its server does not know it.
    pub(crate) async fn call<T: FromRedisValue>(&self, call: &Call) -> Result<T, BrokerError> {
        self.link.call(call, 0).await
    }

    /// Runs a script whose effect is promised to the caller: it survives a
    /// failover where replicas are waited for.
    pub(crate) async fn call_kept<T: FromRedisValue>(&self, call: &Call) -> Result<T, BrokerError> {
        self.link.call(call, self.wait_replicas).await
    }

    /// Sends plain commands about one queue in one round trip.
    pub(crate) async fn send<T: FromRedisValue>(
        &self,
        pipeline: &Pipeline,
    ) -> Result<T, BrokerError> {
        self.link.send(pipeline).await
    }

    /// Sends plain commands about any queues; on one server in one round trip.
    pub(crate) async fn send_each<T: FromRedisValue>(
        &self,
        pipeline: &Pipeline,
    ) -> Result<T, BrokerError> {
        self.link.each(pipeline).await
    }

    /// Whether one script may touch the keys of both queues.
    pub(crate) fn holds_together(&self, one: &QueueName, other: &QueueName) -> bool {
        let (one, other) = (self.keys.queue(one), self.keys.queue(other));
        self.link.holds_together(&one, &other)
    }

    /// The server that has a queue, for a connection of one's own.
    pub(crate) async fn peer(&self, queue: &QueueName) -> Result<Peer, BrokerError> {
        self.link.peer(&self.keys.queue(queue)).await
    }

    /// Ends a command that blocks on a connection to `peer`.
    pub(crate) async fn unblock(&self, peer: &Peer, client: i64) -> Result<(), BrokerError> {
        let mut unblock = redis::pipe();
        unblock.cmd("CLIENT").arg("UNBLOCK").arg(client).ignore();
        self.link.tell(peer, &unblock).await
    }

    /// A connection that listens to the news of keys that begin with `prefix`. In a
    /// cluster it goes to where they are published: there they need no way between nodes.
    pub(crate) async fn subscription(&self, prefix: &str) -> Result<PubSub, BrokerError> {
        let peer = self.link.peer(prefix).await?;
        peer.subscription(&keys::news(prefix)).await
    }

    /// Every queue that was ever used, by name.
    pub(crate) async fn refresh_queues(&self) -> Result<Vec<QueueName>, BrokerError> {
        let mut ask = redis::pipe();
        ask.smembers(self.keys.queues());
        let (names,): (Vec<String>,) = self.send(&ask).await?;
        let mut listed = names
            .iter()
            .map(|name| name.parse())
            .collect::<Result<BTreeSet<QueueName>, _>>()
            .map_err(|error| corrupt(error.to_string()))?;
        // A server that lost its last second or was replaced may have lost names.
        let used = self.queues().used.clone();
        let lost: Vec<QueueName> = used.difference(&listed).cloned().collect();
        if !lost.is_empty() {
            self.list_queues(&lost).await?;
            listed.extend(lost);
        }
        self.queues().listed = listed.clone();
        Ok(listed.into_iter().collect())
    }

    /// Sees to it that queues are in the set of all queues before they are used.
    ///
    /// The set has a slot of its own, so no script of a queue can do this.
    pub(crate) async fn know_queues(&self, names: &[&QueueName]) -> Result<(), BrokerError> {
        let new: Vec<QueueName> = {
            let mut queues = self.queues();
            for name in names {
                if !queues.used.contains(*name) {
                    queues.used.insert((*name).clone());
                }
            }
            let unlisted = names.iter().filter(|name| !queues.listed.contains(**name));
            unlisted.map(|name| (*name).clone()).collect()
        };
        if new.is_empty() {
            return Ok(());
        }
        self.list_queues(&new).await?;
        self.queues().listed.extend(new);
        Ok(())
    }

    async fn list_queues(&self, names: &[QueueName]) -> Result<(), BrokerError> {
        let names: Vec<&str> = names.iter().map(QueueName::as_str).collect();
        let mut add = redis::pipe();
        add.sadd(self.keys.queues(), names).ignore();
        self.send(&add).await
    }

    /// Sees to it that an account and model is in the set of all; once per
    /// process unless it is `new` to the servers.
    ///
    /// The set has a slot of its own, so no script can do this.
    pub(crate) async fn know_limit(&self, name: &LimitName, new: bool) -> Result<(), BrokerError> {
        if !new && self.known_limits().contains(name) {
            return Ok(());
        }
        let mut add = redis::pipe();
        add.sadd(self.keys.limits(), name.as_str()).ignore();
        self.send::<()>(&add).await?;
        self.known_limits().insert(name.clone());
        Ok(())
    }

    fn known_limits(&self) -> MutexGuard<'_, BTreeSet<LimitName>> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which queue a job is in.
    pub(crate) async fn locate(&self, id: &JobId) -> Result<Option<QueueName>, BrokerError> {
        let known: Vec<QueueName> = self.queues().listed.iter().cloned().collect();
        if let Some(queue) = self.find(id, &known).await? {
            return Ok(Some(queue));
        }
        let mut fresh = self.refresh_queues().await?;
        fresh.retain(|queue| !known.contains(queue));
        self.find(id, &fresh).await
    }

    async fn find(
        &self,
        id: &JobId,
        queues: &[QueueName],
    ) -> Result<Option<QueueName>, BrokerError> {
        if queues.is_empty() {
            return Ok(None);
        }
        let mut ask = redis::pipe();
        for queue in queues {
            ask.exists(self.keys.record(queue, *id));
        }
        let there: Vec<bool> = self.send_each(&ask).await?;
        let found = queues.iter().zip(there).find(|(_, there)| *there);
        Ok(found.map(|(queue, _)| queue.clone()))
    }

    /// Whether the servers answer, have room and take writes.
    pub(crate) async fn ping(&self) -> Result<(), BrokerError> {
        for memory in self.link.infos("memory").await? {
            keeps(&memory)?;
            has_room(&memory)?;
        }
        let mut probe = redis::pipe();
        probe.pset_ex(self.keys.ping(), 1, 1_000).ignore();
        probe.cmd("TIME");
        let ((seconds, micros),): ((i64, i64),) = self.send(&probe).await?;
        self.time.heard(seconds * 1_000 + micros / 1_000);
        Ok(())
    }

    /// Refuses what a newer program wrote; signs what nobody has signed yet.
    async fn check_schema(&self) -> Result<(), BrokerError> {
        let mut ask = redis::pipe();
        ask.get(self.keys.schema());
        let (found,): (Option<u32>,) = self.send(&ask).await?;
        match found {
            Some(found) if found > SCHEMA => Err(BrokerError::NewerSchema {
                found,
                known: SCHEMA,
            }),
            Some(_) => Ok(()),
            None => {
                let mut sign = redis::pipe();
                sign.set_nx(self.keys.schema(), SCHEMA).ignore();
                // A full server still lets workers end their jobs; the next start signs.
                self.send(&sign).await.or_else(|error| match error {
                    BrokerError::Full(_) => Ok(()),
                    other => Err(other),
                })
            }
        }
    }

    async fn check(&self) -> Result<(), BrokerError> {
        for info in self.link.infos("default").await? {
            fit(&info, self.link.is_cluster())?;
        }
        let mut ask = redis::pipe();
        ask.cmd("TIME");
        let ((seconds, micros),): ((i64, i64),) = self.send(&ask).await?;
        self.time.heard(seconds * 1_000 + micros / 1_000);
        Ok(())
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("keys", &self.keys)
            .field("lease", &self.lease)
            .field("wait_replicas", &self.wait_replicas)
            .field("time", &self.time)
            .finish_non_exhaustive()
    }
}

/// Refuses a server that drops keys when it is full.
fn keeps(memory: &str) -> Result<(), BrokerError> {
    match field(memory, "maxmemory_policy") {
        Some("noeviction") | None => Ok(()),
        Some(policy) => Err(BrokerError::Unfit(format!(
            "{policy} evicts jobs: set maxmemory-policy noeviction"
        ))),
    }
}

/// Refuses a server that is full: in a cluster a write probes one server only.
fn has_room(memory: &str) -> Result<(), BrokerError> {
    let bytes = |name| field(memory, name).and_then(|bytes| bytes.parse::<u64>().ok());
    let (Some(used), Some(max)) = (bytes("used_memory"), bytes("maxmemory")) else {
        return Ok(());
    };
    let counted = used.saturating_sub(bytes("mem_not_counted_for_evict").unwrap_or(0));
    if max > 0 && counted > max {
        let full = format!("{counted} bytes of maxmemory {max} are used");
        return Err(BrokerError::Full(full.into()));
    }
    Ok(())
}

/// Judges what a server says about itself in `INFO`.
fn fit(info: &str, as_cluster: bool) -> Result<(), BrokerError> {
    // Valkey names the Redis it is compatible with.
    let version = field(info, "redis_version").unwrap_or("unknown");
    let major = version
        .split('.')
        .next()
        .and_then(|major| major.parse::<u32>().ok());
    if major.is_some_and(|major| major < MAJOR_MIN) {
        return Err(BrokerError::Unfit(format!(
            "the server is Redis {version}: {MAJOR_MIN}.0 or later is needed"
        )));
    }
    if !as_cluster && field(info, "cluster_enabled") == Some("1") {
        return Err(BrokerError::Unfit(
            "the server is a node of a cluster: use redis-cluster:// in place of redis://"
                .to_owned(),
        ));
    }
    if matches!(field(info, "role"), Some("slave" | "replica")) {
        return Err(BrokerError::ReadOnly(
            "the server is a replica: connect to its master".into(),
        ));
    }
    if field(info, "maxmemory_policy").is_none() {
        tracing::warn!(
            "the server does not tell its maxmemory-policy: make sure it is noeviction, others lose jobs"
        );
    }
    keeps(info)
}

fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.trim())
}

/// A duration as the lease argument of a script.
pub(crate) fn lease_millis(store: &Store) -> i64 {
    millis(store.lease).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(version: &str, role: &str, policy: &str) -> String {
        format!(
            "# Server\r\nredis_version:{version}\r\n# Replication\r\nrole:{role}\r\n\
             # Memory\r\nmaxmemory_policy:{policy}\r\n"
        )
    }

    #[test]
    fn a_server_that_would_lose_jobs_is_refused_with_what_to_set() {
        let good = info("7.0.15", "master", "noeviction");
        assert!(fit(&good, false).is_ok());
        let old = fit(&info("6.2.1", "master", "noeviction"), false).unwrap_err();
        assert!(old.to_string().contains("6.2.1"), "{old}");
        let replica = fit(&info("7.2.0", "slave", "noeviction"), false).unwrap_err();
        assert!(matches!(replica, BrokerError::ReadOnly(_)));
        let evicting = fit(&info("8.0.0", "master", "allkeys-lru"), true).unwrap_err();
        assert_eq!(
            evicting.to_string(),
            "allkeys-lru evicts jobs: set maxmemory-policy noeviction"
        );
        assert!(fit("", false).is_ok(), "a managed server may tell nothing");
    }

    #[test]
    fn valkey_is_fit() {
        let valkey = info(
            "7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.2",
            "master",
            "noeviction",
        );
        assert!(fit(&valkey, false).is_ok());
    }

    #[test]
    fn a_node_of_a_cluster_is_used_as_such() {
        let node = info("7.0.15", "master", "noeviction") + "cluster_enabled:1\r\n";
        assert!(fit(&node, true).is_ok());
        let refused = fit(&node, false).unwrap_err();
        assert!(
            refused.to_string().contains("redis-cluster://"),
            "{refused}"
        );
    }

    #[test]
    fn a_full_server_has_no_room() {
        let memory = |used, max| format!("used_memory:{used}\r\nmaxmemory:{max}\r\n");
        assert!(has_room(&memory(10, 0)).is_ok());
        assert!(has_room(&memory(10, 10)).is_ok());
        let buffers = memory(11, 10) + "mem_not_counted_for_evict:1\r\n";
        assert!(has_room(&buffers).is_ok());
        assert!(matches!(
            has_room(&memory(11, 10)),
            Err(BrokerError::Full(_))
        ));
    }
}
