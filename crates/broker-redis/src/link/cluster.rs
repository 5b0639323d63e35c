//! A cluster, through the driver's own connection to all of its nodes.

use futures_util::{StreamExt, TryStreamExt, stream};
use lovage_core::error::BrokerError;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{
    MultiSlotArgPattern, MultipleNodeRoutingInfo, ResponsePolicy, Route, RoutingInfo,
    SingleNodeRoutingInfo, Slot, SlotAddr,
};
use redis::{
    Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, FromRedisValue, Pipeline, RedisError,
    RedisResult, Value,
};

use super::address::Address;
use super::line::SlotLine;
use super::{CONNECT_TIMEOUT, Peer, RESPONSE_TIMEOUT};
use crate::error::broker_error;

/// Tries of one call while slots move; callers try again themselves.
const RETRIES: u32 = 4;
/// Longest pause between two of them, in ms.
const RETRY_WAIT_MS: u64 = 200;
/// Commands on their way at once when each goes to a place of its own.
const EACH_MAX: usize = 64;

/// All nodes, and how to reach one more.
pub(crate) struct Cluster {
    connection: ClusterConnection,
    template: ConnectionInfo,
}

impl Cluster {
    pub(super) async fn connect(address: Address) -> Result<Self, BrokerError> {
        let template = address.nodes[0].clone();
        let mut builder = ClusterClient::builder(address.nodes)
            .connection_timeout(CONNECT_TIMEOUT)
            .response_timeout(RESPONSE_TIMEOUT)
            .retries(RETRIES)
            .max_retry_wait(RETRY_WAIT_MS)
            .min_retry_wait(RETRY_WAIT_MS / 10)
            .tcp_settings(template.tcp_settings().clone());
        if let Some(certificates) = address.certificates {
            builder = builder.certs(certificates);
        }
        let client = builder.build().map_err(broker_error)?;
        let connection = client.get_async_connection().await.map_err(broker_error)?;
        Ok(Self {
            connection,
            template,
        })
    }

    pub(super) fn line(&self) -> SlotLine {
        SlotLine::new(self.connection.clone())
    }

    pub(super) async fn send<T: FromRedisValue>(&self, pipeline: &Pipeline) -> RedisResult<T> {
        pipeline.query_async(&mut self.connection.clone()).await
    }

    pub(super) async fn each<T: FromRedisValue>(&self, pipeline: &Pipeline) -> RedisResult<T> {
        let ask = |command: Cmd| {
            let mut connection = self.connection.clone();
            async move { command.query_async::<Value>(&mut connection).await }
        };
        let answers: Vec<Value> = stream::iter(pipeline.cmd_iter().cloned())
            .map(ask)
            .buffered(EACH_MAX)
            .try_collect()
            .await?;
        Ok(T::from_redis_value(Value::Array(answers))?)
    }

    pub(super) async fn infos(&self, section: &str) -> RedisResult<Vec<String>> {
        let mut ask = redis::cmd("INFO");
        ask.arg(section);
        let masters = MultipleNodeRoutingInfo::AllMasters;
        let answers = self.on(ask, masters).await?;
        let told = answers.into_iter();
        told.map(|(_, info)| Ok(String::from_redis_value(info.extract_error()?)?))
            .collect()
    }

    /// The master that has a key now, by the driver's map of slots.
    pub(super) async fn peer(&self, key: &str) -> RedisResult<Peer> {
        let mut touch = redis::cmd("EXISTS");
        touch.arg(key);
        // As a command on many slots, of which there is one, it is answered with the node's address.
        let route = vec![(Route::with_key(key, SlotAddr::Master), vec![0])];
        let owner = MultipleNodeRoutingInfo::MultiSlot((route, MultiSlotArgPattern::KeysOnly));
        let answers = self.on(touch, owner).await?;
        let (node, answer) = answers.into_iter().next().ok_or_else(nobody)?;
        answer.extract_error()?;
        let (host, port) = node.rsplit_once(':').ok_or_else(nobody)?;
        let node = (host.to_owned(), port.parse().map_err(|_| nobody())?);
        let info = self
            .template
            .clone()
            .set_addr(at(self.template.addr(), &node));
        Ok(Peer {
            client: Client::open(info)?,
            node: Some(node),
        })
    }

    /// Sends commands to one node.
    pub(super) async fn tell(&self, node: &(String, u16), pipeline: &Pipeline) -> RedisResult<()> {
        let (host, port) = node.clone();
        for command in pipeline.cmd_iter() {
            let to = SingleNodeRoutingInfo::ByAddress {
                host: host.clone(),
                port,
            };
            let mut connection = self.connection.clone();
            let answer = connection.route_command(command.clone(), RoutingInfo::SingleNode(to));
            answer.await?.extract_error()?;
        }
        Ok(())
    }

    /// Addresses of nodes, and what each answered.
    async fn on(
        &self,
        command: Cmd,
        nodes: MultipleNodeRoutingInfo,
    ) -> RedisResult<Vec<(String, Value)>> {
        let routing = RoutingInfo::MultiNode((nodes, Some(ResponsePolicy::Special)));
        let mut connection = self.connection.clone();
        let Value::Map(answers) = connection.route_command(command, routing).await? else {
            return Err(nobody());
        };
        let named = answers.into_iter();
        named
            .map(|(node, answer)| Ok((String::from_redis_value(node)?, answer)))
            .collect()
    }
}

fn nobody() -> RedisError {
    RedisError::from((ErrorKind::ClusterConnectionNotFound, "no node has the slot"))
}

/// The slot of a key.
pub(super) fn slot(key: &str) -> Slot {
    Slot::for_key(key)
}

/// Another node, reached as `template` is.
fn at(template: &ConnectionAddr, (host, port): &(String, u16)) -> ConnectionAddr {
    let (host, port) = (host.clone(), *port);
    match template {
        ConnectionAddr::TcpTls {
            insecure,
            tls_params,
            ..
        } => ConnectionAddr::TcpTls {
            host,
            port,
            insecure: *insecure,
            tls_params: tls_params.clone(),
        },
        _ => ConnectionAddr::Tcp(host, port),
    }
}
