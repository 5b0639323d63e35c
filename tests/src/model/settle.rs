//! How jobs and attempts end: by settle, sweep, cancel and expiry; and redrive.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;
use lovage_core::broker::{CancelReply, RedriveReply, Settle, Settled, Swept};
use lovage_core::clock;
use lovage_core::event::kind;
use lovage_core::id::{JobId, QueueName, WorkerId};
use lovage_core::job::{Child, Job};
use lovage_core::lease::LeaseToken;
use lovage_core::lifecycle::{self, Cancel, Next};
use lovage_core::limits;
use lovage_core::status::Status;

use super::state::State;
use super::stored::{Stored, has_failed, plain_event};

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
            stored.claimed_before = Some(settle.lease.token.claimed_at);
        }
        Settled::Done
    }

    /// Ends the running attempt of a job, or the job itself. All that a settle
    /// changes changes here, the parents included.
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
        stored.claimed_before = None;
        stored.append(lifecycle::event(next).as_slice(), now);
        let job = stored.job.clone();
        if job.status.is_final() {
            self.free_unique(&job);
            self.count(&job);
            self.tell_parents(&job);
        }
        self.enter_lane(id, matches!(next, Next::Requeue { front: true, .. }));
        self.go_on(id);
    }

    /// Queues a waiting job ahead of its lane, if what it waits for is there.
    pub(super) fn go_on(&mut self, id: &JobId) {
        let stored = self.jobs.get_mut(id).filter(|stored| stored.may_go_on());
        if let Some(stored) = stored {
            stored.job = lifecycle::promote(&stored.job);
            self.enter_lane(id, true);
        }
    }

    fn count(&mut self, job: &Job) {
        let queue = self.queue(&job.queue);
        match job.status {
            Status::Succeeded => queue.succeeded_total += 1,
            Status::Failed => queue.failed_total += 1,
            _ => queue.cancelled_total += 1,
        }
    }

    /// Cancels a job that is not over, its unfinished children first.
    pub(super) fn cancel(&mut self, id: &JobId, now: Timestamp) -> CancelReply {
        let Some(stored) = self.live(id, now) else {
            return CancelReply::NotFound;
        };
        if !stored.job.status.is_final() {
            for child in self.below(id, |child| child.ended.is_none()) {
                self.cancel_alone(&child, now);
            }
        }
        self.cancel_alone(id, now)
    }

    /// The children of a job that `pick` admits, and theirs, each once and after its own.
    fn below(&self, root: &JobId, pick: fn(&Child) -> bool) -> Vec<JobId> {
        let (mut known, mut open) = (HashSet::from([*root]), vec![*root]);
        let mut before_children = Vec::new();
        while let Some(id) = open.pop() {
            let children = self.jobs.get(&id).map(|stored| stored.children.iter());
            let picked = children.into_iter().flatten().filter(|child| pick(child));
            open.extend(picked.map(|child| child.id).filter(|id| known.insert(*id)));
            before_children.push(id);
        }
        before_children.into_iter().skip(1).rev().collect()
    }

    fn cancel_alone(&mut self, id: &JobId, now: Timestamp) -> CancelReply {
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

    /// Queues a job again whose status allows it, its failed and cancelled children first.
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
        for child in self.below(id, has_failed) {
            let shown = self.live(&child, now).map(Stored::shown);
            if let Some(again) = shown.as_ref().and_then(lifecycle::redrive) {
                self.redrive_alone(&child, again, now);
            }
        }
        self.redrive_alone(id, job, now)
    }

    fn redrive_alone(&mut self, id: &JobId, job: Job, now: Timestamp) -> RedriveReply {
        if let Some(holder) = self.unique_holder(&job, now) {
            return RedriveReply::Duplicate(holder);
        }
        self.hold_unique(&job, now);
        self.tell_parents(&job);
        if let Some(stored) = self.jobs.get_mut(id) {
            let ended = stored.job.final_event();
            stored.append(ended.as_slice(), now);
            stored.append(&[plain_event(kind::REDRIVEN)], now);
            stored.settled = None;
            stored.claimed_before = stored.claimed_before.max(Some(now));
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
        self.new_front();
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
        swept.expired = self.expire(now);
        swept
    }

    /// Ends jobs that were not started in time, as many of each queue as one sweep takes.
    fn expire(&mut self, now: Timestamp) -> Vec<JobId> {
        let queues: Vec<QueueName> = self.queues.keys().cloned().collect();
        let mut expired = Vec::new();
        for queue in queues {
            let jobs = self.jobs.values();
            let late = jobs.filter(|stored| stored.job.queue == queue && stored.is_late(now));
            let late = late.take(limits::EXPIRED_JOBS_MAX);
            expired.extend(late.map(|stored| stored.job.clone()));
        }
        for job in &expired {
            if let Some(next) = lifecycle::expire(job, now) {
                self.end(&job.id, &next, now);
            }
        }
        expired.into_iter().map(|job| job.id).collect()
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
