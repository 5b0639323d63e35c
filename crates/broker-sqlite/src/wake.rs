//! Who waits for what, and how they hear of it.
//!
//! Writes of this process ring after their commit. Writes of another process
//! on the same file are noticed by the writing thread, which then rings
//! everyone. Whoever is woken looks again, so a ring too many costs a read
//! and one too few is impossible: listening begins before looking.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lovage_core::broker::Wake;
use lovage_core::cache::CacheKey;
use lovage_core::error::BrokerError;
use lovage_core::id::{JobId, QueueName, WorkerId};
use lovage_core::limits;
use rusqlite::Transaction;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::SqliteBroker;
use crate::ops::{claim, extend};

/// What one can wait for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Topic {
    /// Jobs to be claimed from a queue.
    Queue(QueueName),
    /// Anything that happens to a job.
    Job(JobId),
    /// Jobs a worker is to stop.
    Worker(WorkerId),
    /// A value that is being made.
    Cached(CacheKey),
}

/// Everyone who waits, by topic.
#[derive(Default)]
pub(crate) struct Bells {
    by_topic: Mutex<HashMap<Topic, Vec<Arc<Notify>>>>,
    /// The writing thread knows that somebody waits.
    roused: AtomicBool,
}

impl Bells {
    /// Begins to listen to any of `topics`.
    pub(crate) fn listen(bells: &Arc<Self>, topics: Vec<Topic>) -> Listener {
        let bell = Arc::new(Notify::new());
        let mut by_topic = bells.lock();
        for topic in &topics {
            by_topic
                .entry(topic.clone())
                .or_default()
                .push(bell.clone());
        }
        drop(by_topic);
        Listener {
            bells: bells.clone(),
            topics,
            bell,
        }
    }

    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Whether the writing thread must be told that somebody waits now.
    pub(crate) fn rouse(&self) -> bool {
        !self.roused.swap(true, Ordering::SeqCst)
    }

    /// The writing thread is about to look whether anybody waits.
    pub(crate) fn rest(&self) {
        self.roused.store(false, Ordering::SeqCst);
    }

    /// Wakes those who listen to any of `topics`.
    pub(crate) fn ring(&self, topics: &[Topic]) {
        let by_topic = self.lock();
        for topic in topics {
            for bell in by_topic.get(topic).into_iter().flatten() {
                bell.notify_one();
            }
        }
    }

    /// Wakes everyone.
    pub(crate) fn ring_all(&self) {
        for bell in self.lock().values().flatten() {
            bell.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Topic, Vec<Arc<Notify>>>> {
        self.by_topic.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who waits. A ring is kept until it is heard; dropping it ends the waiting.
pub(crate) struct Listener {
    bells: Arc<Bells>,
    topics: Vec<Topic>,
    bell: Arc<Notify>,
}

impl Listener {
    /// Returns when any topic was rung since the last time, or `deadline` is
    /// over: then `false`.
    pub(crate) async fn rung_before(&self, deadline: Instant) -> bool {
        timeout_at(deadline, self.bell.notified()).await.is_ok()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut by_topic = self.bells.lock();
        for topic in &self.topics {
            if let Some(bells) = by_topic.get_mut(topic) {
                bells.retain(|bell| !Arc::ptr_eq(bell, &self.bell));
                if bells.is_empty() {
                    by_topic.remove(topic);
                }
            }
        }
    }
}

/// The cancels each worker was told of, by token, so that one request wakes it
/// once. Kept here and not in the file: a wake that is dropped half-way has
/// told nobody.
#[derive(Default)]
pub(crate) struct Told(Mutex<HashMap<WorkerId, HashSet<String>>>);

impl Told {
    /// Of the jobs `worker` is asked to stop now, those it was not told of;
    /// from here on it was.
    fn news(&self, worker: WorkerId, asked: Vec<(JobId, String)>) -> Vec<JobId> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.is_empty() {
            told.remove(&worker);
            return Vec::new();
        }
        let known = told.entry(worker).or_default();
        let news = asked
            .iter()
            .filter(|(_, token)| !known.contains(token))
            .map(|(id, _)| *id)
            .collect();
        *known = asked.into_iter().map(|(_, token)| token).collect();
        news
    }

    /// The worker is gone.
    pub(crate) fn forget(&self, worker: &WorkerId) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.remove(worker);
    }
}

/// Waits for work, for jobs to stop, or for the time to pass.
pub(crate) async fn wake(
    broker: &SqliteBroker,
    queue: &QueueName,
    worker: &WorkerId,
    work: bool,
    timeout: Duration,
) -> Result<Wake, BrokerError> {
    let deadline = Instant::now() + timeout.min(limits::WAIT_MAX);
    let mut topics = vec![Topic::Worker(*worker)];
    if work {
        topics.push(Topic::Queue(queue.clone()));
    }
    let listener = broker.writer.listen(topics);
    loop {
        let (queue, worker) = (queue.clone(), *worker);
        let now = broker.clock.now();
        let look = move |conn: &Transaction<'_>| {
            let asked = extend::asked(conn, &queue, &worker)?;
            let ready = work && claim::is_ready(conn, &queue, now)?;
            Ok((asked, ready))
        };
        let (asked, ready) = broker.readers.run(look).await?;
        let news = broker.told.news(worker, asked);
        if !news.is_empty() {
            return Ok(Wake::Cancel(news));
        }
        if ready {
            return Ok(Wake::Work);
        }
        if !listener.rung_before(deadline).await {
            return Ok(Wake::Timeout);
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).unwrap()
    }

    #[tokio::test]
    async fn a_ring_before_the_wait_is_heard() {
        let bells = Arc::new(Bells::default());
        let topic = Topic::Job(JobId::at(at(1)));
        let listener = Bells::listen(&bells, vec![topic.clone()]);
        bells.ring(&[topic]);
        let late = Instant::now() + Duration::from_secs(5);
        assert!(listener.rung_before(late).await);
        assert!(!listener.rung_before(Instant::now()).await);
    }

    #[tokio::test]
    async fn a_listener_hears_its_own_topics_and_leaves_nothing_behind() {
        let bells = Arc::new(Bells::default());
        let queue = Topic::Queue(QueueName::default());
        let other = Topic::Worker(WorkerId::at(at(1)));
        let listener = Bells::listen(&bells, vec![queue.clone()]);
        let second = Bells::listen(&bells, vec![queue, other.clone()]);
        bells.ring(&[other]);
        assert!(!listener.rung_before(Instant::now()).await);
        assert!(second.rung_before(Instant::now()).await);
        drop((listener, second));
        assert!(bells.is_empty());
    }

    #[test]
    fn a_cancel_is_news_once() {
        let told = Told::default();
        let worker = WorkerId::at(at(1));
        let (first, second) = (JobId::at(at(2)), JobId::at(at(3)));
        let one = vec![(first, "t1".to_owned())];
        let both = vec![(first, "t1".to_owned()), (second, "t2".to_owned())];
        assert_eq!(told.news(worker, one.clone()), [first]);
        assert_eq!(told.news(worker, one), []);
        assert_eq!(told.news(worker, both), [second]);
        assert_eq!(told.news(worker, Vec::new()), []);
        assert!(told.0.lock().unwrap().is_empty());
    }
}
