//! Extends the lease; turns a lost or cancelled job into a signal.

use std::sync::Arc;
use std::time::Duration;

use lovage_core::error::BrokerError;
use lovage_core::id::WorkerId;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::held::StopReason;
use crate::seat::Seat;
use crate::worker::Shared;

/// Longest wait for one answer: a lease has room for several tries.
const EXTEND_MAX: Duration = Duration::from_secs(2);

/// Extends until the worker has ended, also while it drains.
pub(crate) async fn run(shared: Arc<Shared>, seat: Arc<Seat>) {
    let mut beat = interval(shared.config.heartbeat);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shared.ended.cancelled() => return,
            _ = beat.tick() => {}
        }
        let worker = seat.id();
        let extending = shared.broker.extend(&seat.queue, &worker);
        let Ok(extended) = timeout(EXTEND_MAX, extending).await else {
            tracing::warn!(queue = %seat.queue, "the lease is not extended in time; trying again");
            continue;
        };
        match extended {
            Ok(cancels) => {
                shared.health.extended(&seat);
                shared.roster.stop(&cancels, StopReason::Cancelled);
            }
            Err(BrokerError::WorkerUnknown) => lost(&shared, &seat, worker).await,
            Err(error) => {
                tracing::warn!(queue = %seat.queue, %error, "cannot extend the lease; trying again");
            }
        }
    }
}

/// The lease is gone. A worker that drains claims nothing more, so it does not begin anew.
async fn lost(shared: &Shared, seat: &Seat, worker: WorkerId) {
    if shared.draining.is_cancelled() {
        shared.roster.stop_worker(&worker, StopReason::Lost);
    } else if let Err(error) = seat.rejoin(shared, worker).await {
        tracing::warn!(queue = %seat.queue, %error, "cannot register anew; trying again");
    }
}
