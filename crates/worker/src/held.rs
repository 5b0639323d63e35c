//! The jobs this worker holds right now.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use jiff::Timestamp;
use lovage_core::broker::Claimed;
use lovage_core::clock;
use lovage_core::id::{JobId, WorkerId};
use lovage_core::lease::Lease;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Why a running attempt is told to stop. Of several reasons the last in this order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StopReason {
    /// The worker stops: the job is handed back.
    Shutdown,
    /// It took longer than its job allows.
    Timeout,
    /// Someone asked for it.
    Cancelled,
    /// The lease is gone: nothing may be written.
    Lost,
}

/// One job in this worker's hands, from claim to settle.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) claimed: Claimed,
    since: Instant,
    stop: CancellationToken,
    reason: Mutex<Option<StopReason>>,
}

impl Held {
    fn new(claimed: Claimed) -> Self {
        Self {
            claimed,
            since: Instant::now(),
            stop: CancellationToken::new(),
            reason: Mutex::new(None),
        }
    }

    /// Now, by the store's clock: what is written about the job must not depend
    /// on whether this machine's clock is right. A little early where the claim's
    /// answer was lost and the job adopted later.
    pub(crate) fn store_time(&self) -> Timestamp {
        clock::after(self.claimed.lease.token.claimed_at, self.since.elapsed())
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

/// Every job in this worker's hands, each with the slot it takes.
///
/// By lease, not by job: a job that was lost and claimed anew can be here
/// twice, until its first attempt has stopped.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    jobs: Mutex<HashMap<Lease, Entry>>,
    /// Jobs the store still counts as ours though their end cannot be written.
    unendable: Mutex<HashSet<Lease>>,
    emptied: Notify,
}

#[derive(Debug)]
struct Entry {
    held: Arc<Held>,
    _slot: OwnedSemaphorePermit,
}

impl Roster {
    pub(crate) fn add(&self, claimed: Claimed, slot: OwnedSemaphorePermit) -> Arc<Held> {
        let lease = claimed.lease.clone();
        let held = Arc::new(Held::new(claimed));
        let entry = Entry {
            held: held.clone(),
            _slot: slot,
        };
        self.lock().insert(lease, entry);
        held
    }

    /// Forgets a job; its slot is free.
    pub(crate) fn remove(&self, held: &Held) {
        let mut jobs = self.lock();
        jobs.remove(&held.claimed.lease);
        if jobs.is_empty() {
            self.emptied.notify_waiters();
        }
    }

    /// Every lease that is accounted for.
    pub(crate) fn leases(&self) -> HashSet<Lease> {
        let unendable = self
            .unendable
            .lock()
            .expect("no panic while locked")
            .clone();
        self.lock().keys().cloned().chain(unendable).collect()
    }

    /// Remembers a job that cannot be ended, so that it is not run again.
    pub(crate) fn give_up(&self, lease: &Lease) {
        self.unendable
            .lock()
            .expect("no panic while locked")
            .insert(lease.clone());
    }

    /// Forgets jobs given up that the store no longer counts as ours.
    pub(crate) fn reconcile(&self, held: &[Claimed]) {
        let mut unendable = self.unendable.lock().expect("no panic while locked");
        unendable.retain(|lease| held.iter().any(|claimed| claimed.lease == *lease));
    }

    /// Stops these jobs.
    pub(crate) fn stop(&self, ids: &[JobId], reason: StopReason) {
        self.stop_where(reason, |lease| ids.contains(&lease.job));
    }

    /// Stops every job claimed under `worker`; says how many.
    pub(crate) fn stop_worker(&self, worker: &WorkerId, reason: StopReason) -> usize {
        self.stop_where(reason, |lease| lease.token.worker == *worker)
    }

    pub(crate) fn stop_all(&self, reason: StopReason) {
        self.stop_where(reason, |_| true);
    }

    fn stop_where(&self, reason: StopReason, which: impl Fn(&Lease) -> bool) -> usize {
        let jobs = self.lock();
        let chosen = jobs.iter().filter(|(lease, _)| which(lease));
        chosen.map(|(_, entry)| entry.held.stop(reason)).count()
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

    fn lock(&self) -> MutexGuard<'_, HashMap<Lease, Entry>> {
        self.jobs.lock().expect("no panic while locked")
    }
}
