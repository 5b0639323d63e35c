//! Waking a sleeping worker without polling.
//!
//! Each worker has two listeners, each a blocking pop on a connection of its
//! own: one on its list of jobs to stop, always; one on the queue's wake token,
//! only while the worker wants work. They run on when a caller of `wake` stops
//! waiting, so nothing they pop is lost: it is there for the next call.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lovage_core::broker::Wake;
use lovage_core::error::BrokerError;
use lovage_core::id::{JobId, QueueName, WorkerId};
use redis::aio::MultiplexedConnection;
use tokio::sync::{Notify, watch};
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use crate::connect::Store;
use crate::error::broker_error;
use crate::link::Peer;
use crate::ops::extend::job_id;

/// Longest single blocking pop; a dead peer is noticed a little later.
const BLOCK: Duration = Duration::from_secs(10);

/// Growing pause between tries to connect.
#[derive(Debug)]
pub(crate) struct Pause(Duration);

impl Pause {
    const MIN: Duration = Duration::from_millis(50);
    const MAX: Duration = Duration::from_secs(1);

    /// How long to wait now; the next time it is twice as long.
    pub(crate) fn next(&mut self) -> Duration {
        let now = self.0;
        self.0 = (now * 2).min(Self::MAX);
        now
    }
}

impl Default for Pause {
    fn default() -> Self {
        Self(Self::MIN)
    }
}

/// The listeners of this process's workers.
#[derive(Debug, Default)]
pub(crate) struct Listeners(Mutex<HashMap<(QueueName, WorkerId), Arc<Listener>>>);

#[derive(Debug)]
struct Listener {
    heard: Arc<Heard>,
    /// Held so that the tasks end with the listener.
    _tasks: [AbortOnDropHandle<()>; 2],
}

/// What was heard and not yet told, and whether work is wanted.
#[derive(Debug)]
struct Heard {
    pending: Mutex<Pending>,
    changed: Notify,
    wants_work: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Pending {
    work: bool,
    stop: Vec<JobId>,
}

impl Listeners {
    /// Waits for work, cancels or the end of `timeout`.
    ///
    /// An outage is no news: it looks like nothing happened until it is over.
    pub(crate) async fn wake(
        &self,
        store: &Arc<Store>,
        queue: &QueueName,
        worker: &WorkerId,
        work: bool,
        timeout: Duration,
    ) -> Wake {
        let listener = self.listener(store, queue, worker);
        let heard = &listener.heard;
        if heard.want(work)
            && let Err(error) = store.put_token_back(queue).await
        {
            tracing::debug!(%queue, %error, "a wake token is lost; workers look again by themselves");
        }
        tokio::time::timeout(timeout, heard.next(work))
            .await
            .unwrap_or(Wake::Timeout)
    }

    /// Ends a worker's listeners.
    pub(crate) fn forget(&self, queue: &QueueName, worker: &WorkerId) {
        self.lock().remove(&(queue.clone(), *worker));
    }

