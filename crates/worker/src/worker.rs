//! A worker process: its parts, their owner, and their end.

use std::sync::Arc;

use lovage_core::broker::Broker;
use lovage_core::clock::Clock;
use lovage_core::error::BrokerError;
use lovage_workflow::Handlers;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::claim::Claimer;
use crate::config::WorkerConfig;
use crate::execute::Executor;
use crate::health::Health;
use crate::held::Roster;
use crate::seat::Seat;
use crate::settle::Settler;
use crate::{drain, heartbeat, host, settle, sweep};

/// Why a worker ended other than by request.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The store refused the worker at its start.
    #[error("the worker could not register")]
    Register(#[source] BrokerError),
    /// A part that runs as long as the worker ended by itself; says which, or how.
    #[error("a part of the worker ended by itself: {0}")]
    Broken(String),
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
    /// Cancelled last: heartbeat, sweep, apalis and what is left of attempts end.
    pub(crate) ended: CancellationToken,
}

/// Tasks that end when they are told to, and give their name.
type Parts = JoinSet<&'static str>;

impl Worker {
    /// A worker that has not begun.
    pub fn new(
        broker: Arc<dyn Broker>,
        handlers: Handlers,
        clock: Arc<dyn Clock>,
        mut config: WorkerConfig,
    ) -> Self {
        config.concurrency = config.concurrency.max(1);
        let shared = Shared {
            slots: Arc::new(Semaphore::new(config.concurrency)),
            health: Health::new(clock.clone(), config.queues.len()),
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
    /// A store that does not answer is waited for. Dropped half-way, it stops
    /// all it began, and its jobs are reclaimed once its lease has run out. A
    /// blocking handler that does not return keeps its thread in any case.
    ///
    /// # Errors
    /// When the worker cannot register at its start, or a part of it ends by itself.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), WorkerError> {
        let Self { shared, handlers } = self;
        let _stop_attempts = shared.ended.clone().drop_guard();
        let seats = Seat::take_all(&shared)
            .await
            .map_err(WorkerError::Register)?;
        let (mut claims, mut upkeep) = start(&shared, handlers, &seats);
        let ended = tokio::select! {
            () = shutdown => Ok(()),
            Some(part) = claims.join_next() => Err(broken(part)),
            Some(part) = upkeep.join_next() => Err(broken(part)),
        };
        drain::run(&shared, &seats, claims).await;
        shared.ended.cancel();
        drain::join(upkeep).await;
        ended
    }
}

/// Starts all parts: those that claim, and those that outlive them.
fn start(shared: &Arc<Shared>, handlers: Handlers, seats: &[Arc<Seat>]) -> (Parts, Parts) {
    let (mut claims, mut upkeep) = (Parts::new(), Parts::new());
    let (deliver, deliveries) = mpsc::channel(shared.config.concurrency);
    let (settler, endings) = Settler::new(shared);
    let executor = Executor::new(shared.clone(), handlers);
    let host = host::run(shared.clone(), deliveries, executor, settler);
    spawn(&mut upkeep, "host", host);
    spawn(&mut upkeep, "settle", settle::run(shared.clone(), endings));
    spawn(&mut upkeep, "sweep", sweep::run(shared.clone()));
    for seat in seats {
        let heartbeat = heartbeat::run(shared.clone(), seat.clone());
        spawn(&mut upkeep, "heartbeat", heartbeat);
        let claimer = Claimer::new(shared.clone(), seat.clone(), deliver.clone());
        spawn(&mut claims, "claim", claimer.run());
    }
    (claims, upkeep)
}

fn spawn(parts: &mut Parts, name: &'static str, part: impl Future<Output = ()> + Send + 'static) {
    parts.spawn(async move {
        part.await;
        name
    });
}

fn broken(part: Result<&'static str, JoinError>) -> WorkerError {
    WorkerError::Broken(match part {
        Ok(name) => name.to_owned(),
        Err(panic) => panic.to_string(),
    })
}
