//! Connections to one of Celery's servers.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection, PubSub};
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, ErrorKind,
    FromRedisValue, IntoConnectionInfo, Pipeline, ProtocolVersion, PushInfo, RedisError,
    RedisResult, ScriptInvocation, ServerErrorKind, TlsCertificates,
};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::bridge::BridgeError;
use crate::config::Tls;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest wait for an answer. The driver's own 500 ms would call a slow disk an outage.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Unacknowledged bytes end the connection after this: a peer that vanished is noticed.
#[cfg(target_os = "linux")]
const PEER_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause before the second and last try of one reconnect; callers try again themselves.
const RECONNECT_DELAY: Duration = Duration::from_millis(50);
/// Shortest time between two connections begun anew.
const RENEW_PAUSE: Duration = Duration::from_millis(250);
/// Pushed messages that nobody has looked at; what one says is that there is something.
const PUSHES_MAX: usize = 16;

/// The way to one server. Clones share a connection, which is opened anew when it breaks.
#[derive(Clone)]
pub(crate) struct Link(Arc<Shared>);

struct Shared {
    client: Client,
    line: Mutex<Line>,
}

struct Line {
    manager: ConnectionManager,
    begun: Instant,
}

impl Link {
    /// The server at `url`, which is not asked yet.
    ///
    /// # Errors
    /// An address or TLS files that cannot be read; never repeats the address,
    /// which may hold a password.
    pub(crate) fn open(url: &str, tls: &Tls) -> Result<Self, BridgeError> {
        let client = client(url, tls)?;
        let manager = manager(&client).map_err(BridgeError::Redis)?;
        let line = Mutex::new(Line {
            manager,
            begun: Instant::now(),
        });
        Ok(Self(Arc::new(Shared { client, line })))
    }

    /// The number of the database.
    pub(crate) fn database(&self) -> i64 {
        self.0.client.get_connection_info().redis_settings().db()
    }

    /// Runs a script: by its hash, or whole when the server does not know it.
    pub(crate) async fn call<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> RedisResult<T> {
        let mut manager = self.line().manager.clone();
        let answer = script.invoke_async(&mut manager).await;
        answer.inspect_err(|error| self.failed(error))
    }

    /// Sends commands in one round trip.
    pub(crate) async fn send<T: FromRedisValue>(&self, pipeline: &Pipeline) -> RedisResult<T> {
        let mut manager = self.line().manager.clone();
        let answer = pipeline.query_async(&mut manager).await;
        answer.inspect_err(|error| self.failed(error))
    }

    /// Whether the server answers.
    pub(crate) async fn ping(&self) -> RedisResult<()> {
        let mut ping = redis::pipe();
        ping.ping().ignore();
        self.send(&ping).await
    }

