//! Waiting for messages in Celery's lists without taking or moving any.
//!
//! A blocking pop takes its message out of the list before anybody has it, and
//! a message that is moved within a list is seen by one list's waiter only.
//! So the server is asked to say when one of the lists changes
//! (`CLIENT TRACKING`): it says so once for every time that they were looked at.

use std::io;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{PushInfo, PushKind};
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
            if has_any(connection, lists).await? {
                return Ok(());
            }
            match changes.recv().await {
                Some(change) if change.kind != PushKind::Disconnection => Ok(()),
                _ => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            }
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

#[cfg(test)]
mod tests {
    use lovage_tests::redis::RedisServer;
    use tokio::time::Instant;

    use super::*;
    use crate::config::Tls;

    /// Longer than anything here takes.
    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_message_in_any_list_ends_the_wait_and_stays_there() {
        if !RedisServer::available() {
            return;
        }
        let server = RedisServer::start().await;
        let watch = Watch::new(Link::open(&server.url(), &Tls::default()).unwrap());
        let lists = ["q", "q3", "other"].map(str::to_owned);
        for list in &lists {
            let (waited, pushed) = tokio::join!(watch.wait(&lists, LONG), async {
                // Only once the lists were looked at is there something to wait for.
                server.says(&["CLIENT", "LIST"], "cmd=llen").await;
                server.command(&["LPUSH", list, "message"]).await
            });
            waited.unwrap();
            assert_eq!(pushed.unwrap(), "1");
            watch.wait(&lists, LONG).await.unwrap();
            assert_eq!(server.command(&["LLEN", list]).await.unwrap(), "1");
            server.command(&["FLUSHALL"]).await.unwrap();
        }
        let begun = Instant::now();
        watch.wait(&lists, Duration::from_millis(50)).await.unwrap();
        assert!(begun.elapsed() < LONG);
    }

    #[tokio::test]
    async fn a_server_that_cannot_say_is_looked_at_now_and_then() {
        if !RedisServer::available() {
            return;
        }
        let server = RedisServer::start_with(&["--rename-command", "CLIENT", ""]).await;
        let watch = Watch::new(Link::open(&server.url(), &Tls::default()).unwrap());
        watch.wait(&["q".to_owned()], LONG).await.unwrap();
        assert!(matches!(*watch.line.lock().await, Line::Mute));
    }

    #[tokio::test]
    async fn a_line_that_breaks_is_opened_anew() {
        if !RedisServer::available() {
            return;
        }
        let mut server = RedisServer::start().await;
        let watch = Watch::new(Link::open(&server.url(), &Tls::default()).unwrap());
        let lists = ["q".to_owned()];
        let (waited, ()) = tokio::join!(watch.wait(&lists, LONG), async {
            server.says(&["CLIENT", "LIST"], "cmd=llen").await;
            server.restart().await;
        });
        assert!(waited.is_err());
        server.command(&["LPUSH", "q", "message"]).await.unwrap();
        watch.wait(&lists, LONG).await.unwrap();
    }
}
