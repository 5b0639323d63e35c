//! The connection to the server, and whether the server is fit to keep jobs.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use lovage_core::error::BrokerError;
use lovage_core::id::{JobId, QueueName};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ErrorKind, FromRedisValue, IntoConnectionInfo, Pipeline,
    RedisError, ScriptInvocation,
};
use tokio::time::Instant;

use crate::config::RedisConfig;
use crate::error::{broker_error, corrupt};
use crate::keys::Keys;
use crate::time::{StoreTime, millis};

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest wait for an answer. The driver's own 500 ms would call a slow disk an outage.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Unacknowledged bytes end the connection after this: a peer that vanished is noticed.
const PEER_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause before the second and last try of one reconnect; callers try again themselves.
const RECONNECT_DELAY: Duration = Duration::from_millis(50);
/// Shortest time between two connections begun anew.
const RENEW_PAUSE: Duration = Duration::from_secs(1);
/// The version of keys and records this program writes.
const SCHEMA: u32 = 1;
/// Oldest server that has script flags.
const MAJOR_MIN: u32 = 7;

/// One server, as all operations use it.
pub(crate) struct Store {
    client: Client,
    connection: RwLock<ConnectionManager>,
    renewed_at: Mutex<Instant>,
    pub(crate) keys: Keys,
    pub(crate) time: StoreTime,
    pub(crate) lease: Duration,
    pub(crate) restart_grace: bool,
    queues: RwLock<BTreeSet<QueueName>>,
}

impl Store {
    pub(crate) async fn connect(config: RedisConfig) -> Result<Self, BrokerError> {
        let client = open(&config.url)?;
        let connection = ConnectionManager::new_with_config(client.clone(), manager_config())
            .await
            .map_err(broker_error)?;
        let store = Self {
            client,
            connection: RwLock::new(connection),
            renewed_at: Mutex::new(Instant::now()),
            keys: Keys::new(config.prefix),
            time: StoreTime::new(config.clock),
            lease: config.lease,
            restart_grace: config.restart_grace,
            queues: RwLock::default(),
        };
        store.check().await?;
        store.check_schema().await?;
        store.refresh_queues().await?;
        Ok(store)
    }

    /// Runs a script: by its hash, or whole when the server does not know it.
    pub(crate) async fn call<T: FromRedisValue>(
        &self,
        invocation: &ScriptInvocation<'_>,
    ) -> Result<T, BrokerError> {
        let mut connection = self.connection();
        let answer = invocation.invoke_async(&mut connection).await;
        answer.map_err(|error| self.failed(error))
    }

    /// Sends plain commands in one round trip.
    pub(crate) async fn send<T: FromRedisValue>(
        &self,
        pipeline: &Pipeline,
    ) -> Result<T, BrokerError> {
        let mut connection = self.connection();
        let answer = pipeline.query_async(&mut connection).await;
        answer.map_err(|error| self.failed(error))
    }

    fn connection(&self) -> ConnectionManager {
        let connection = self
            .connection
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        connection.clone()
    }

    /// What an error means for the caller. The driver reconnects by itself only
    /// after a broken connection: one to a server that became a replica, or a
    /// login that failed while reconnecting, it would keep for ever.
    fn failed(&self, error: RedisError) -> BrokerError {
        let refused_login = matches!(
            error.kind(),
            ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig
        );
        let failure = broker_error(error);
        if refused_login || matches!(failure, BrokerError::ReadOnly(_)) {
            self.renew();
        }
        failure
    }

    /// Begins a new connection for the calls to come, at most once a second.
    fn renew(&self) {
        let mut renewed_at = self
            .renewed_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if renewed_at.elapsed() < RENEW_PAUSE {
            return;
        }
        *renewed_at = Instant::now();
        match ConnectionManager::new_lazy_with_config(self.client.clone(), manager_config()) {
            Ok(fresh) => {
                *self
                    .connection
                    .write()
                    .unwrap_or_else(PoisonError::into_inner) = fresh
            }
            Err(error) => tracing::warn!(%error, "no new connection can be begun"),
        }
    }

