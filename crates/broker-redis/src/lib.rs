//! The queue engine on Redis.
//!
//! Every change of a job is one Lua script (`lua/*.lua`), so each is atomic, and
//! each is written so that sending it again after a lost answer changes nothing more.
//! All keys of a queue share one hash tag; `keys` names them all.
//!
//! A job's record is the value of one key; while it runs, the hash of tokens
//! says who holds it; once it is final and its time is over, any sweep forgets it.

mod config;
mod connect;
mod error;
mod keys;
mod link;
mod news;
mod ops;
mod probe;
mod script;
mod time;
mod wake;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lovage_core::broker::{
    Broker, CancelReply, Claim, Claimed, Claims, Enqueued, RedriveReply, Settle, Settled,
    SignalReply, Spawn, Swept, Wake,
};
use lovage_core::cache::{Cache, CacheKey, CacheStats, Hold, Taken};
use lovage_core::checkpoint::Checkpoint;
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

pub use crate::config::{RedisConfig, Tls};
use crate::connect::Store;
pub use crate::link::is_address;
use crate::news::News;
pub use crate::probe::Probe;
use crate::wake::Listeners;

/// A store of jobs in one Redis server, in the master that Sentinel names, or in
/// a Redis Cluster.
///
/// It reconnects by itself and follows a failover: calls fail with
/// [`BrokerError::Unavailable`] while a server is away and succeed once it is
/// back or replaced.
#[derive(Debug)]
pub struct RedisBroker {
    store: Arc<Store>,
    listeners: Listeners,
    news: News<JobId>,
    cache_news: News<String>,
}

impl RedisBroker {
    /// Connects, and checks that the servers keep jobs: Redis 7 or later (or
    /// Valkey), not replicas, and set up not to evict keys.
    ///
    /// TLS needs a rustls crypto provider: the calling program installs one, such
    /// as `rustls::crypto::ring`.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`] when it cannot be reached,
    /// [`BrokerError::ReadOnly`] for a replica, [`BrokerError::Unfit`] with what
    /// to set otherwise.
    pub async fn connect(config: RedisConfig) -> Result<Self, BrokerError> {
        let store = Arc::new(Store::connect(config).await?);
        Ok(Self {
            listeners: Listeners::default(),
            news: News::default(),
            cache_news: News::default(),
            store,
        })
    }

    /// Passes an answer on; a worker that has no lease any more is not listened for.
    fn told<T>(
        &self,
        queue: &QueueName,
        worker: &WorkerId,
        answer: Result<T, BrokerError>,
    ) -> Result<T, BrokerError> {
        if matches!(answer, Err(BrokerError::WorkerUnknown)) {
            self.listeners.forget(queue, worker);
        }
        answer
    }
}

