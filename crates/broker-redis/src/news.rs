//! Who waits for news of which job, and the subscription that wakes them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use lovage_core::error::BrokerError;
use lovage_core::id::{JobId, QueueName};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::connect::Store;
use crate::wake::Pause;

/// A silent subscription is asked for a sign of life this often, and has as long to give it.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// Local waiters of all queues, and one subscription per queue that has had any.
#[derive(Debug, Default)]
pub(crate) struct News {
    waiters: Arc<Waiters>,
    subscriptions: Mutex<HashMap<QueueName, AbortOnDropHandle<()>>>,
}

#[derive(Debug, Default)]
struct Waiters(Mutex<HashMap<JobId, Arc<Notify>>>);

/// Someone who waits for news of one job.
pub(crate) struct Waiter {
    waiters: Arc<Waiters>,
    job: JobId,
    notify: Arc<Notify>,
}

impl News {
    /// Begins to listen for a job. Until the subscription stands nothing is
    /// heard; then every waiter is woken once, so nothing is missed.
    pub(crate) fn waiter(&self, store: &Arc<Store>, queue: &QueueName, job: JobId) -> Waiter {
        let notify = self.waiters.lock().entry(job).or_default().clone();
        self.subscriptions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(queue.clone())
            .or_insert_with(|| {
                let (store, waiters) = (store.clone(), self.waiters.clone());
                AbortOnDropHandle::new(tokio::spawn(listen(store, queue.clone(), waiters)))
            });
        Waiter {
            waiters: self.waiters.clone(),
            job,
            notify,
        }
    }
}

impl Waiters {
    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake_all(&self) {
        for notify in self.lock().values() {
            notify.notify_waiters();
        }
    }

    /// Wakes who waits for any of these ids, which stand in one line.
    fn wake(&self, ids: &str) {
        let waiters = self.lock();
        if waiters.is_empty() {
            return;
        }
        for id in ids.split(' ').filter_map(|id| id.parse().ok()) {
            if let Some(notify) = waiters.get(&id) {
                notify.notify_waiters();
            }
        }
    }
}

impl Waiter {
    /// Ready when something happened to the job since this was called and enabled.
    pub(crate) fn something(&self) -> Notified<'_> {
        self.notify.notified()
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waiters = self.waiters.lock();
        // The map's and ours: nobody else waits for this job.
        if Arc::strong_count(&self.notify) == 2 {
            waiters.remove(&self.job);
        }
    }
}

/// Keeps one subscription for as long as the task lives.
async fn listen(store: Arc<Store>, queue: QueueName, waiters: Arc<Waiters>) {
    let mut pause = Pause::default();
    loop {
        match store.subscription(&queue).await {
            Ok(subscription) => {
                pause = Pause::default();
                waiters.wake_all();
                if let Err(error) = hear(subscription, &waiters).await {
                    tracing::warn!(%queue, %error, "the subscription ended; it is made anew");
                }
            }
            Err(error) => tracing::debug!(%queue, %error, "no subscription yet"),
        }
        sleep(pause.next()).await;
    }
}

async fn hear(subscription: redis::aio::PubSub, waiters: &Waiters) -> Result<(), BrokerError> {
    let (mut commands, mut messages) = subscription.split();
    loop {
        match timeout(SIGN_OF_LIFE, messages.next()).await {
            Ok(Some(message)) => {
                waiters.wake(std::str::from_utf8(message.get_payload_bytes()).unwrap_or_default());
            }
            Ok(None) => return Err(BrokerError::Unavailable("the connection closed".into())),
            Err(_) => {
                let alive = timeout(SIGN_OF_LIFE, commands.ping::<redis::Value>()).await;
                alive
                    .map_err(|late| BrokerError::Unavailable(late.into()))?
                    .map_err(crate::error::broker_error)?;
            }
        }
    }
}
