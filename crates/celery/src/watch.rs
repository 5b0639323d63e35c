//! Waiting for messages in Celery's lists without taking or moving any.
//!
//! A blocking pop takes its message out of the list before anybody has it, and
//! a message that is moved within a list is seen by one list's waiter only.
//! So the server is asked to say when one of the lists changes
//! (`CLIENT TRACKING`): it says so once for every time that they were looked at.

use std::time::Duration;

use redis::PushInfo;
use redis::aio::MultiplexedConnection;
use tokio::sync::{Mutex, mpsc};
use tokio::time::{sleep, timeout};

use crate::link::Link;
use crate::transport::RedisResult;

/// Pause between two looks at a server that does not say when something changes.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Waits for messages.
pub(crate) struct Watch {
    link: Link,
    line: Mutex<Line>,
}

enum Line {
    /// To be opened.
    Closed,
    Open(MultiplexedConnection, mpsc::Receiver<PushInfo>),
    /// The server, or what stands before it, cannot say when something changes.
    Mute,
}

impl Watch {
    pub(crate) fn new(link: Link) -> Self {
        let line = Mutex::new(Line::Closed);
        Self { link, line }
    }

    /// Returns when one of the lists may have a message, or after `at_most`.
    pub(crate) async fn wait(&self, lists: &[String], at_most: Duration) -> RedisResult<()> {
        let mut line = self.line.lock().await;
        if matches!(*line, Line::Closed) {
            *line = self.open().await?;
        }
        let Line::Open(connection, changes) = &mut *line else {
            sleep(at_most.min(LOOK_EVERY)).await;
            return Ok(());
        };
        while changes.try_recv().is_ok() {}
        let waiting = async {
            if has_any(connection, lists).await? || changes.recv().await.is_some() {
                return Ok(());
            }
            Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into())
        };
        let waited = timeout(at_most, waiting).await.unwrap_or(Ok(()));
        if waited.is_err() {
            *line = Line::Closed;
        }
        waited
    }

    async fn open(&self) -> RedisResult<Line> {
        let opened = async {
            let (mut connection, changes) = self.link.pushing().await?;
            let mut track = redis::cmd("CLIENT");
            track.arg("TRACKING").arg("ON");
            track.query_async::<()>(&mut connection).await?;
            Ok(Line::Open(connection, changes))
        };
        opened.await.or_else(|error: redis::RedisError| {
            if error.is_io_error() {
                return Err(error);
            }
            tracing::warn!(
                error = %error,
                "Celery's server does not tell of new messages: looking every {LOOK_EVERY:?}"
            );
            Ok(Line::Mute)
        })
    }
}

async fn has_any(connection: &mut MultiplexedConnection, lists: &[String]) -> RedisResult<bool> {
    let mut lengths = redis::pipe();
    for list in lists {
        lengths.llen(list);
    }
    let lengths: Vec<u64> = lengths.query_async(connection).await?;
    Ok(lengths.iter().any(|length| *length > 0))
}