#[async_trait]
impl Broker for RedisBroker {
    fn name(&self) -> &'static str {
        "redis"
    }

    async fn enqueue(&self, jobs: Vec<NewJob>, atomic: bool) -> Result<Vec<Enqueued>, BrokerError> {
        self.store.enqueue(&jobs, atomic).await
    }

    async fn register(&self, queue: &QueueName, worker: &WorkerId) -> Result<(), BrokerError> {
        self.store.register(queue, worker).await
    }

    async fn deregister(&self, queue: &QueueName, worker: &WorkerId) -> Result<(), BrokerError> {
        self.listeners.forget(queue, worker);
        self.store.deregister(queue, worker).await
    }

    async fn claim(&self, ask: &Claim) -> Result<Claims, BrokerError> {
        let claims = self.store.claim(ask).await;
        self.told(&ask.queue, &ask.worker, claims)
    }

    async fn held(
        &self,
        queue: &QueueName,
        worker: &WorkerId,
    ) -> Result<Vec<Claimed>, BrokerError> {
        let held = self.store.held(queue, worker).await;
        self.told(queue, worker, held)
    }

    async fn wake(
        &self,
        queue: &QueueName,
        worker: &WorkerId,
        work: bool,
        timeout: Duration,
    ) -> Result<Wake, BrokerError> {
        Ok(self
            .listeners
            .wake(&self.store, queue, worker, work, timeout)
            .await)
    }

    async fn extend(
        &self,
        queue: &QueueName,
        worker: &WorkerId,
    ) -> Result<Vec<JobId>, BrokerError> {
        let stop = self.store.extend(queue, worker).await;
        self.told(queue, worker, stop)
    }

    async fn checkpoint(
        &self,
        lease: &Lease,
        checkpoint: &Checkpoint,
        events: &[NewEvent],
    ) -> Result<(), BrokerError> {
        self.store.checkpoint(lease, checkpoint, events).await
    }

    async fn emit(&self, lease: &Lease, events: &[NewEvent]) -> Result<(), BrokerError> {
        self.store.emit(lease, events).await
    }

    async fn spawn(&self, spawn: &Spawn) -> Result<(), BrokerError> {
        self.store.spawn(spawn).await
    }

    async fn children(&self, id: &JobId) -> Result<Vec<Child>, BrokerError> {
        self.store.children(id).await
    }

    async fn signal(
        &self,
        id: &JobId,
        name: &str,
        data: &Payload,
    ) -> Result<SignalReply, BrokerError> {
        self.store.signal(id, name, data).await
    }

    async fn settle(&self, settles: &[Settle]) -> Result<Vec<Settled>, BrokerError> {
        self.store.settle(settles).await
    }

    async fn cancel(&self, id: &JobId) -> Result<CancelReply, BrokerError> {
        self.store.cancel(id).await
    }

    async fn redrive(&self, id: &JobId) -> Result<RedriveReply, BrokerError> {
        self.store.redrive(id).await
    }

    async fn get(&self, id: &JobId) -> Result<Option<Job>, BrokerError> {
        self.store.get(id).await
    }

    async fn checkpoints(&self, id: &JobId) -> Result<Vec<Checkpoint>, BrokerError> {
        self.store.checkpoints(id).await
    }

    async fn list(&self, filter: &Filter, page: &Page) -> Result<JobPage, BrokerError> {
        self.store.list(filter, page).await
    }

    async fn events(
        &self,
        id: &JobId,
        after: u64,
        limit: usize,
        wait: Duration,
    ) -> Result<Option<EventPage>, BrokerError> {
        self.store.events(&self.news, id, after, limit, wait).await
    }

    async fn stats(&self) -> Result<Vec<QueueStats>, BrokerError> {
        self.store.stats().await
    }

    async fn pause(&self, queue: &QueueName, paused: bool) -> Result<(), BrokerError> {
        self.store.pause(queue, paused).await
    }

    async fn limit(&self, queue: &QueueName, limits: &QueueLimits) -> Result<(), BrokerError> {
        self.store.limit(queue, limits).await
    }

    async fn reclaim(&self) -> Result<Swept, BrokerError> {
        self.store.reclaim().await
    }

    async fn prune(&self) -> Result<usize, BrokerError> {
        self.store.prune().await
    }

    async fn ping(&self) -> Result<(), BrokerError> {
        self.store.ping().await
    }
}

#[async_trait]
impl Cache for RedisBroker {
    async fn take(
        &self,
        key: &CacheKey,
        lease: Duration,
        wait: Duration,
    ) -> Result<Taken, BrokerError> {
        self.store.take(&self.cache_news, key, lease, wait).await
    }

    async fn renew(&self, hold: &Hold, lease: Duration) -> Result<bool, BrokerError> {
        self.store.renew(hold, lease).await
    }

    async fn put(&self, hold: &Hold, value: &[u8], keep: Duration) -> Result<bool, BrokerError> {
        self.store.put(hold, value, keep).await
    }

    async fn abandon(&self, hold: &Hold) -> Result<(), BrokerError> {
        self.store.abandon(hold).await
    }

    async fn forget(&self, key: &CacheKey) -> Result<(), BrokerError> {
        self.store.forget(key).await
    }

    async fn counts(&self) -> Result<CacheStats, BrokerError> {
        self.store.counts().await
    }
}

#[async_trait]
impl Limiter for RedisBroker {
    async fn acquire(&self, ask: &Ask) -> Result<Admission, BrokerError> {
        self.store.admit(ask).await
    }

    async fn settle(&self, settle: &CallSettle) -> Result<(), BrokerError> {
        self.store.settle_call(settle).await
    }

    async fn observe(&self, name: &LimitName, remaining: Remaining) -> Result<(), BrokerError> {
        self.store.observe(name, remaining).await
    }

    async fn limits(&self) -> Result<Vec<Snapshot>, BrokerError> {
        self.store.limits().await
    }

    async fn set_limits(&self, name: &LimitName, overrides: Limits) -> Result<bool, BrokerError> {
        self.store.set_limits(name, &overrides).await
    }
}