    /// A connection of its own for a command that blocks up to `block`.
    pub(crate) async fn blocking_connection(
        &self,
        block: Duration,
    ) -> Result<redis::aio::MultiplexedConnection, BrokerError> {
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(block + RESPONSE_TIMEOUT));
        self.client
            .get_multiplexed_async_connection_with_config(&settings)
            .await
            .map_err(broker_error)
    }

    /// A connection that listens to a channel.
    pub(crate) async fn subscription(
        &self,
        channel: &str,
    ) -> Result<redis::aio::PubSub, BrokerError> {
        let connect = async {
            let mut subscription = self.client.get_async_pubsub().await?;
            subscription.subscribe(channel).await?;
            Ok(subscription)
        };
        match tokio::time::timeout(CONNECT_TIMEOUT, connect).await {
            Ok(connected) => connected.map_err(broker_error),
            Err(late) => Err(BrokerError::Unavailable(late.into())),
        }
    }

    /// Every queue that was ever used, by name.
    pub(crate) async fn refresh_queues(&self) -> Result<Vec<QueueName>, BrokerError> {
        let mut ask = redis::pipe();
        ask.smembers(self.keys.queues());
        let (names,): (Vec<String>,) = self.send(&ask).await?;
        let names = names
            .iter()
            .map(|name| name.parse())
            .collect::<Result<BTreeSet<QueueName>, _>>()
            .map_err(|error| corrupt(error.to_string()))?;
        *self.queues.write().unwrap_or_else(PoisonError::into_inner) = names.clone();
        Ok(names.into_iter().collect())
    }

    /// Makes a queue known before its first use by this process.
    pub(crate) async fn know_queue(&self, queue: &QueueName) -> Result<(), BrokerError> {
        if self.knows(queue) {
            return Ok(());
        }
        let mut add = redis::pipe();
        add.sadd(self.keys.queues(), queue.as_str()).ignore();
        self.send::<()>(&add).await?;
        let mut queues = self.queues.write().unwrap_or_else(PoisonError::into_inner);
        queues.insert(queue.clone());
        Ok(())
    }

    fn knows(&self, queue: &QueueName) -> bool {
        let queues = self.queues.read().unwrap_or_else(PoisonError::into_inner);
        queues.contains(queue)
    }

    /// Which queue a job is in.
    pub(crate) async fn locate(&self, id: &JobId) -> Result<Option<QueueName>, BrokerError> {
        let known: Vec<QueueName> = {
            let queues = self.queues.read().unwrap_or_else(PoisonError::into_inner);
            queues.iter().cloned().collect()
        };
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
        let there: Vec<bool> = self.send(&ask).await?;
        let found = queues.iter().zip(there).find(|(_, there)| *there);
        Ok(found.map(|(queue, _)| queue.clone()))
    }

    /// Whether the server answers and takes writes.
    pub(crate) async fn ping(&self) -> Result<(), BrokerError> {
        let mut probe = redis::pipe();
        probe.pset_ex(self.keys.ping(), 1, 1_000).ignore();
        probe.cmd("TIME");
        probe.cmd("INFO").arg("memory");
        let ((seconds, micros), memory): ((i64, i64), String) = self.send(&probe).await?;
        self.time.heard(seconds * 1_000 + micros / 1_000);
        keeps(&memory)
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
        let mut ask = redis::pipe();
        ask.cmd("TIME");
        for section in ["server", "replication", "memory"] {
            ask.cmd("INFO").arg(section);
        }
        let ((seconds, micros), server, replication, memory): ((i64, i64), String, String, String) =
            self.send(&ask).await?;
        self.time.heard(seconds * 1_000 + micros / 1_000);
        fit(&server, &replication, &memory)
    }
}

fn manager_config() -> ConnectionManagerConfig {
    ConnectionManagerConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(RESPONSE_TIMEOUT))
        .set_number_of_retries(1)
        .set_min_delay(RECONNECT_DELAY)
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("keys", &self.keys)
            .field("lease", &self.lease)
            .field("time", &self.time)
            .finish_non_exhaustive()
    }
}

fn open(url: &str) -> Result<Client, BrokerError> {
    let unreadable = |_| {
        BrokerError::Unfit(
            "the Redis URL cannot be read: expected redis://[user:password@]host[:port][/db]"
                .to_owned(),
        )
    };
    let tcp = TcpSettings::default().set_nodelay(true);
    #[cfg(target_os = "linux")]
    let tcp = tcp.set_user_timeout(PEER_TIMEOUT);
    let info = url.into_connection_info().map_err(unreadable)?;
    Client::open(info.set_tcp_settings(tcp)).map_err(unreadable)
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

/// Judges what the server says about itself in `INFO`.
fn fit(server: &str, replication: &str, memory: &str) -> Result<(), BrokerError> {
    let version = field(server, "redis_version").unwrap_or("unknown");
    let major = version
        .split('.')
        .next()
        .and_then(|major| major.parse::<u32>().ok());
    if major.is_some_and(|major| major < MAJOR_MIN) {
        return Err(BrokerError::Unfit(format!(
            "the server is Redis {version}: {MAJOR_MIN}.0 or later is needed"
        )));
    }
    if matches!(field(replication, "role"), Some("slave" | "replica")) {
        return Err(BrokerError::ReadOnly(
            "the server is a replica: connect to its master".into(),
        ));
    }
    if field(memory, "maxmemory_policy").is_none() {
        tracing::warn!(
            "the server does not tell its maxmemory-policy: make sure it is noeviction, others lose jobs"
        );
    }
    keeps(memory)
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

    const MASTER: &str = "# Replication\r\nrole:master\r\n";
    const KEEPS: &str = "maxmemory:0\r\nmaxmemory_policy:noeviction\r\n";

    #[test]
    fn a_server_that_would_lose_jobs_is_refused_with_what_to_set() {
        assert!(fit("redis_version:7.0.15\r\n", MASTER, KEEPS).is_ok());
        let old = fit("redis_version:6.2.1\r\n", MASTER, KEEPS).unwrap_err();
        assert!(old.to_string().contains("6.2.1"), "{old}");
        let replica = fit("redis_version:7.2.0\r\n", "role:slave\r\n", KEEPS).unwrap_err();
        assert!(matches!(replica, BrokerError::ReadOnly(_)));
        let evicts = "maxmemory_policy:allkeys-lru\r\n";
        let evicting = fit("redis_version:8.0.0\r\n", MASTER, evicts).unwrap_err();
        assert_eq!(
            evicting.to_string(),
            "allkeys-lru evicts jobs: set maxmemory-policy noeviction"
        );
        assert!(fit("", "", "").is_ok(), "a managed server may tell nothing");
    }

    #[test]
    fn a_bad_url_is_refused_without_being_repeated() {
        let error = open("redis//:secret@host").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"));
    }
}
