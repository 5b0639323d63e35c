//! The outermost layer: whatever came of an attempt becomes a settled outcome.
//!
//! It sees what every other layer made of the attempt, panics included, and
//! holds the job's slot until the store has written the end.

use std::any::Any;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use apalis::prelude::Task;
use apalis_core::error::BoxDynError;
use lovage_core::attempt::JobError;
use lovage_core::broker::{Settle, Settled};
use lovage_core::lifecycle;
use lovage_core::outcome::Outcome;
use tower::{Layer, Service};

use crate::held::{Held, StopReason};
use crate::settle::Settler;
use crate::worker::Shared;

/// A handler's panic, as an error.
#[derive(Debug, thiserror::Error)]
#[error("the handler panicked: {0}")]
pub(crate) struct Panicked(String);

impl Panicked {
    pub(crate) fn of(payload: &Box<dyn Any + Send>) -> Self {
        let text = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        Self(text.unwrap_or_else(|| "no message".to_owned()))
    }
}

/// Settles every attempt.
#[derive(Clone)]
pub(crate) struct SettleLayer {
    shared: Arc<Shared>,
    settler: Settler,
}

impl SettleLayer {
    pub(crate) fn new(shared: Arc<Shared>, settler: Settler) -> Self {
        Self { shared, settler }
    }

    async fn settle(&self, held: &Held, ended: Result<Option<Outcome>, BoxDynError>) {
        let Some(outcome) = outcome(ended, held.reason()) else {
            return;
        };
        let mut job = held.claimed.job.clone();
        job.cancel_requested |= held.reason() == Some(StopReason::Cancelled);
        let next = lifecycle::settle(&job, &outcome, held.store_time(), rand::random());
        let settle = Settle {
            lease: held.claimed.lease.clone(),
            job,
            next,
        };
        match self.settler.settle(settle).await {
            Some(Settled::Done) => {}
            Some(Settled::Fenced) => {
                tracing::warn!(job = %held.claimed.job.id, "fenced: the job was taken over meanwhile");
            }
            None => self.shared.roster.give_up(&held.claimed.lease),
        }
    }
}

/// An error here is a panic: the executor makes an outcome of everything else.
fn outcome(
    ended: Result<Option<Outcome>, BoxDynError>,
    reason: Option<StopReason>,
) -> Option<Outcome> {
    match ended {
        Ok(outcome) => outcome,
        Err(_) if reason == Some(StopReason::Lost) => None,
        Err(error) => Some(Outcome::Retry {
            error: JobError::transient("panic", error.to_string()),
            after: None,
        }),
    }
}

/// Frees the slot however the attempt's task ends, by a panic of ours too.
struct InHand {
    shared: Arc<Shared>,
    held: Arc<Held>,
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.shared.roster.remove(&self.held);
    }
}

impl<S> Layer<S> for SettleLayer {
    type Service = SettleService<S>;

    fn layer(&self, inner: S) -> SettleService<S> {
        SettleService {
            inner,
            layer: self.clone(),
        }
    }
}

/// What [`SettleLayer`] makes of a service. Never fails: an error would end the apalis worker.
pub(crate) struct SettleService<S> {
    inner: S,
    layer: SettleLayer,
}

impl<S> Service<Task<Arc<Held>>> for SettleService<S>
where
    S: Service<Task<Arc<Held>>, Response = Option<Outcome>>,
    S::Error: Into<BoxDynError>,
    S::Future: Send + 'static,
{
    type Response = ();
    type Error = BoxDynError;
    type Future = Pin<Box<dyn Future<Output = Result<(), BoxDynError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxDynError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    /// Runs the attempt and its settle in a task of their own: apalis polls all
    /// its futures in one task and drops them when it restarts a worker, and
    /// then nobody would ever settle those jobs. The task ends with the worker.
    fn call(&mut self, task: Task<Arc<Held>>) -> Self::Future {
        let layer = self.layer.clone();
        let in_hand = InHand {
            shared: layer.shared.clone(),
            held: task.args.clone(),
        };
        let attempt = self.inner.call(task);
        let ended = layer.shared.ended.clone();
        let settled = ended.run_until_cancelled_owned(async move {
            let ended = attempt.await.map_err(Into::into);
            // Apart: an attempt may wait for hours, and need not hold the room to settle it.
            Box::pin(layer.settle(&in_hand.held, ended)).await;
        });
        let settled = tokio::spawn(settled);
        Box::pin(async move {
            if let Err(panic) = settled.await {
                tracing::error!(%panic, "an attempt could not be settled");
            }
            Ok(())
        })
    }
}
