//! The queue engine embedded, on SQLite.
//!
//! One file in write-ahead mode: one thread writes, many read, other processes
//! may share it. The same records, verbs and tokens as the other stores.
//!
//! What differs between stores, here:
//! - An acknowledged write survives the end of any process. Whether it survives
//!   a power cut is [`Synchronous`].
//! - A wake crosses to another process on the same file within about 250 ms,
//!   inside one process at once.
//! - A ping writes a page, and sees that the file still stands where it was
//!   opened; work goes on in a file that was deleted, but is lost with it.
//! - A full disk refuses every write that needs room, settles too, until there
//!   is some ([`BrokerError::Full`]); nothing is lost meanwhile.

mod config;
mod connect;
#[cfg(test)]
mod cost;
mod error;
mod file;
mod key;
#[cfg(test)]
mod killed;
mod lane;
mod ops;
mod queue;
mod row;
mod schema;
mod statement;
mod unreadable;
mod wait;
mod wake;
mod writer;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lovage_core::broker::{
    Broker, CancelReply, Claim, Claimed, Claims, Enqueued, RedriveReply, Settle, Settled,
    SignalReply, Spawn, Swept, Wake,
};
use lovage_core::cache::{Cache, CacheKey, CacheStats, Hold, Taken};
use lovage_core::checkpoint::Checkpoint;
use lovage_core::clock::Clock;
use lovage_core::error::BrokerError;
use lovage_core::event::{EventPage, NewEvent};
use lovage_core::id::{JobId, QueueName, WorkerId};
use lovage_core::job::{Child, Job, NewJob};
use lovage_core::lease::Lease;
use lovage_core::limiter::{
    Admission, Ask, CallSettle, LimitName, Limiter, Limits, Remaining, Snapshot,
};
use lovage_core::payload::Payload;
use lovage_core::query::{Filter, JobPage, Page, QueueStats};
use lovage_core::queue::QueueLimits;

pub use crate::config::{SqliteConfig, Synchronous};
use crate::connect::Readers;
use crate::file::StoreFile;
use crate::ops::{
    cache, cancel, checkpoint, children, claim, emit, enqueue, events, extend, limit, limiter,
    prune, query, reclaim, redrive, settle, signal, spawn,
};
use crate::wake::Told;
use crate::writer::Writer;

/// A store of jobs in one file. Dropping it ends its thread.
pub struct SqliteBroker {
    writer: Writer,
    readers: Readers,
    told: Told,
    clock: Arc<dyn Clock>,
    file: StoreFile,
    cache_bytes_max: u64,
}

impl SqliteBroker {
    /// Opens the store, making the file or bringing its schema up to date.
    ///
    /// # Errors
    /// [`BrokerError::NewerSchema`] for a file of a newer program,
    /// [`BrokerError::Unfit`] for the database of another program,
    /// [`BrokerError::ReadOnly`] or [`BrokerError::Unavailable`] where the file
    /// cannot be written or opened.
    pub async fn open(config: SqliteConfig) -> Result<Self, BrokerError> {
        let opening = config.clone();
        let open = move || {
            let conn = connect::writer(&opening)?;
            Ok((conn, StoreFile::opened(opening.path)?))
        };
        let (conn, file) = tokio::task::spawn_blocking(open)
            .await
            .map_err(|error| BrokerError::Other(error.into()))??;
        Ok(Self {
            writer: Writer::start(conn, &config)?,
            told: Told::default(),
            clock: config.clock.clone(),
            cache_bytes_max: config.cache_bytes_max,
            file,
            readers: Readers::new(config),
        })
    }
}

