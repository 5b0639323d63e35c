//! Events of work that cannot await, sent on in batches while it runs.

use std::sync::Mutex;
use std::time::Duration;

use lovage_workflow::{Context, Failure};
use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval};

/// Time between two batches: often enough to read along, seldom enough to be cheap.
pub(super) const BATCH: Duration = Duration::from_millis(100);
/// Events kept between two batches; further ones are dropped, as the result has them all.
const PENDING_MAX: usize = 1_000;

/// Collects events from callbacks.
pub(super) struct Relay {
    step: &'static str,
    pending: Mutex<Vec<(&'static str, Value)>>,
}

impl Relay {
    pub(super) fn new(step: &'static str) -> Self {
        Self {
            step,
            pending: Mutex::default(),
        }
    }

    /// Takes an event. Never blocks.
    pub(super) fn push(&self, kind: &'static str, data: Value) {
        let mut pending = self.pending.lock().expect("no panic while locked");
        if pending.len() < PENDING_MAX {
            pending.push((kind, data));
        }
    }

    /// Runs `work` to its end, sending on what it pushes.
    pub(super) async fn during<T>(
        &self,
        context: &Context,
        work: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        let mut work = std::pin::pin!(work);
        let mut tick = interval(BATCH);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tick.reset();
        loop {
            tokio::select! {
                biased;
                done = &mut work => {
                    self.send(context).await?;
                    return Ok(done);
                }
                _ = tick.tick() => self.send(context).await?,
            }
        }
    }

    async fn send(&self, context: &Context) -> Result<(), Failure> {
        let pending = std::mem::take(&mut *self.pending.lock().expect("no panic while locked"));
        context.emit_all(self.step, &pending).await
    }
}
