//! Who waits for news of which job or cached value, and the subscription that wakes them.

use std::collections::HashMap;
use std::hash::Hash;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use lovage_core::error::BrokerError;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::connect::Store;
use crate::wake::Pause;

/// A silent subscription is asked for a sign of life this often, and has as long to give it.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// What news are about, such as a job by its id: something that a line can name.
pub(crate) trait Subject: FromStr + Eq + Hash + Clone + Send + 'static {}

impl<S: FromStr + Eq + Hash + Clone + Send + 'static> Subject for S {}

/// Local waiters, and one subscription per queue (or per cache) that has had any.
#[derive(Debug)]
pub(crate) struct News<S> {
    waiters: Arc<Waiters<S>>,
    subscriptions: Mutex<HashMap<String, AbortOnDropHandle<()>>>,
}

#[derive(Debug)]
struct Waiters<S>(Mutex<HashMap<S, Arc<Notify>>>);

/// Someone who waits for news of one subject.
pub(crate) struct Waiter<S: Subject> {
    waiters: Arc<Waiters<S>>,
    subject: S,
    notify: Arc<Notify>,
}

impl<S> Default for News<S> {
    fn default() -> Self {
        Self {
            waiters: Arc::new(Waiters(Mutex::default())),
            subscriptions: Mutex::default(),
        }
    }
}

impl<S: Subject> News<S> {
    /// Begins to listen for a subject whose keys begin with `prefix`. Until the
    /// subscription stands nothing is heard; then every waiter is woken once,
    /// so nothing is missed.
    pub(crate) fn waiter(&self, store: &Arc<Store>, prefix: &str, subject: S) -> Waiter<S> {
        let notify = self
            .waiters
            .lock()
            .entry(subject.clone())
            .or_default()
            .clone();
        self.subscriptions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(prefix.to_owned())
            .or_insert_with(|| {
                let (store, waiters) = (store.clone(), self.waiters.clone());
                AbortOnDropHandle::new(tokio::spawn(listen(store, prefix.to_owned(), waiters)))
            });
        Waiter {
            waiters: self.waiters.clone(),
            subject,
            notify,
        }
    }
}

impl<S> Waiters<S> {
    fn lock(&self) -> MutexGuard<'_, HashMap<S, Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Subject> Waiters<S> {
    fn wake_all(&self) {
        for notify in self.lock().values() {
            notify.notify_waiters();
        }
    }

    /// Wakes who waits for any of these subjects, which stand in one line.
    fn wake(&self, line: &str) {
        let waiters = self.lock();
        if waiters.is_empty() {
            return;
        }
        for subject in line.split(' ').filter_map(|name| name.parse().ok()) {
            if let Some(notify) = waiters.get(&subject) {
                notify.notify_waiters();
            }
        }
    }
}

impl<S: Subject> Waiter<S> {
    /// Ready when something happened to the subject since this was called and enabled.
    pub(crate) fn something(&self) -> Notified<'_> {
        self.notify.notified()
    }
}

impl<S: Subject> Drop for Waiter<S> {
    fn drop(&mut self) {
        let mut waiters = self.waiters.lock();
        // The map's and ours: nobody else waits for this subject.
        if Arc::strong_count(&self.notify) == 2 {
            waiters.remove(&self.subject);
        }
    }
}

/// Keeps one subscription for as long as the task lives.
async fn listen<S: Subject>(store: Arc<Store>, prefix: String, waiters: Arc<Waiters<S>>) {
    let mut pause = Pause::default();
    loop {
        match store.subscription(&prefix).await {
            Ok(subscription) => {
                pause = Pause::default();
                waiters.wake_all();
                if let Err(error) = hear(subscription, &waiters).await {
                    tracing::warn!(prefix, %error, "the subscription ended; it is made anew");
                }
            }
            Err(error) => tracing::debug!(prefix, %error, "no subscription yet"),
        }
        sleep(pause.next()).await;
    }
}

async fn hear<S: Subject>(
    subscription: redis::aio::PubSub,
    waiters: &Waiters<S>,
) -> Result<(), BrokerError> {
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