    /// A connection of its own on which the server may push messages, and those messages.
    ///
    /// # Errors
    /// Also a server that does not speak RESP 3.
    pub(crate) async fn pushing(
        &self,
    ) -> RedisResult<(MultiplexedConnection, mpsc::Receiver<PushInfo>)> {
        let (sender, pushes) = mpsc::channel(PUSHES_MAX);
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT))
            // One that does not fit says nothing that those before it do not say.
            .set_push_sender(move |push| match sender.try_send(push) {
                Err(mpsc::error::TrySendError::Closed(push)) => Err(push),
                Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => Ok(()),
            });
        let info = self.0.client.get_connection_info().clone();
        let redis = info.redis_settings().clone();
        let client =
            Client::open(info.set_redis_settings(redis.set_protocol(ProtocolVersion::RESP3)))?;
        let line = client.get_multiplexed_async_connection_with_config(&settings);
        Ok((line.await?, pushes))
    }

    /// A connection that listens to a channel.
    pub(crate) async fn subscription(&self, channel: &str) -> RedisResult<PubSub> {
        let connect = async {
            let mut subscription = self.0.client.get_async_pubsub().await?;
            subscription.subscribe(channel).await?;
            Ok(subscription)
        };
        timeout(CONNECT_TIMEOUT, connect).await.unwrap_or_else(|_| {
            Err(RedisError::from(std::io::Error::from(
                std::io::ErrorKind::TimedOut,
            )))
        })
    }

    /// The driver reconnects by itself after a broken connection. It would keep for
    /// ever one to a server that became a replica, and a login that failed while
    /// reconnecting: the calls to come get a new one.
    fn failed(&self, error: &RedisError) {
        let stuck = matches!(
            error.kind(),
            ErrorKind::AuthenticationFailed
                | ErrorKind::InvalidClientConfig
                | ErrorKind::Server(ServerErrorKind::ReadOnly)
        );
        let mut line = self.line();
        if stuck && line.begun.elapsed() >= RENEW_PAUSE {
            if let Ok(manager) = manager(&self.0.client) {
                line.manager = manager;
            }
            line.begun = Instant::now();
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.0.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn manager(client: &Client) -> RedisResult<ConnectionManager> {
    let settings = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(RESPONSE_TIMEOUT))
        .set_number_of_retries(1)
        .set_min_delay(RECONNECT_DELAY);
    ConnectionManager::new_lazy_with_config(client.clone(), settings)
}

fn client(url: &str, tls: &Tls) -> Result<Client, BridgeError> {
    let info = address(url).ok_or(BridgeError::Address)?;
    let client = match info.addr() {
        ConnectionAddr::TcpTls { .. } => Client::build_with_tls(info, certificates(tls)?),
        _ => Client::open(info),
    };
    client.map_err(|error| BridgeError::Tls(error.to_string()))
}

/// `None` for what is no address; the driver's own words may hold the password.
fn address(url: &str) -> Option<ConnectionInfo> {
    let tcp = TcpSettings::default().set_nodelay(true);
    #[cfg(target_os = "linux")]
    let tcp = tcp.set_user_timeout(PEER_TIMEOUT);
    // What follows a `?` is for Python: `ssl_cert_reqs`, say.
    let url = url.split_once('?').map_or(url, |(url, _)| url);
    Some(url.into_connection_info().ok()?.set_tcp_settings(tcp))
}

fn certificates(tls: &Tls) -> Result<TlsCertificates, BridgeError> {
    let client_tls = match &tls.client {
        Some((certificate, key)) => Some(ClientTlsConfig {
            client_cert: read_file(certificate)?,
            client_key: read_file(key)?,
        }),
        None => None,
    };
    Ok(TlsCertificates {
        client_tls,
        root_cert: tls.ca.as_deref().map(read_file).transpose()?,
    })
}

fn read_file(path: &Path) -> Result<Vec<u8>, BridgeError> {
    std::fs::read(path).map_err(|error| BridgeError::Tls(format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_celery() {
        for (url, host, database) in [
            ("redis://h", "h:6379", 0),
            ("redis://:p%40w@h:1/2", "h:1", 2),
            ("rediss://me:pw@h/3?ssl_cert_reqs=required", "h:6379", 3),
            ("redis+unix:///run/r.sock", "/run/r.sock", 0),
        ] {
            let info = address(url).unwrap();
            assert_eq!(info.addr().to_string(), host, "{url}");
            assert_eq!(info.redis_settings().db(), database, "{url}");
        }
    }

    #[test]
    fn anything_else_is_refused_without_being_repeated() {
        for url in [
            "amqp://me:secret@h",
            "redis//:secret@h",
            "redis://:secret@h/x",
        ] {
            let error = Link::open(url, &Tls::default()).err().unwrap();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains("redis://"), "{shown}");
            assert!(!shown.contains("secret"), "{shown}");
        }
    }

    #[test]
    fn a_missing_tls_file_is_told_by_name() {
        let tls = Tls {
            ca: Some("no/such/ca.pem".into()),
            client: None,
        };
        let error = Link::open("rediss://h", &tls).err().unwrap();
        assert!(error.to_string().contains("no/such/ca.pem"), "{error}");
    }
}
