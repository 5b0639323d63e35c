//! Takes free slots first, then jobs for them: nothing waits behind a running job.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use lovage_core::broker::{Claim, Claimed, Settle, Wake};
use lovage_core::error::BrokerError;
use lovage_core::id::WorkerId;
use lovage_core::lifecycle;
use lovage_core::limits;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, timeout};

use crate::held::{Held, StopReason};
use crate::pause::Pauses;
use crate::seat::Seat;
use crate::worker::Shared;

/// Shortest wait for a job that is due soon: many due in turn are claimed together.
const DUE_MIN: Duration = Duration::from_millis(5);

/// How long a claim may still take effect after it failed here: a store works
/// off what a broken connection had sent.
const LATE: Duration = Duration::from_secs(5);

/// Claims that fill a worker: what one gave begins while the next is under way.
const SHARES: usize = 4;

/// How often to ask the store which jobs it counts as ours: one whose settle it
/// forgot in a crash would else be running for ever.
const LOOK: Duration = Duration::from_secs(30);

/// Slots that one claim fills at most.
fn claim_max(slots: usize) -> usize {
    slots.div_ceil(SHARES).clamp(1, limits::BATCH_MAX)
}

/// The claim loop of one queue. It holds free slots only while it asks for
/// jobs, so that loops of other queues get theirs.
pub(crate) struct Claimer {
    shared: Arc<Shared>,
    seat: Arc<Seat>,
    deliver: mpsc::Sender<Arc<Held>>,
    /// Until then a claim that failed may have given jobs nobody knows of.
    doubt_until: Option<Instant>,
    /// When to ask the store what it holds for us, doubt or not.
    look_at: Instant,
}

