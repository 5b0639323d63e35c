//! Claimed jobs as an apalis backend, run by an apalis worker under a monitor.
//!
//! The backend never claims: `claim` does, for free slots only, and sends what
//! it got through a channel. So nothing here can fail, wait on a socket, or
//! take a job that no slot is free for (apalis prefetches otherwise).

use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use apalis::layers::catch_panic::CatchPanicLayer;
use apalis::prelude::{
    Data, Monitor, Task, TaskBuilder, WorkerBuilder, WorkerContext, WorkerError,
};
use apalis_core::backend::finalize::Ephemeral;
use apalis_core::backend::{Backend, BackendConfig};
use apalis_core::error::BoxDynError;
use lovage_core::outcome::Outcome;
use tokio::sync::mpsc;

use crate::execute::Executor;
use crate::held::Held;
use crate::layers::{Panicked, SettleLayer};
use crate::settle::Settler;
use crate::worker::Shared;

/// The channel of claimed jobs; shared, since a restarted apalis worker gets a new backend.
type Deliveries = Arc<Mutex<mpsc::Receiver<Arc<Held>>>>;

struct Host {
    deliveries: Deliveries,
    settle: SettleLayer,
}

impl Backend for Host {
    type Task = Task<Arc<Held>>;
    type Error = io::Error;

    fn poll_ready(
        &mut self,
        _: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Option<Result<Self::Task, io::Error>>> {
        let mut deliveries = self.deliveries.lock().expect("no panic while locked");
        match deliveries.poll_recv(cx) {
            Poll::Ready(Some(held)) => Poll::Ready(Some(Ok(TaskBuilder::new(held).build()))),
            // A closed channel means that the worker ends; `None` would park apalis for ever.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    fn poll_close(
        &mut self,
        _: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }
}

impl BackendConfig for Host {
    type Args = Arc<Held>;
    type Id = uuid::Uuid;
    type Kind = Ephemeral;
    type Config = ();
    type Layer = SettleLayer;

    fn config(&self) -> &() {
        &()
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> SettleLayer {
        self.settle.clone()
    }
}

async fn run_attempt(
    held: Arc<Held>,
    executor: Data<Arc<Executor>>,
) -> Result<Option<Outcome>, BoxDynError> {
    Ok(executor.execute(held).await)
}

/// Runs delivered jobs until the worker has ended, or apalis has by itself.
pub(crate) async fn run(
    shared: Arc<Shared>,
    deliveries: mpsc::Receiver<Arc<Held>>,
    executor: Arc<Executor>,
    settler: Settler,
) {
    let ended = shared.ended.clone();
    let monitor = monitor(shared, deliveries, executor, settler);
    let context = monitor.context();
    // Not `run_with_signal`: it waits for the signal even when no worker is left.
    let mut running = pin!(monitor.run());
    let result = tokio::select! {
        result = &mut running => result,
        () = ended.cancelled() => {
            if let Err(error) = context.shutdown() {
                tracing::warn!(%error, "cannot tell apalis to stop: dropping it");
                return;
            }
            running.await
        }
    };
    if let Err(error) = result {
        tracing::error!(%error, "apalis ended with an error");
    }
}

/// One apalis worker, begun anew should it ever panic.
///
/// There is no `parallelize` layer: [`SettleLayer`] gives every attempt its task.
fn monitor(
    shared: Arc<Shared>,
    deliveries: mpsc::Receiver<Arc<Held>>,
    executor: Arc<Executor>,
    settler: Settler,
) -> Monitor {
    let deliveries: Deliveries = Arc::new(Mutex::new(deliveries));
    Monitor::new()
        .should_restart(|_, error| matches!(error, WorkerError::PanicError(_)))
        .register(move |starts| {
            let settle = SettleLayer::new(shared.clone(), settler.clone());
            WorkerBuilder::new(format!("lovage-{starts}"))
                .backend(Host {
                    deliveries: deliveries.clone(),
                    settle,
                })
                .layer(CatchPanicLayer::with_panic_handler(Panicked::of))
                .data(executor.clone())
                .build(run_attempt)
        })
}
