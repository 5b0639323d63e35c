//! A worker process: its parts, their owner, and their end.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use lovage_core::broker::Broker;
use lovage_core::clock::Clock;
use lovage_core::error::BrokerError;
use lovage_core::id::{QueueName, WorkerId};
use lovage_workflow::Handlers;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::WorkerConfig;
use crate::execute::Executor;
use crate::health::Health;
use crate::held::{Held, Roster, StopReason};
use crate::settle::Settler;
use crate::{claim, heartbeat, host, settle, sweep};

/// Why a worker ended other than by request.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The store refused the worker at its start.
    #[error("the worker could not register")]
    Register(#[source] BrokerError),
    /// The apalis worker ended by itself.
    #[error("the apalis worker ended: {0}")]
    Host(String),
}

/// A worker: takes jobs from its queues and runs their handlers.
pub struct Worker {
    shared: Arc<Shared>,
    handlers: Handlers,
}

/// What the parts of a worker share.
pub(crate) struct Shared {
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) config: WorkerConfig,
    pub(crate) roster: Roster,
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) health: Health,
    /// Cancelled first: no more claims.
    pub(crate) draining: CancellationToken,
    /// Cancelled last: heartbeat, sweep and apalis end.
    pub(crate) ended: CancellationToken,
}

/// This worker's presence on one queue. Its id changes when its lease was lost.
pub(crate) struct Seat {
    pub(crate) queue: QueueName,
    id: RwLock<WorkerId>,
}

impl Seat {
    pub(crate) fn id(&self) -> WorkerId {
        *self.id.read().expect("no panic while locked")
    }
}

impl Worker {
    /// A worker that has not begun.
    pub fn new(
        broker: Arc<dyn Broker>,
        handlers: Handlers,
        clock: Arc<dyn Clock>,
        config: WorkerConfig,
    ) -> Self {
        let shared = Shared {
            slots: Arc::new(Semaphore::new(config.concurrency)),
            health: Health::new(clock.clone()),
            broker,
            clock,
            config,
            roster: Roster::default(),
            draining: CancellationToken::new(),
            ended: CancellationToken::new(),
        };
        Self {
            shared: Arc::new(shared),
            handlers,
        }
    }

    /// For readiness probes.
    pub fn health(&self) -> Health {
        self.shared.health.clone()
    }

    /// Runs until `shutdown`, then drains: no more claims, running jobs get the
    /// grace time, what is left is handed back without using an attempt.
    ///
    /// # Errors
    /// When the worker cannot register at its start, or apalis ends by itself.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), WorkerError> {
        let Self { shared, handlers } = self;
        let seats = register_all(&shared).await?;
        let (deliver, deliveries) = mpsc::channel(shared.config.concurrency);
        let (settler, settles) = Settler::new(&shared);
        let executor = Executor::new(shared.clone(), handlers);
        let mut claims = JoinSet::new();
        let mut upkeep = JoinSet::new();
        upkeep.spawn(settle::run(shared.clone(), settles));
        upkeep.spawn(sweep::run(shared.clone()));
        for seat in &seats {
            upkeep.spawn(heartbeat::run(shared.clone(), seat.clone()));
            claims.spawn(claim::run(shared.clone(), seat.clone(), deliver.clone()));
        }
        let host = tokio::spawn(host::run(shared.clone(), deliveries, executor, settler));
        let host_abort = AbortOnDrop(host.abort_handle());
        let ended = tokio::select! {
            () = shutdown => Ok(()),
            ended = host => Err(WorkerError::Host(format!("{ended:?}"))),
        };
        drain(&shared, &seats, &mut claims).await;
        shared.ended.cancel();
        upkeep.join_all().await;
        drop(host_abort);
        ended
    }
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn register_all(shared: &Shared) -> Result<Vec<Arc<Seat>>, WorkerError> {
    let mut seats = Vec::new();
    for queue in &shared.config.queues {
        let id = WorkerId::at(shared.clock.now());
        shared
            .broker
            .register(queue, &id)
            .await
            .map_err(WorkerError::Register)?;
        tracing::info!(%queue, worker = %id, slots = shared.config.concurrency, "worker registered");
        seats.push(Arc::new(Seat {
            queue: queue.clone(),
            id: RwLock::new(id),
        }));
    }
    Ok(seats)
}

/// How long a handed-back job may take to be written.
const HAND_BACK: Duration = Duration::from_secs(5);

async fn drain(shared: &Shared, seats: &[Arc<Seat>], claims: &mut JoinSet<()>) {
    shared.health.draining();
    shared.draining.cancel();
    while claims.join_next().await.is_some() {}
    let held = shared.roster.len();
    if held > 0 {
        tracing::info!(held, grace_s = shared.config.grace.as_secs(), "draining");
    }
    if tokio::time::timeout(shared.config.grace, shared.roster.empty())
        .await
        .is_err()
    {
        tracing::warn!(
            held = shared.roster.len(),
            "grace time is over: handing jobs back"
        );
        shared.roster.stop_all(StopReason::Shutdown);
        let _ =
            tokio::time::timeout(shared.config.stop_grace + HAND_BACK, shared.roster.empty()).await;
    }
    for seat in seats {
        if let Err(error) = shared.broker.deregister(&seat.queue, &seat.id()).await {
            tracing::warn!(queue = %seat.queue, %error, "could not deregister: the lease will run out");
        }
    }
}

/// Begins anew after the lease `lost` was swept: its jobs are stopped and
/// nothing is written about them; the next claim goes under a new id.
pub(crate) async fn rejoin(
    shared: &Shared,
    seat: &Seat,
    lost: WorkerId,
) -> Result<(), BrokerError> {
    if seat.id() != lost {
        return Ok(());
    }
    let stopped = shared.roster.stop_worker(&lost, StopReason::Lost);
    tracing::warn!(queue = %seat.queue, worker = %lost, stopped, "lease lost: registering anew");
    let id = WorkerId::at(shared.clock.now());
    shared.broker.register(&seat.queue, &id).await?;
    let mut current = seat.id.write().expect("no panic while locked");
    if *current == lost {
        *current = id;
    }
    Ok(())
}

/// Puts a claimed job into the worker's hands.
pub(crate) fn hold(
    shared: &Shared,
    claimed: lovage_core::broker::Claimed,
    slot: tokio::sync::OwnedSemaphorePermit,
) -> Arc<Held> {
    let held = Held::new(claimed, slot);
    shared.roster.add(&held);
    held
}
