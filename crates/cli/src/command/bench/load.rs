//! Jobs that do next to nothing, how they get in, and who runs them.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use lovage_core::broker::Broker;
use lovage_core::clock::{Clock, SystemClock};
use lovage_core::id::{JobId, QueueName};
use lovage_core::job::NewJob;
use lovage_core::limits;
use lovage_core::payload::Payload;
use lovage_core::query::QueueStats;
use lovage_worker::{Worker, WorkerConfig, WorkerError};
use lovage_workflow::{Context, Failure, Handler, Handlers};
use tokio_util::sync::CancellationToken;

use super::store::{Store, failed};
use crate::command::worker;
use crate::compose;
use crate::exit::{self, Exit};

/// Size of a job's input in most measurements, in bytes.
pub(super) const INPUT_BYTES: usize = 1_000;
/// Size of a job's input where a million are kept, in bytes.
pub(super) const SMALL_BYTES: usize = 10;
/// Kind of the jobs that are done at once.
pub(super) const NOOP: &str = "bench.noop";
/// Kind of the jobs that wait until they are stopped.
pub(super) const WAIT: &str = "bench.wait";

/// Pause between two looks at the counts. They are looked at, not listened to:
/// a listener would be sent the id of every job, which is a load of its own.
const LOOK: Duration = Duration::from_millis(5);
/// A count that does not move for this long never will.
const STALL_MAX: Duration = Duration::from_secs(60);

/// Is done at once.
struct Noop;

#[async_trait]
impl Handler for Noop {
    async fn run(&self, context: Context) -> Result<Payload, Failure> {
        context.done(&true)
    }
}

/// Waits until it is stopped.
struct Waiting;

#[async_trait]
impl Handler for Waiting {
    async fn run(&self, context: Context) -> Result<Payload, Failure> {
        context.stop().cancelled().await;
        Err(Failure::Stopped)
    }
}

/// Runs both kinds.
pub(super) fn handlers() -> Handlers {
    Handlers::new().with(NOOP, Noop).with(WAIT, Waiting)
}

/// A job of kind `kind` with an input of `bytes` bytes, at least 2.
pub(super) fn job(kind: &str, bytes: usize) -> NewJob {
    let input = Payload::of(&"x".repeat(bytes - 2)).expect("a text has a JSON form");
    let kind = kind.parse().expect("the kind is valid");
    NewJob::new(JobId::at(SystemClock.now()), kind, input)
}

/// Stores `count` jobs that `make` makes.
pub(super) async fn fill(
    broker: &dyn Broker,
    count: usize,
    make: impl Fn() -> NewJob,
) -> Result<(), Exit> {
    let mut left = count;
    while left > 0 {
        let batch = left.min(limits::ENQUEUE_BATCH_MAX);
        let jobs = (0..batch).map(|_| make()).collect();
        broker.enqueue(jobs, false).await.map_err(failed)?;
        left -= batch;
    }
    Ok(())
}

/// Waits until `count` jobs have succeeded since the queue was made.
pub(super) async fn succeeded(broker: &dyn Broker, count: usize) -> Result<(), Exit> {
    counted(broker, count, |stats| stats.succeeded_total).await
}

/// Waits until `count` jobs run at once.
pub(super) async fn running(broker: &dyn Broker, count: usize) -> Result<(), Exit> {
    counted(broker, count, |stats| stats.running).await
}

/// Waits until the queue's count is there; not for one that does not move.
async fn counted(
    broker: &dyn Broker,
    count: usize,
    which: fn(&QueueStats) -> u64,
) -> Result<(), Exit> {
    let (mut last, mut moved) = (0, Instant::now());
    loop {
        let stats = broker.stats().await.map_err(failed)?;
        let stats = stats.iter().find(|one| one.queue == QueueName::default());
        let found = stats.map_or(0, which);
        if found >= count as u64 {
            return Ok(());
        }
        if found != last {
            (last, moved) = (found, Instant::now());
        }
        if moved.elapsed() > STALL_MAX {
            let what = format!("{found} of {count} jobs, and nothing moves any more");
            return Err(Exit::new(exit::ERROR, what));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// A worker of this process; ends when it is stopped.
pub(super) struct Running {
    stop: CancellationToken,
    worker: tokio::task::JoinHandle<Result<(), WorkerError>>,
}

impl Running {
    pub(super) fn start(broker: Store, handlers: Handlers, slots: usize) -> Self {
        let stop = CancellationToken::new();
        let config = WorkerConfig::new(vec![QueueName::default()], slots);
        let worker = Worker::new(broker, handlers, compose::clock(), config);
        let worker = tokio::spawn(worker.run(stop.clone().cancelled_owned()));
        Self { stop, worker }
    }

    pub(super) async fn stop(self) -> Result<(), Exit> {
        self.stop.cancel();
        worker::ended(self.worker.await)
    }
}