impl Claimer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        seat: Arc<Seat>,
        deliver: mpsc::Sender<Arc<Held>>,
    ) -> Self {
        Self {
            shared,
            seat,
            deliver,
            doubt_until: None,
            look_at: Instant::now() + LOOK,
        }
    }

    /// Claims until the worker drains. Never ends by an error: it tries again.
    pub(crate) async fn run(mut self) {
        let mut pauses = Pauses::new();
        while let Some(slots) = self.free_slots().await {
            match self.round(slots).await {
                Ok(()) => pauses = Pauses::new(),
                Err(error) => {
                    tracing::warn!(queue = %self.seat.queue, %error, "cannot claim; trying again");
                    self.doubt_until = Some(Instant::now() + LATE);
                    pauses.wait(&self.shared.draining).await;
                }
            }
        }
    }

    /// Waits for at least one free slot and takes those that are free, up to one
    /// claim's share; meanwhile hears of cancels. Nothing when the worker drains.
    async fn free_slots(&self) -> Option<Vec<OwnedSemaphorePermit>> {
        let slots = &self.shared.slots;
        // One future for the whole wait: it keeps its place among the queues.
        let mut free = pin!(slots.clone().acquire_owned());
        let first = loop {
            tokio::select! {
                biased;
                () = self.shared.draining.cancelled() => return None,
                slot = &mut free => break slot.ok()?,
                () = self.listen(false, limits::WAKE_FALLBACK) => {}
            }
        };
        let more = std::iter::from_fn(|| slots.clone().try_acquire_owned().ok());
        let more = more.take(claim_max(self.shared.config.concurrency) - 1);
        Some(std::iter::once(first).chain(more).collect())
    }

    /// One claim; when it gives nothing, a wait until there may be something.
    async fn round(&mut self, slots: Vec<OwnedSemaphorePermit>) -> Result<(), BrokerError> {
        let worker = self.seat.id();
        match self.fill(worker, slots).await {
            Ok(None) => Ok(()),
            Ok(Some(wait)) => {
                tokio::select! {
                    () = self.shared.draining.cancelled() => {}
                    () = self.listen(true, wait) => {}
                }
                Ok(())
            }
            Err(BrokerError::WorkerUnknown) => self.seat.rejoin(&self.shared, worker).await,
            Err(error) => Err(error),
        }
    }

    /// Fills slots with jobs; where there were none, says how long to wait for some.
    async fn fill(
        &mut self,
        worker: WorkerId,
        mut slots: Vec<OwnedSemaphorePermit>,
    ) -> Result<Option<Duration>, BrokerError> {
        self.adopt(worker, &mut slots).await?;
        if slots.is_empty() {
            return Ok(None);
        }
        let ask = Claim {
            worker,
            queue: self.seat.queue.clone(),
            want: slots.len(),
        };
        let claims = self.shared.broker.claim(&ask).await?;
        self.shared.health.came_round(&self.seat);
        let due = claims.next_due.unwrap_or(limits::WAKE_FALLBACK);
        let none = claims.claimed.is_empty();
        self.hold(claims.claimed, &mut slots).await;
        Ok(none.then(|| due.clamp(DUE_MIN, limits::WAKE_FALLBACK)))
    }

    /// A claim whose answer was lost, or a settle that the store forgot in a crash,
    /// leaves jobs that nobody would ever run while this worker extends its
    /// lease: asks for them, runs them.
    async fn adopt(
        &mut self,
        worker: WorkerId,
        slots: &mut Vec<OwnedSemaphorePermit>,
    ) -> Result<(), BrokerError> {
        let now = Instant::now();
        if self.doubt_until.is_none() && now < self.look_at {
            return Ok(());
        }
        let last_look = self.doubt_until.is_none_or(|until| now >= until);
        // Before asking: a job that is settled meanwhile is not an unknown one.
        let known = self.shared.roster.leases();
        let mut unknown = match self.shared.broker.held(&self.seat.queue, &worker).await {
            Ok(held) => held,
            Err(error) if error.is_transient() => return Err(error),
            Err(BrokerError::WorkerUnknown) => return Err(BrokerError::WorkerUnknown),
            Err(error) => {
                tracing::error!(queue = %self.seat.queue, %error, "cannot ask for jobs of a lost answer");
                Vec::new()
            }
        };
        self.look_at = now + LOOK;
        self.shared.roster.reconcile(&unknown);
        unknown.retain(|claimed| !known.contains(&claimed.lease));
        if !unknown.is_empty() {
            tracing::info!(queue = %self.seat.queue, jobs = unknown.len(), "adopting jobs of a lost answer");
        }
        self.end_expired(&mut unknown).await?;
        let all = unknown.len() <= slots.len();
        self.hold(unknown, slots).await;
        if last_look && all {
            self.doubt_until = None;
        }
        Ok(())
    }

    /// A store gives no job past its time to be started, but a lost answer may
    /// have been about to end one: ends it instead of running it.
    async fn end_expired(&self, claimed: &mut Vec<Claimed>) -> Result<(), BrokerError> {
        let now = self.shared.clock.now();
        let end = |claimed: &Claimed| {
            let next = lifecycle::expire(&claimed.job, now)?;
            Some(Settle {
                lease: claimed.lease.clone(),
                job: claimed.job.clone(),
                next,
            })
        };
        let ends: Vec<_> = claimed
            .iter()
            .filter_map(end)
            .take(limits::BATCH_MAX)
            .collect();
        if !ends.is_empty() {
            self.shared.broker.settle(&ends).await?;
            claimed.retain(|claimed| !ends.iter().any(|end| end.lease == claimed.lease));
        }
        Ok(())
    }

    /// Puts claimed jobs into the worker's hands, one per slot.
    async fn hold(&self, claimed: Vec<Claimed>, slots: &mut Vec<OwnedSemaphorePermit>) {
        let taken = slots.len().min(claimed.len());
        for (claimed, slot) in claimed.into_iter().zip(slots.drain(..taken)) {
            let held = self.shared.roster.add(claimed, slot);
            if held.claimed.lease.token.worker != self.seat.id() {
                held.stop(StopReason::Lost);
            }
            // The channel has room for every slot, and is closed only when apalis is gone.
            if let Err(unsent) = self.deliver.send(held).await {
                self.shared.roster.remove(&unsent.0);
            }
        }
    }

    /// Waits for work or for `wait`; passes on cancels.
    async fn listen(&self, work: bool, wait: Duration) {
        let (shared, seat) = (&self.shared, &self.seat);
        let id = seat.id();
        match shared.broker.wake(&seat.queue, &id, work, wait).await {
            Ok(wake) => {
                shared.health.came_round(seat);
                if let Wake::Cancel(ids) = wake {
                    shared.roster.stop(&ids, StopReason::Cancelled);
                }
            }
            Err(error) => {
                tracing::debug!(queue = %seat.queue, %error, "cannot wait for work; trying again");
                let _ = timeout(wait, shared.draining.cancelled()).await;
            }
        }
    }
}