impl fmt::Debug for SqliteBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteBroker")
            .field("path", &self.file.path())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Broker for SqliteBroker {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    async fn enqueue(&self, jobs: Vec<NewJob>, atomic: bool) -> Result<Vec<Enqueued>, BrokerError> {
        self.writer
            .run(move |write| enqueue::enqueue(write, &jobs, atomic))
            .await
    }

    async fn register(&self, queue: &QueueName, worker: &WorkerId) -> Result<(), BrokerError> {
        let (queue, worker) = (queue.clone(), *worker);
        self.writer
            .run(move |write| extend::register(write, &queue, &worker))
            .await
    }

    async fn deregister(&self, queue: &QueueName, worker: &WorkerId) -> Result<(), BrokerError> {
        self.told.forget(worker);
        let (queue, worker) = (queue.clone(), *worker);
        self.writer
            .run(move |write| extend::deregister(write, &queue, &worker))
            .await
    }

    async fn claim(&self, ask: &Claim) -> Result<Claims, BrokerError> {
        let ask = ask.clone();
        self.writer
            .run(move |write| claim::claim(write, &ask))
            .await
    }

    async fn held(
        &self,
        queue: &QueueName,
        worker: &WorkerId,
    ) -> Result<Vec<Claimed>, BrokerError> {
        let (name, holder) = (queue.clone(), *worker);
        let held = self
            .readers
            .run(move |conn| claim::held(conn, &name, &holder));
        if let Some(held) = held.await? {
            return Ok(held);
        }
        let (queue, worker) = (queue.clone(), *worker);
        self.writer
            .run(move |write| claim::held_readable(write, &queue, &worker))
            .await
    }

    async fn wake(
        &self,
        queue: &QueueName,
        worker: &WorkerId,
        work: bool,
        timeout: Duration,
    ) -> Result<Wake, BrokerError> {
        wake::wake(self, queue, worker, work, timeout).await
    }

    async fn extend(
        &self,
        queue: &QueueName,
        worker: &WorkerId,
    ) -> Result<Vec<JobId>, BrokerError> {
        let (queue, worker) = (queue.clone(), *worker);
        self.writer
            .run(move |write| extend::extend(write, &queue, &worker))
            .await
    }

    async fn checkpoint(
        &self,
        lease: &Lease,
        checkpoint: &Checkpoint,
        events: &[NewEvent],
    ) -> Result<(), BrokerError> {
        let (lease, checkpoint, events) = (lease.clone(), checkpoint.clone(), events.to_vec());
        self.writer
            .run(move |write| checkpoint::checkpoint(write, &lease, &checkpoint, &events))
            .await
    }

    async fn emit(&self, lease: &Lease, events: &[NewEvent]) -> Result<(), BrokerError> {
        let (lease, events) = (lease.clone(), events.to_vec());
        self.writer
            .run(move |write| emit::emit(write, &lease, &events))
            .await
    }

    async fn spawn(&self, spawn: &Spawn) -> Result<(), BrokerError> {
        let spawn = spawn.clone();
        self.writer
            .run(move |write| spawn::spawn(write, &spawn))
            .await
    }

    async fn children(&self, id: &JobId) -> Result<Vec<Child>, BrokerError> {
        let (id, now) = (*id, self.clock.now());
        self.readers
            .run(move |conn| children::children(conn, &id, now))
            .await
    }

    async fn signal(
        &self,
        id: &JobId,
        name: &str,
        data: &Payload,
    ) -> Result<SignalReply, BrokerError> {
        let (id, name, data) = (*id, name.to_owned(), data.clone());
        self.writer
            .run(move |write| signal::signal(write, &id, &name, &data))
            .await
    }

    async fn settle(&self, settles: &[Settle]) -> Result<Vec<Settled>, BrokerError> {
        let settles = settles.to_vec();
        self.writer
            .run(move |write| settle::settle(write, &settles))
            .await
    }

    async fn cancel(&self, id: &JobId) -> Result<CancelReply, BrokerError> {
        let id = *id;
        self.writer
            .run(move |write| cancel::cancel(write, &id))
            .await
    }

    async fn redrive(&self, id: &JobId) -> Result<RedriveReply, BrokerError> {
        let id = *id;
        self.writer
            .run(move |write| redrive::redrive(write, &id))
            .await
    }

    async fn get(&self, id: &JobId) -> Result<Option<Job>, BrokerError> {
        let (id, now) = (*id, self.clock.now());
        self.readers
            .run(move |conn| query::get(conn, &id, now))
            .await
    }

    async fn checkpoints(&self, id: &JobId) -> Result<Vec<Checkpoint>, BrokerError> {
        let (id, now) = (*id, self.clock.now());
        self.readers
            .run(move |conn| checkpoint::checkpoints(conn, &id, now))
            .await
    }

    async fn list(&self, filter: &Filter, page: &Page) -> Result<JobPage, BrokerError> {
        let (filter, page, now) = (filter.clone(), page.clone(), self.clock.now());
        self.readers
            .run(move |conn| query::list(conn, &filter, &page, now))
            .await
    }

    async fn events(
        &self,
        id: &JobId,
        after: u64,
        limit: usize,
        wait: Duration,
    ) -> Result<Option<EventPage>, BrokerError> {
        events::events(self, id, after, limit, wait).await
    }

    async fn stats(&self) -> Result<Vec<QueueStats>, BrokerError> {
        self.readers.run(|conn| query::stats(conn)).await
    }

    async fn pause(&self, queue: &QueueName, paused: bool) -> Result<(), BrokerError> {
        let queue = queue.clone();
        self.writer
            .run(move |write| query::pause(write, &queue, paused))
            .await
    }

    async fn limit(&self, queue: &QueueName, limits: &QueueLimits) -> Result<(), BrokerError> {
        let (queue, limits) = (queue.clone(), limits.clone());
        self.writer
            .run(move |write| limit::limit(write, &queue, &limits))
            .await
    }

    async fn reclaim(&self) -> Result<Swept, BrokerError> {
        self.writer.run(reclaim::reclaim).await
    }

    async fn prune(&self) -> Result<usize, BrokerError> {
        prune::prune(&self.writer).await
    }

    async fn ping(&self) -> Result<(), BrokerError> {
        let file = self.file.clone();
        self.writer
            .run(move |write| query::ping(write, &file))
            .await
    }
}

