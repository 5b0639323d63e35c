//! Takes jobs from workers that died, and forgets jobs past their time.

use std::sync::Arc;

use lovage_core::broker::Swept;
use lovage_core::clock;
use lovage_core::error::BrokerError;
use lovage_core::limits;
use tokio::time::{MissedTickBehavior, interval};

use crate::worker::Shared;

/// A turn that is later than this many was not late by chance.
const SLEPT_TURNS: u32 = 3;

/// Sweeps until the worker has ended.
///
/// After an outage, or when this machine slept or its clock jumped, it waits one
/// turn more: every worker missed its heartbeats, and a sweep that came before
/// the first of them would take jobs from the living.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut was_out = false;
    let mut last = shared.clock.now();
    let mut tick = interval(shared.config.sweep);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shared.ended.cancelled() => return,
            _ = tick.tick() => {}
        }
        let now = shared.clock.now();
        let slept = clock::after(last, SLEPT_TURNS * shared.config.sweep) < now;
        last = now;
        let swept = if was_out || slept {
            shared.broker.ping().await
        } else {
            sweep(&shared).await
        };
        was_out = swept.is_err();
        if let Err(error) = swept {
            tracing::warn!(%error, "cannot sweep; trying again");
        }
    }
}

async fn sweep(shared: &Shared) -> Result<(), BrokerError> {
    while !shared.ended.is_cancelled() {
        let swept = shared.broker.reclaim().await?;
        log(&swept);
        // A full bite means that there may be more.
        let taken = swept.reclaimed.len() + swept.cancelled.len();
        if taken < limits::BATCH_MAX && swept.expired.len() < limits::EXPIRED_JOBS_MAX {
            break;
        }
    }
    shared.broker.prune().await.map(drop)
}

fn log(swept: &Swept) {
    for (job, status) in &swept.reclaimed {
        tracing::warn!(%job, now = %status, "reclaimed from a worker whose lease ran out");
    }
    for job in &swept.cancelled {
        tracing::warn!(%job, "cancelled: it did not stop within a lease");
    }
    for job in &swept.expired {
        tracing::info!(%job, "ended: it was not started in time");
    }
    for job in &swept.orphans {
        tracing::error!(%job, "was running, but its record is gone");
    }
}
