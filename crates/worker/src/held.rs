//! The jobs this worker holds right now.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use lovage_core::broker::Claimed;
use lovage_core::id::{JobId, WorkerId};
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio_util::sync::CancellationToken;

/// Why a running attempt is told to stop. Of several reasons the last in this order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StopReason {
    /// The worker stops: the job is handed back.
    Shutdown,
    /// Someone asked for it.
    Cancelled,
    /// The lease is gone: nothing may be written.
    Lost,
}

/// One job in this worker's hands, from claim to settle.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) claimed: Claimed,
    stop: CancellationToken,
    reason: Mutex<Option<StopReason>>,
    /// The slot; given back by dropping the last clone of this job.
    _slot: OwnedSemaphorePermit,
}

impl Held {
    pub(crate) fn new(claimed: Claimed, slot: OwnedSemaphorePermit) -> Arc<Self> {
        let stop = CancellationToken::new();
        Arc::new(Self {
            claimed,
            stop,
            reason: Mutex::new(None),
            _slot: slot,
        })
    }

    /// Tells the attempt to stop.
    pub(crate) fn stop(&self, reason: StopReason) {
        let mut strongest = self.reason.lock().expect("no panic while locked");
        *strongest = (*strongest).max(Some(reason));
        self.stop.cancel();
    }

    pub(crate) fn stopped(&self) -> &CancellationToken {
        &self.stop
    }

    pub(crate) fn reason(&self) -> Option<StopReason> {
        *self.reason.lock().expect("no panic while locked")
    }
}

/// Every job in this worker's hands.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    jobs: Mutex<HashMap<JobId, Arc<Held>>>,
    emptied: Notify,
}

impl Roster {
    pub(crate) fn add(&self, held: &Arc<Held>) {
        self.lock().insert(held.claimed.job.id, held.clone());
    }

    /// Forgets a job, unless it was claimed anew meanwhile under another token.
    pub(crate) fn remove(&self, held: &Held) {
        let mut jobs = self.lock();
        let id = held.claimed.job.id;
        if jobs
            .get(&id)
            .is_some_and(|now| now.claimed.lease == held.claimed.lease)
        {
            jobs.remove(&id);
        }
        if jobs.is_empty() {
            self.emptied.notify_waiters();
        }
    }

    pub(crate) fn has(&self, claimed: &Claimed) -> bool {
        self.lock()
            .get(&claimed.job.id)
            .is_some_and(|held| held.claimed.lease == claimed.lease)
    }

    pub(crate) fn stop(&self, ids: &[JobId], reason: StopReason) {
        let jobs = self.lock();
        ids.iter()
            .filter_map(|id| jobs.get(id))
            .for_each(|held| held.stop(reason));
    }

    /// Stops every job claimed under `worker`; says how many.
    pub(crate) fn stop_worker(&self, worker: &WorkerId, reason: StopReason) -> usize {
        let jobs = self.lock();
        let theirs = jobs
            .values()
            .filter(|held| held.claimed.lease.token.worker == *worker);
        theirs.inspect(|held| held.stop(reason)).count()
    }

    pub(crate) fn stop_all(&self, reason: StopReason) {
        self.lock().values().for_each(|held| held.stop(reason));
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Waits until no job is held.
    pub(crate) async fn empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.len() == 0 {
                return;
            }
            emptied.await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<JobId, Arc<Held>>> {
        self.jobs.lock().expect("no panic while locked")
    }
}
