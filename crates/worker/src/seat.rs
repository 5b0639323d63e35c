//! This worker's presence on one queue.

use std::sync::{Arc, Mutex};

use lovage_core::error::BrokerError;
use lovage_core::id::{QueueName, WorkerId};

use crate::held::StopReason;
use crate::worker::Shared;

/// A registration on one queue. Its id changes when its lease was lost.
pub(crate) struct Seat {
    pub(crate) queue: QueueName,
    /// Its place among the worker's seats.
    pub(crate) index: usize,
    id: Mutex<WorkerId>,
    rejoining: tokio::sync::Mutex<()>,
}

impl Seat {
    /// Registers on every queue of the worker.
    pub(crate) async fn take_all(shared: &Shared) -> Result<Vec<Arc<Self>>, BrokerError> {
        let mut seats = Vec::new();
        for (index, queue) in shared.config.queues.iter().enumerate() {
            let id = register(shared, queue).await?;
            tracing::info!(%queue, worker = %id, slots = shared.config.concurrency, "worker registered");
            seats.push(Arc::new(Self {
                queue: queue.clone(),
                index,
                id: Mutex::new(id),
                rejoining: tokio::sync::Mutex::new(()),
            }));
        }
        Ok(seats)
    }

    pub(crate) fn id(&self) -> WorkerId {
        *self.id.lock().expect("no panic while locked")
    }

    /// Begins anew after the lease of `lost` was swept: its jobs are stopped and
    /// nothing is written about them; the next claim goes under a new id.
    ///
    /// Claims and heartbeats both find out; the second one to come finds it done.
    pub(crate) async fn rejoin(&self, shared: &Shared, lost: WorkerId) -> Result<(), BrokerError> {
        let _turn = self.rejoining.lock().await;
        if self.id() != lost {
            return Ok(());
        }
        let stopped = shared.roster.stop_worker(&lost, StopReason::Lost);
        tracing::warn!(queue = %self.queue, worker = %lost, stopped, "lease lost: registering anew");
        let id = register(shared, &self.queue).await?;
        *self.id.lock().expect("no panic while locked") = id;
        // What still waits under the old id in the store or its driver goes with it.
        if let Err(error) = shared.broker.deregister(&self.queue, &lost).await {
            tracing::debug!(queue = %self.queue, %error, "the lost id is left to the sweep");
        }
        // A claim under the old id may have been answered since. One that is
        // answered later sees the new id.
        shared.roster.stop_worker(&lost, StopReason::Lost);
        Ok(())
    }
}

async fn register(shared: &Shared, queue: &QueueName) -> Result<WorkerId, BrokerError> {
    let id = WorkerId::at(shared.clock.now());
    shared.broker.register(queue, &id).await?;
    Ok(id)
}
