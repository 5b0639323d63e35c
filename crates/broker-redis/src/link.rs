//! The way to the servers: one server, the master that Sentinel names, or a cluster.
//!
//! What a caller must know of the difference: on a cluster the keys of one call
//! are those of one queue. What looks at several queues is asked command by
//! command, each where its key is ([`Link::each`]).

mod address;
mod cluster;
mod line;
mod server;

use std::time::Duration;

use lovage_core::error::BrokerError;
use redis::aio::{MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, Client, FromRedisValue, Pipeline, ScriptInvocation};

pub use self::address::is_address;
use self::address::{Address, Kind};
use self::cluster::Cluster;
use self::line::Kept;
use self::server::Server;
use crate::config::RedisConfig;
use crate::error::broker_error;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest wait for an answer. The driver's own 500 ms would call a slow disk an outage.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Unacknowledged bytes end the connection after this: a peer that vanished is noticed.
const PEER_TIMEOUT: Duration = Duration::from_secs(10);

/// What all operations go through.
pub(crate) enum Link {
    Server(Server),
    Cluster(Cluster),
}

/// A server to which a caller has a connection of its own.
pub(crate) struct Peer {
    client: Client,
    /// Host and port, where there are several to tell apart.
    node: Option<(String, u16)>,
}

impl Link {
    pub(crate) async fn connect(config: &RedisConfig) -> Result<Self, BrokerError> {
        let address = Address::read(config)?;
        Ok(match &address.kind {
            Kind::Cluster => Self::Cluster(Cluster::connect(address).await?),
            Kind::One => Self::Server(Server::connect(&address.nodes[0]).await?),
            Kind::Sentinel { master } => {
                let sentinels = server::sentinels(&address, master, &config.sentinel_login)?;
                Self::Server(Server::follow(sentinels).await?)
            }
        })
    }

    /// Runs a script: by its hash, or whole when its server does not know it.
    /// With `replicas` it succeeds only once that many have what it wrote.
    pub(crate) async fn call<T: FromRedisValue>(
        &self,
        invocation: &ScriptInvocation<'_>,
        replicas: u32,
    ) -> Result<T, BrokerError> {
        match self {
            Self::Server(server) => {
                let mut line = server.line().await?;
                let answer = match replicas {
                    0 => invocation.invoke_async(&mut line).await,
                    _ => {
                        invocation
                            .invoke_async(&mut Kept::new(line, replicas))
                            .await
                    }
                };
                answer.map_err(|error| server.failed(error))
            }
            Self::Cluster(cluster) => {
                let mut line = cluster.line();
                let answer = match replicas {
                    0 => invocation.invoke_async(&mut line).await,
                    _ => {
                        invocation
                            .invoke_async(&mut Kept::new(line, replicas))
                            .await
                    }
                };
                answer.map_err(broker_error)
            }
        }
    }

    /// Sends plain commands about one queue in one round trip.
    pub(crate) async fn send<T: FromRedisValue>(
        &self,
        pipeline: &Pipeline,
    ) -> Result<T, BrokerError> {
        match self {
            Self::Server(server) => {
                let mut line = server.line().await?;
                let answer = pipeline.query_async(&mut line).await;
                answer.map_err(|error| server.failed(error))
            }
            Self::Cluster(cluster) => cluster.send(pipeline).await.map_err(broker_error),
        }
    }

    /// Sends commands about any queues, each to where its key is; answers in their order.
    pub(crate) async fn each<T: FromRedisValue>(
        &self,
        pipeline: &Pipeline,
    ) -> Result<T, BrokerError> {
        match self {
            Self::Server(_) => self.send(pipeline).await,
            Self::Cluster(cluster) => cluster.each(pipeline).await.map_err(broker_error),
        }
    }

    /// What every server that takes writes says about itself.
    pub(crate) async fn infos(&self, section: &str) -> Result<Vec<String>, BrokerError> {
        match self {
            Self::Server(_) => {
                let mut ask = redis::pipe();
                ask.cmd("INFO").arg(section);
                self.send(&ask).await
            }
            Self::Cluster(cluster) => cluster.infos(section).await.map_err(broker_error),
        }
    }

    /// Whether one script may touch both keys.
    pub(crate) fn holds_together(&self, one: &str, other: &str) -> bool {
        match self {
            Self::Server(_) => true,
            Self::Cluster(_) => cluster::slot(one) == cluster::slot(other),
        }
    }

    /// Whether the servers are a cluster.
    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    /// The server that has a key.
    pub(crate) async fn peer(&self, key: &str) -> Result<Peer, BrokerError> {
        match self {
            Self::Server(server) => Ok(Peer {
                client: server.client().await?,
                node: None,
            }),
            Self::Cluster(cluster) => cluster.peer(key).await.map_err(broker_error),
        }
    }

    /// Sends commands to the server of a connection, beside that connection.
    pub(crate) async fn tell(&self, peer: &Peer, pipeline: &Pipeline) -> Result<(), BrokerError> {
        match (self, &peer.node) {
            (Self::Cluster(cluster), Some(node)) => {
                cluster.tell(node, pipeline).await.map_err(broker_error)
            }
            _ => self.send(pipeline).await,
        }
    }
}

impl Peer {
    /// A connection of its own for a command that blocks up to `block`.
    pub(crate) async fn blocking(
        &self,
        block: Duration,
    ) -> Result<MultiplexedConnection, BrokerError> {
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(block + RESPONSE_TIMEOUT));
        self.client
            .get_multiplexed_async_connection_with_config(&settings)
            .await
            .map_err(broker_error)
    }

    /// A connection that listens to a channel.
    pub(crate) async fn subscription(&self, channel: &str) -> Result<PubSub, BrokerError> {
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
}