#[async_trait]
impl Cache for SqliteBroker {
    async fn take(
        &self,
        key: &CacheKey,
        lease: Duration,
        wait: Duration,
    ) -> Result<Taken, BrokerError> {
        cache::take(self, key, lease, wait).await
    }

    async fn renew(&self, hold: &Hold, lease: Duration) -> Result<bool, BrokerError> {
        let hold = *hold;
        self.writer
            .run(move |write| cache::renew(write, &hold, lease))
            .await
    }

    async fn put(&self, hold: &Hold, value: &[u8], keep: Duration) -> Result<bool, BrokerError> {
        let (hold, value, bytes_max) = (*hold, value.to_vec(), self.cache_bytes_max);
        self.writer
            .run(move |write| cache::put(write, &hold, &value, keep, bytes_max))
            .await
    }

    async fn abandon(&self, hold: &Hold) -> Result<(), BrokerError> {
        let hold = *hold;
        self.writer
            .run(move |write| cache::abandon(write, &hold))
            .await
    }

    async fn forget(&self, key: &CacheKey) -> Result<(), BrokerError> {
        let key = *key;
        self.writer
            .run(move |write| cache::forget(write, &key))
            .await
    }

    async fn counts(&self) -> Result<CacheStats, BrokerError> {
        self.readers.run(|conn| cache::counts(conn)).await
    }
}

#[async_trait]
impl Limiter for SqliteBroker {
    async fn acquire(&self, ask: &Ask) -> Result<Admission, BrokerError> {
        let ask = ask.clone();
        self.writer
            .run(move |write| limiter::acquire(write, &ask))
            .await
    }

    async fn settle(&self, settle: &CallSettle) -> Result<(), BrokerError> {
        let settle = settle.clone();
        self.writer
            .run(move |write| limiter::settle(write, &settle))
            .await
    }

    async fn observe(&self, name: &LimitName, remaining: Remaining) -> Result<(), BrokerError> {
        let name = name.clone();
        self.writer
            .run(move |write| limiter::observe(write, &name, remaining))
            .await
    }

    async fn limits(&self) -> Result<Vec<Snapshot>, BrokerError> {
        let now = self.clock.now().as_millisecond();
        self.readers
            .run(move |conn| limiter::limits(conn, now))
            .await
    }

    async fn set_limits(&self, name: &LimitName, overrides: Limits) -> Result<bool, BrokerError> {
        let name = name.clone();
        self.writer
            .run(move |write| limiter::set_limits(write, &name, overrides))
            .await
    }
}
