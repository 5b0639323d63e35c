//! A job's events as they happen, over broken connections and restarts.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream;
use reqwest::{Response, StatusCode};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::error::ClientError;
use crate::http::{CALL, Client, accepted, pause};
use crate::sse::{Message, Parser};
use crate::wire::EventView;

/// Silence after which a connection counts as dead: the server says something every 15 s.
const SILENCE: Duration = Duration::from_secs(45);
/// Failures in a row, without a byte in between, after which the watch gives up (about a minute).
const FAILURES_MAX: u32 = 10;

impl Client {
    /// The job's events after the cursor `after` (0 for all), until its last one.
    ///
    /// Reconnects where it was when the connection breaks. Events that are no
    /// longer kept show as one event of type [`crate::wire::GAP`].
    pub fn events(
        &self,
        id: Uuid,
        after: u64,
    ) -> impl Stream<Item = Result<EventView, ClientError>> + Send + use<> {
        let watch = Watch {
            client: self.clone(),
            id,
            after,
            connection: None,
            failures: 0,
            at_end: false,
        };
        stream::try_unfold(watch, |mut watch| async move {
            Ok(watch.next().await?.map(|event| (event, watch)))
        })
    }
}

struct Watch {
    client: Client,
    id: Uuid,
    after: u64,
    connection: Option<Connection>,
    failures: u32,
    /// The last event seen is a final one: the stream ends here unless more comes.
    at_end: bool,
}

struct Connection {
    response: Response,
    parser: Parser,
    ready: VecDeque<Message>,
}

impl Watch {
    async fn next(&mut self) -> Result<Option<EventView>, ClientError> {
        loop {
            let failure = match self.advance().await {
                Ok(Step::Event(event)) => return Ok(Some(event)),
                Ok(Step::Nothing) => continue,
                Ok(Step::Ended) => return Ok(None),
                Ok(Step::Broken) if self.at_end => return Ok(None),
                Ok(Step::Broken) => ClientError::Unreachable("the event stream broke off".into()),
                Err(error) if error.is_transient() => error,
                Err(error) => return Err(error),
            };
            self.connection = None;
            if self.failures >= FAILURES_MAX {
                return Err(failure);
            }
            sleep(pause(self.failures)).await;
            self.failures += 1;
        }
    }

    /// One step: a connection, a chunk or an event.
    async fn advance(&mut self) -> Result<Step, ClientError> {
        let Some(connection) = &mut self.connection else {
            return self.connect().await;
        };
        if let Some(message) = connection.ready.pop_front() {
            return self.take(&message);
        }
        let chunk = match timeout(SILENCE, connection.response.chunk()).await {
            Ok(Ok(Some(chunk))) => chunk,
            Ok(Ok(None)) | Ok(Err(_)) | Err(_) => return Ok(Step::Broken),
        };
        self.failures = 0;
        let messages = connection.parser.push(&chunk);
        connection
            .ready
            .extend(messages.map_err(|error| ClientError::Protocol(error.to_string()))?);
        Ok(Step::Nothing)
    }

    async fn connect(&mut self) -> Result<Step, ClientError> {
        let call = self.client.events_call(self.id, self.after).send();
        let response = timeout(CALL, call)
            .await
            .map_err(|late| ClientError::Unreachable(late.into()))??;
        let response = accepted(response).await?;
        // Nothing follows the cursor, and nothing will.
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(Step::Ended);
        }
        self.connection = Some(Connection {
            response,
            parser: Parser::default(),
            ready: VecDeque::new(),
        });
        Ok(Step::Nothing)
    }

    fn take(&mut self, message: &Message) -> Result<Step, ClientError> {
        let event: EventView = serde_json::from_str(&message.data).map_err(|error| {
            ClientError::Protocol(format!("an event is not understood: {error}"))
        })?;
        if message.id.is_some() {
            self.after = event.seq;
        }
        self.at_end = event.is_final();
        Ok(Step::Event(event))
    }
}

enum Step {
    /// An event came.
    Event(EventView),
    /// No event yet: go on.
    Nothing,
    /// The server says that no event will follow.
    Ended,
    /// The connection is gone.
    Broken,
}
