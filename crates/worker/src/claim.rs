//! Takes free slots first, then jobs for them: nothing waits behind a running job.

use std::sync::Arc;
use std::time::Duration;

use lovage_core::broker::{Claim, Claimed, Wake};
use lovage_core::error::BrokerError;
use lovage_core::id::WorkerId;
use lovage_core::limits;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::held::{Held, StopReason};
use crate::pause::Pauses;
use crate::worker::{Seat, Shared, hold, rejoin};

/// Claims until the worker drains. Never ends by an error: it tries again.
pub(crate) async fn run(shared: Arc<Shared>, seat: Arc<Seat>, deliver: mpsc::Sender<Arc<Held>>) {
    let mut pauses = Pauses::new();
    while let Some(slots) = free_slots(&shared, &seat).await {
        match round(&shared, &seat, &deliver, slots).await {
            Ok(()) => pauses = Pauses::new(),
            Err(error) => {
                tracing::warn!(queue = %seat.queue, %error, "cannot claim; trying again");
                pauses.wait(&shared.draining).await;
            }
        }
    }
}

/// Waits for at least one free slot and takes all that are free; meanwhile
/// hears of cancels. Nothing when the worker drains.
async fn free_slots(shared: &Shared, seat: &Seat) -> Option<Vec<OwnedSemaphorePermit>> {
    let first = loop {
        if shared.draining.is_cancelled() {
            return None;
        }
        if let Ok(slot) = shared.slots.clone().try_acquire_owned() {
            break slot;
        }
        tokio::select! {
            biased;
            () = shared.draining.cancelled() => return None,
            slot = shared.slots.clone().acquire_owned() => break slot.ok()?,
            () = listen(shared, seat, false, limits::WAKE_FALLBACK) => {}
        }
    };
    let more = std::iter::from_fn(|| shared.slots.clone().try_acquire_owned().ok());
    Some(
        std::iter::once(first)
            .chain(more.take(limits::BATCH_MAX - 1))
            .collect(),
    )
}

/// One claim; when it gives nothing, a wait until there may be something.
async fn round(
    shared: &Shared,
    seat: &Seat,
    deliver: &mpsc::Sender<Arc<Held>>,
    slots: Vec<OwnedSemaphorePermit>,
) -> Result<(), BrokerError> {
    let worker = seat.id();
    let ask = Claim {
        worker,
        queue: seat.queue.clone(),
        want: slots.len(),
    };
    match shared.broker.claim(&ask).await {
        Ok(claims) => {
            shared.health.claimed();
            let none = claims.claimed.is_empty();
            hand_over(shared, deliver, claims.claimed, slots).await;
            if none {
                let wait = claims
                    .next_due
                    .map_or(limits::WAKE_FALLBACK, |due| due.min(limits::WAKE_FALLBACK));
                tokio::select! {
                    () = shared.draining.cancelled() => {}
                    () = listen(shared, seat, true, wait) => {}
                }
            }
            Ok(())
        }
        Err(BrokerError::WorkerUnknown) => rejoin(shared, seat, worker).await,
        Err(error) => {
            adopt(shared, seat, deliver, worker, slots).await?;
            Err(error)
        }
    }
}

/// A claim whose answer was lost may have given jobs that nobody would ever
/// run while this worker extends its lease: ask for them, run them.
async fn adopt(
    shared: &Shared,
    seat: &Seat,
    deliver: &mpsc::Sender<Arc<Held>>,
    worker: WorkerId,
    slots: Vec<OwnedSemaphorePermit>,
) -> Result<(), BrokerError> {
    let mut pauses = Pauses::new();
    loop {
        match shared.broker.held(&seat.queue, &worker).await {
            Ok(held) => {
                let unknown: Vec<_> = held
                    .into_iter()
                    .filter(|claimed| !shared.roster.has(claimed))
                    .collect();
                if !unknown.is_empty() {
                    tracing::info!(queue = %seat.queue, jobs = unknown.len(), "adopting jobs of a lost answer");
                }
                hand_over(shared, deliver, unknown, slots).await;
                return Ok(());
            }
            Err(BrokerError::WorkerUnknown) => return rejoin(shared, seat, worker).await,
            Err(error) => {
                if pauses.wait(&shared.draining).await {
                    return Err(error);
                }
            }
        }
    }
}

async fn hand_over(
    shared: &Shared,
    deliver: &mpsc::Sender<Arc<Held>>,
    claimed: Vec<Claimed>,
    slots: Vec<OwnedSemaphorePermit>,
) {
    for (claimed, slot) in claimed.into_iter().zip(slots) {
        let held = hold(shared, claimed, slot);
        // The channel has room for every slot; it is closed only after the last claim.
        if let Err(unsent) = deliver.send(held).await {
            shared.roster.remove(&unsent.0);
        }
    }
}

/// Waits for work or for `wait`; passes on cancels.
async fn listen(shared: &Shared, seat: &Seat, work: bool, wait: Duration) {
    match shared
        .broker
        .wake(&seat.queue, &seat.id(), work, wait)
        .await
    {
        Ok(Wake::Cancel(ids)) => shared.roster.stop(&ids, StopReason::Cancelled),
        Ok(Wake::Work | Wake::Timeout) => {}
        Err(error) => {
            tracing::debug!(queue = %seat.queue, %error, "cannot wait for work; trying again");
            let _ = tokio::time::timeout(wait, shared.draining.cancelled()).await;
        }
    }
}
