//! Plain commands to a server, for whoever measures or examines one.

use std::fmt;
use std::time::Duration;

use lovage_core::error::BrokerError;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, FromRedisValue};

use crate::error::broker_error;

/// Longest wait for an answer: a server that is measured may be at its limit.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);

/// A connection of its own to a server. It knows nothing of jobs.
#[derive(Clone)]
pub struct Probe(MultiplexedConnection);

impl Probe {
    /// Connects to a URL such as `redis://127.0.0.1:6379`.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`] when the server cannot be reached.
    pub async fn connect(url: &str) -> Result<Self, BrokerError> {
        let client = Client::open(url).map_err(broker_error)?;
        let settings = AsyncConnectionConfig::new().set_response_timeout(Some(RESPONSE_TIMEOUT));
        let connection = client
            .get_multiplexed_async_connection_with_config(&settings)
            .await;
        Ok(Self(connection.map_err(broker_error)?))
    }

    /// Sends one command and reads its answer.
    ///
    /// # Errors
    /// What the server or the connection says, and answers of another type.
    pub async fn ask<T: FromRedisValue>(&self, words: &[&str]) -> Result<T, BrokerError> {
        let mut command = redis::Cmd::new();
        command.arg(words);
        let answer = command.query_async(&mut self.0.clone()).await;
        answer.map_err(broker_error)
    }
}

impl fmt::Debug for Probe {
    /// Leaves the server out: its address may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe").finish_non_exhaustive()
    }
}
