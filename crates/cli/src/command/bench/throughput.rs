//! Jobs per second: in, and through.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use lovage_core::broker::Broker;
use lovage_core::id::JobId;
use lovage_core::job::NewJob;
use lovage_core::payload::Payload;
use lovage_workflow::{Context, Failure, Handler, Handlers};
use tokio::sync::Notify;

use super::{INPUT_BYTES, Running, failed, per_second};
use crate::compose;
use crate::exit::Exit;

/// Jobs of one enqueue call.
const BATCH: usize = 100;
/// Jobs enqueued one at a time.
pub(super) const SINGLES: usize = 2_000;
/// Kind of the jobs that do nothing.
pub(super) const NOOP: &str = "bench.noop";

/// A job of kind `kind` with an input of the usual size.
pub(super) fn job(kind: &str) -> NewJob {
    let input = Payload::of(&"x".repeat(INPUT_BYTES - 2)).expect("a text has a JSON form");
    NewJob::new(
        JobId::at(compose::clock().now()),
        kind.parse().expect("the kind is valid"),
        input,
    )
}

/// Enqueues `jobs` in batches; jobs per second.
pub(super) async fn enqueue(broker: &dyn Broker, jobs: usize) -> Result<f64, Exit> {
    let batches: Vec<Vec<NewJob>> = (0..jobs)
        .step_by(BATCH)
        .map(|begin| {
            (begin..(begin + BATCH).min(jobs))
                .map(|_| job(NOOP))
                .collect()
        })
        .collect();
    let begun = Instant::now();
    for batch in batches {
        broker.enqueue(batch, false).await.map_err(failed)?;
    }
    Ok(per_second(jobs, begun.elapsed()))
}

/// Enqueues one job after the other; jobs per second.
pub(super) async fn enqueue_single(broker: &dyn Broker) -> Result<f64, Exit> {
    let begun = Instant::now();
    for _ in 0..SINGLES {
        broker
            .enqueue(vec![job(NOOP)], false)
            .await
            .map_err(failed)?;
    }
    Ok(per_second(SINGLES, begun.elapsed()))
}

struct Noop {
    left: AtomicUsize,
    done: Notify,
}

struct NoopHandler(Arc<Noop>);

#[async_trait]
impl Handler for NoopHandler {
    async fn run(&self, context: Context) -> Result<Payload, Failure> {
        if self.0.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.done.notify_one();
        }
        context.done(&true)
    }
}

/// Runs the `jobs` that wait, results stored; jobs per second.
pub(super) async fn drain(broker: Arc<dyn Broker>, jobs: usize, slots: usize) -> Result<f64, Exit> {
    let before = succeeded(broker.as_ref()).await?;
    let noop = Arc::new(Noop {
        left: AtomicUsize::new(jobs),
        done: Notify::new(),
    });
    let begun = Instant::now();
    let handlers = Handlers::new().with(NOOP, NoopHandler(noop.clone()));
    let running = Running::start(broker.clone(), handlers, slots);
    noop.done.notified().await;
    while succeeded(broker.as_ref()).await? < before + jobs as u64 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let elapsed = begun.elapsed();
    running.stop().await?;
    Ok(per_second(jobs, elapsed))
}

async fn succeeded(broker: &dyn Broker) -> Result<u64, Exit> {
    Ok(broker
        .stats()
        .await
        .map_err(failed)?
        .iter()
        .map(|queue| queue.succeeded_total)
        .sum())
}
