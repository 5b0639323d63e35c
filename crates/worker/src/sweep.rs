//! Takes jobs from workers that died, and forgets jobs past their time.

use std::sync::Arc;

use tokio::time::{MissedTickBehavior, interval};

use crate::worker::Shared;

/// Sweeps until the worker has ended.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut tick = interval(shared.config.sweep);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shared.ended.cancelled() => return,
            _ = tick.tick() => {}
        }
        match shared.broker.reclaim().await {
            Ok(swept) => {
                for (job, status) in swept.reclaimed {
                    tracing::warn!(%job, now = %status, "reclaimed from a worker whose lease ran out");
                }
                for job in swept.cancelled {
                    tracing::warn!(%job, "cancelled: it did not stop within a lease");
                }
                for job in swept.orphans {
                    tracing::error!(%job, "was running, but its record is gone");
                }
            }
            Err(error) => tracing::warn!(%error, "cannot sweep; trying again"),
        }
        if let Err(error) = shared.broker.prune().await {
            tracing::warn!(%error, "cannot prune; trying again");
        }
    }
}