    fn listener(&self, store: &Arc<Store>, queue: &QueueName, worker: &WorkerId) -> Arc<Listener> {
        self.lock()
            .entry((queue.clone(), *worker))
            .or_insert_with(|| Arc::new(Listener::start(store, queue, worker)))
            .clone()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(QueueName, WorkerId), Arc<Listener>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener {
    fn start(store: &Arc<Store>, queue: &QueueName, worker: &WorkerId) -> Self {
        let heard = Arc::new(Heard {
            pending: Mutex::default(),
            changed: Notify::new(),
            wants_work: watch::Sender::new(false),
        });
        let (always, _) = watch::channel(true);
        let cancels = Ear {
            store: store.clone(),
            queue: queue.clone(),
            key: store.keys.inbox(queue, worker),
            about: About::Cancels,
            heard: heard.clone(),
            open: always.subscribe(),
        };
        let work = Ear {
            key: store.keys.wake_token(queue),
            about: About::Work,
            open: heard.wants_work.subscribe(),
            store: store.clone(),
            queue: queue.clone(),
            heard: heard.clone(),
        };
        // The cancels' sender lives in its task: it never closes.
        let cancels = async move {
            let _always = always;
            cancels.listen().await;
        };
        Self {
            heard,
            _tasks: [
                AbortOnDropHandle::new(tokio::spawn(cancels)),
                AbortOnDropHandle::new(tokio::spawn(work.listen())),
            ],
        }
    }
}

impl Heard {
    /// Says whether work is wanted; `true` when a token was heard that is not wanted any more.
    fn want(&self, work: bool) -> bool {
        let mut pending = self.lock();
        let unwanted = !work && std::mem::take(&mut pending.work);
        let listen = work && !pending.work;
        self.wants_work
            .send_if_modified(|wants| std::mem::replace(wants, listen) != listen);
        unwanted
    }

    /// Notes a wake token; `false` when nobody wants it any more.
    fn work(&self) -> bool {
        let mut pending = self.lock();
        if !*self.wants_work.borrow() {
            return false;
        }
        pending.work = true;
        self.wants_work.send_replace(false);
        drop(pending);
        self.changed.notify_waiters();
        true
    }

    fn stop(&self, id: JobId) {
        self.lock().stop.push(id);
        self.changed.notify_waiters();
    }

    /// Takes what was heard at the very moment it tells it, so that a caller
    /// who stops waiting takes nothing along.
    async fn next(&self, work: bool) -> Wake {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            {
                let mut pending = self.lock();
                if !pending.stop.is_empty() {
                    return Wake::Cancel(std::mem::take(&mut pending.stop));
                }
                if work && std::mem::take(&mut pending.work) {
                    return Wake::Work;
                }
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    Work,
    Cancels,
}

/// A connection of its own, where it leads, and its id there.
struct Own {
    connection: MultiplexedConnection,
    peer: Peer,
    client: i64,
}

/// One blocking pop, again and again while it is open.
struct Ear {
    store: Arc<Store>,
    queue: QueueName,
    key: String,
    about: About,
    heard: Arc<Heard>,
    open: watch::Receiver<bool>,
}

impl Ear {
    /// Listens until the task is aborted, reconnecting after an outage.
    async fn listen(mut self) {
        let mut pause = Pause::default();
        loop {
            match self.connect().await {
                Ok(own) => {
                    pause = Pause::default();
                    match self.pop_while_connected(own).await {
                        Ok(()) => return,
                        Err(error) => {
                            tracing::warn!(queue = %self.queue, about = ?self.about, %error, "the listening connection ended; it is made anew");
                        }
                    }
                }
                Err(error) => {
                    tracing::debug!(queue = %self.queue, about = ?self.about, %error, "no listening connection yet");
                }
            }
            sleep(pause.next()).await;
        }
    }

    async fn connect(&self) -> Result<Own, BrokerError> {
        let peer = self.store.peer(&self.queue).await?;
        let mut connection = peer.blocking(BLOCK).await?;
        let client = redis::cmd("CLIENT")
            .arg("ID")
            .query_async(&mut connection)
            .await
            .map_err(broker_error)?;
        Ok(Own {
            connection,
            peer,
            client,
        })
    }

    /// Ends well only when nobody can open it any more.
    async fn pop_while_connected(&mut self, own: Own) -> Result<(), BrokerError> {
        let mut connection = own.connection;
        let mut command = redis::cmd("BLPOP");
        command.arg(&self.key).arg(BLOCK.as_secs());
        loop {
            if self.open.wait_for(|open| *open).await.is_err() {
                return Ok(());
            }
            let mut popped = pin!(command.query_async::<Option<(String, String)>>(&mut connection));
            let early = tokio::select! {
                item = &mut popped => Some(item),
                _ = self.open.wait_for(|open| !*open) => None,
            };
            let item = match early {
                Some(item) => item,
                // Told to give up; should it have popped already, that comes back.
                None => {
                    self.store.unblock(&own.peer, own.client).await?;
                    popped.await
                }
            };
            if let Some((_, item)) = item.map_err(broker_error)? {
                self.hear(&item).await?;
            }
        }
    }

    async fn hear(&self, item: &str) -> Result<(), BrokerError> {
        match self.about {
            About::Cancels => self.heard.stop(job_id(item)?),
            About::Work => {
                if !self.heard.work() {
                    self.store.put_token_back(&self.queue).await?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard() -> Heard {
        Heard {
            pending: Mutex::default(),
            changed: Notify::new(),
            wants_work: watch::Sender::new(false),
        }
    }

    #[test]
    fn a_token_nobody_wants_is_put_back() {
        let heard = heard();
        assert!(!heard.work(), "nobody asked for work");
        assert!(!heard.want(true));
        assert!(heard.work());
        assert!(heard.want(false), "a token was heard in vain");
        assert!(!heard.want(false), "and is put back once");
    }

    #[tokio::test]
    async fn who_stops_waiting_takes_nothing_along() {
        let heard = heard();
        let id = JobId::at(jiff::Timestamp::UNIX_EPOCH);
        {
            let mut dropped = pin!(heard.next(false));
            let polled = futures_util::poll!(dropped.as_mut());
            assert!(polled.is_pending());
            heard.stop(id);
        }
        assert_eq!(heard.next(false).await, Wake::Cancel(vec![id]));
    }

    #[test]
    fn pauses_grow_and_are_bounded() {
        let mut pause = Pause::default();
        let pauses: Vec<Duration> = (0..8).map(|_| pause.next()).collect();
        assert_eq!(pauses[0], Pause::MIN);
        assert_eq!(pauses[7], Pause::MAX);
        assert!(pauses.windows(2).all(|pair| pair[0] <= pair[1]));
    }
}
