//! How attempts end: by settle, sweep, cancel and expiry; and redrive.

use std::time::Duration;

use jiff::Timestamp;
use lovage_core::broker::{CancelReply, RedriveReply, Settle, Settled, Swept};
use lovage_core::clock;
use lovage_core::event::kind;
use lovage_core::id::{JobId, QueueName, WorkerId};
use lovage_core::job::Job;
use lovage_core::lease::LeaseToken;
use lovage_core::lifecycle::{self, Cancel, Next};
use lovage_core::limits;
use lovage_core::status::Status;

use super::state::State;
use super::stored::{Stored, plain_event};

impl State {
    pub(super) fn settle(&mut self, settle: &Settle, now: Timestamp) -> Settled {
        let id = &settle.lease.job;
        let Some(held) = self.leased(&settle.lease) else {
            let again = |stored: &Stored| stored.settled == Some(settle.lease.token);
            return if self.live(id, now).is_some_and(again) {
                Settled::Done
            } else {
                Settled::Fenced
            };
        };
        let goes_on = !matches!(settle.next, Next::Finish { .. });
        let next = if goes_on && held.cancel_asked.is_some() {
            lifecycle::cancel_overdue()
        } else {
            settle.next.clone()
        };
        self.end(id, &next, now);
        if let Some(stored) = self.jobs.get_mut(id) {
            stored.settled = Some(settle.lease.token);
        }
        Settled::Done
    }

    /// Ends the running attempt of a job. All that a settle changes changes here.
    pub(super) fn end(&mut self, id: &JobId, next: &Next, now: Timestamp) {
        let stored = self.jobs.get_mut(id).expect("the caller holds it");
        let running = Job {
            progress: None,
            ..stored.shown()
        };
        stored.job = lifecycle::apply(&running, next, now);
        stored.running = None;
        stored.progress = None;
        stored.cancel_asked = None;
        stored.cancel_told = false;
        stored.settled = None;
        stored.append(lifecycle::event(next).as_slice(), now);
        let job = stored.job.clone();
        if job.status.is_final() {
            self.free_unique(&job);
            self.count(&job);
        }
        self.enter_lane(id, matches!(next, Next::Requeue { front: true, .. }));
    }

    fn count(&mut self, job: &Job) {
        let queue = self.queue(&job.queue);
        match job.status {
            Status::Succeeded => queue.succeeded_total += 1,
            Status::Failed => queue.failed_total += 1,
            _ => queue.cancelled_total += 1,
        }
    }

    pub(super) fn cancel(&mut self, id: &JobId, now: Timestamp) -> CancelReply {
        let Some(stored) = self.live_mut(id, now) else {
            return CancelReply::NotFound;
        };
        match lifecycle::cancel(&stored.shown()) {
            Cancel::TooLate => CancelReply::TooLate(stored.job.status),
            Cancel::Now(next) => {
                self.end(id, &next, now);
                CancelReply::Cancelled
            }
            Cancel::Ask => {
                if stored.cancel_asked.is_none() {
                    stored.cancel_asked = Some(now);
                    stored.append(&[plain_event(kind::CANCEL_REQUESTED)], now);
                }
                CancelReply::Requested
            }
        }
    }

    pub(super) fn redrive(&mut self, id: &JobId, now: Timestamp) -> RedriveReply {
        let Some(stored) = self.live(id, now) else {
            return RedriveReply::NotFound;
        };
        let Some(job) = lifecycle::redrive(&stored.shown()) else {
            return RedriveReply::Refused(stored.shown().status);
        };
        if let Some(holder) = self.unique_holder(&job, now) {
            return RedriveReply::Duplicate(holder);
        }
        self.hold_unique(&job, now);
        if let Some(stored) = self.jobs.get_mut(id) {
            let ended = stored.job.final_event();
            stored.append(ended.as_slice(), now);
            stored.append(&[plain_event(kind::REDRIVEN)], now);
            stored.settled = None;
            stored.job = job;
        }
        self.enter_lane(id, false);
        RedriveReply::Queued
    }

    pub(super) fn reclaim(&mut self, lease: Duration, now: Timestamp) -> Swept {
        let expired: Vec<(QueueName, WorkerId)> = self
            .workers
            .iter()
            .filter(|(_, deadline)| **deadline <= now)
            .map(|(worker, _)| worker.clone())
            .take(limits::EXPIRED_WORKERS_MAX)
            .collect();
        for worker in &expired {
            self.workers.remove(worker);
        }
        let mut swept = Swept::default();
        self.front -= 1;
        for id in self.running(|state, stored, token| {
            let worker = (stored.job.queue.clone(), token.worker);
            !state.workers.contains_key(&worker)
        }) {
            let next = lifecycle::attempt_lost(&self.jobs[&id].shown());
            self.end(&id, &next, now);
            swept.reclaimed.push((id, self.jobs[&id].job.status));
        }
        for id in self.running(|_, stored, _| {
            let asked = stored.cancel_asked;
            asked.is_some_and(|at| clock::after(at, lease) <= now)
        }) {
            self.end(&id, &lifecycle::cancel_overdue(), now);
            swept.cancelled.push(id);
        }
        swept
    }

    /// Running jobs of which `test` holds, as many as one sweep takes.
    fn running(&self, test: impl Fn(&Self, &Stored, &LeaseToken) -> bool) -> Vec<JobId> {
        self.jobs
            .values()
            .filter(|stored| {
                stored
                    .running
                    .is_some_and(|token| test(self, stored, &token))
            })
            .map(|stored| stored.job.id)
            .take(limits::BATCH_MAX)
            .collect()
    }
}
