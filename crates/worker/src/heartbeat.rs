//! Extends the lease; turns a lost or cancelled job into a signal.

use std::sync::Arc;

use lovage_core::error::BrokerError;
use tokio::time::{MissedTickBehavior, interval};

use crate::held::StopReason;
use crate::worker::{Seat, Shared, rejoin};

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
        match shared.broker.extend(&seat.queue, &worker).await {
            Ok(cancels) => {
                shared.health.extended();
                shared.roster.stop(&cancels, StopReason::Cancelled);
            }
            Err(BrokerError::WorkerUnknown) if shared.draining.is_cancelled() => {
                shared.roster.stop_worker(&worker, StopReason::Lost);
            }
            Err(BrokerError::WorkerUnknown) => {
                if let Err(error) = rejoin(&shared, &seat, worker).await {
                    tracing::warn!(queue = %seat.queue, %error, "cannot register anew; trying again");
                }
            }
            Err(error) => {
                tracing::warn!(queue = %seat.queue, %error, "cannot extend the lease; trying again")
            }
        }
    }
}
