//! One server, whose address is fixed or told by sentinels.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use lovage_core::error::BrokerError;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{Client, ConnectionAddr, ConnectionInfo, ErrorKind, RedisError, RedisResult, TlsMode};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::address::Address;
use super::{CONNECT_TIMEOUT, RESPONSE_TIMEOUT};
use crate::error::broker_error;

/// Pause before the second and last try of one reconnect; callers try again themselves.
const RECONNECT_DELAY: Duration = Duration::from_millis(50);
/// Shortest time between two connections begun anew.
const RENEW_PAUSE: Duration = Duration::from_millis(250);

/// The server that is used now, and how to find the one to use next.
pub(crate) struct Server {
    current: RwLock<(Client, ConnectionManager)>,
    /// Whether a call failed in a way that the driver does not mend by itself.
    stale: AtomicBool,
    finder: Mutex<Finder>,
    follows: bool,
}

struct Finder {
    sentinels: Option<SentinelClient>,
    looked_at: Instant,
}

impl Server {
    /// Connects to this server and no other.
    pub(super) async fn connect(node: &ConnectionInfo) -> Result<Self, BrokerError> {
        let client = Client::open(node.clone()).map_err(broker_error)?;
        Self::open(client, None).await
    }

    /// Connects to the master that the sentinels name, now and after every failover.
    pub(super) async fn follow(mut sentinels: SentinelClient) -> Result<Self, BrokerError> {
        let client = master(&mut sentinels).await?;
        Self::open(client, Some(sentinels)).await
    }

    async fn open(client: Client, sentinels: Option<SentinelClient>) -> Result<Self, BrokerError> {
        let manager = ConnectionManager::new_with_config(client.clone(), manager_config())
            .await
            .map_err(broker_error)?;
        Ok(Self {
            current: RwLock::new((client, manager)),
            stale: AtomicBool::new(false),
            follows: sentinels.is_some(),
            finder: Mutex::new(Finder {
                sentinels,
                looked_at: Instant::now(),
            }),
        })
    }

    /// The connection that all calls share.
    pub(super) async fn line(&self) -> Result<ConnectionManager, BrokerError> {
        if self.stale.load(Ordering::Relaxed) {
            self.renew().await?;
        }
        Ok(self.current().1)
    }

    /// What makes connections to the server.
    pub(super) async fn client(&self) -> Result<Client, BrokerError> {
        if self.stale.load(Ordering::Relaxed) {
            self.renew().await?;
        }
        Ok(self.current().0)
    }

    fn current(&self) -> (Client, ConnectionManager) {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What an error means for the caller. The driver reconnects by itself only
    /// after a broken connection, and to the same address: it would keep for ever
    /// one to a server that became a replica, a login that failed while
    /// reconnecting, and a master that another one replaced.
    pub(super) fn failed(&self, error: RedisError) -> BrokerError {
        let refused_login = matches!(
            error.kind(),
            ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig
        );
        let failure = broker_error(error);
        let replaced = match failure {
            BrokerError::ReadOnly(_) => true,
            BrokerError::Unavailable(_) => self.follows,
            _ => false,
        };
        if refused_login || replaced {
            self.stale.store(true, Ordering::Relaxed);
        }
        failure
    }

    /// Begins a new connection for the calls to come, now and then at most.
    /// One caller looks; the others wait for what it finds.
    async fn renew(&self) -> Result<(), BrokerError> {
        let mut finder = self.finder.lock().await;
        if !self.stale.load(Ordering::Relaxed) || finder.looked_at.elapsed() < RENEW_PAUSE {
            return Ok(());
        }
        finder.looked_at = Instant::now();
        let client = match &mut finder.sentinels {
            Some(sentinels) => master(sentinels).await?,
            None => self.current().0,
        };
        let manager = ConnectionManager::new_lazy_with_config(client.clone(), manager_config())
            .map_err(broker_error)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = (client, manager);
        self.stale.store(false, Ordering::Relaxed);
        Ok(())
    }
}

/// Sentinels to ask where `name` is.
pub(super) fn sentinels(
    address: &Address,
    name: &str,
    login: &str,
) -> Result<SentinelClient, BrokerError> {
    let unusable =
        |error: RedisError| BrokerError::Unfit(format!("the sentinels cannot be used: {error}"));
    builder(address, name, login)
        .and_then(SentinelClientBuilder::build)
        .map_err(unusable)
}

fn builder(address: &Address, name: &str, login: &str) -> RedisResult<SentinelClientBuilder> {
    let node = &address.nodes[0];
    let (tcp, redis) = (node.tcp_settings(), node.redis_settings());
    let hosts: Vec<ConnectionAddr> = address
        .nodes
        .iter()
        .map(|node| node.addr().clone())
        .collect();
    let mut builder = SentinelClientBuilder::new(hosts, name, SentinelServerType::Master)?
        .set_client_to_redis_db(redis.db())
        .set_client_to_redis_protocol(redis.protocol())
        .set_client_to_redis_tcp_settings(tcp.clone())
        .set_client_to_sentinel_tcp_settings(tcp.clone());
    if let Some(user) = redis.username() {
        builder = builder.set_client_to_redis_username(user);
    }
    if let Some(password) = redis.password() {
        builder = builder.set_client_to_redis_password(password);
    }
    if let Some(certificates) = &address.certificates {
        builder = builder
            .set_client_to_redis_tls_mode(TlsMode::Secure)
            .set_client_to_redis_certificates(certificates.clone());
    }
    let (user, password) = login.split_once(':').unwrap_or(("", login));
    if !user.is_empty() {
        builder = builder.set_client_to_sentinel_username(user);
    }
    if !password.is_empty() {
        builder = builder.set_client_to_sentinel_password(password);
    }
    Ok(builder)
}

/// Asks where the master is. One that is being replaced is like one that is away.
async fn master(sentinels: &mut SentinelClient) -> Result<Client, BrokerError> {
    match timeout(CONNECT_TIMEOUT, sentinels.async_get_client()).await {
        Ok(found) => found.map_err(|error| BrokerError::Unavailable(error.into())),
        Err(late) => Err(BrokerError::Unavailable(late.into())),
    }
}

fn manager_config() -> ConnectionManagerConfig {
    ConnectionManagerConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(RESPONSE_TIMEOUT))
        .set_number_of_retries(1)
        .set_min_delay(RECONNECT_DELAY)
}
