//! Handing in jobs, and the keys they are known by.

use jiff::Timestamp;
use lovage_core::broker::Enqueued;
use lovage_core::clock;
use lovage_core::id::{JobId, QueueName};
use lovage_core::job::{Job, NewJob};
use lovage_core::lifecycle;
use lovage_core::limits;
use lovage_core::status::Status;

use super::state::{Remembered, State, UniqueHold, key};
use super::stored::Stored;

impl State {
    pub(super) fn enqueue(&mut self, new: &NewJob, now: Timestamp) -> Enqueued {
        if let Some(taken) = self.live(&new.id, now) {
            let same = taken.job.kind == new.kind
                && taken.job.input == new.input
                && taken.idempotency == new.idempotency;
            return if same {
                Enqueued::Accepted(new.id)
            } else {
                Enqueued::IdTaken(new.id)
            };
        }
        if let Some(answer) = self.replay(new, now) {
            return answer;
        }
        if let Some(holder) = self.unique_holder(&lifecycle::enqueue(new, now), now) {
            return Enqueued::Duplicate(holder);
        }
        if !self.takes_one(&new.queue) {
            return Enqueued::QueueFull;
        }
        let job = lifecycle::enqueue(new, now);
        self.hold_unique(&job, now);
        if let Some(idempotency) = &new.idempotency {
            let remembered = Remembered {
                job: new.id,
                fingerprint: idempotency.fingerprint.clone(),
                until: clock::after(now, limits::IDEMPOTENCY_WINDOW),
            };
            let key = key(&job, &idempotency.key);
            self.idempotency.insert(key, remembered);
        }
        self.queue(&new.queue);
        self.jobs
            .insert(new.id, Stored::new(job, new.idempotency.clone()));
        self.enter_lane(&new.id, false);
        Enqueued::Accepted(new.id)
    }

    fn takes_one(&self, queue: &QueueName) -> bool {
        let limits = self.queues.get(queue).map(|row| &row.limits);
        let unstarted = self.jobs.values().filter(|stored| {
            let status = stored.shown().status;
            stored.job.queue == *queue && matches!(status, Status::Scheduled | Status::Queued)
        });
        limits.is_none_or(|limits| limits.takes(unstarted.count() as u64))
    }

    /// What an idempotency key that was used before answers.
    fn replay(&self, new: &NewJob, now: Timestamp) -> Option<Enqueued> {
        let idempotency = new.idempotency.as_ref()?;
        let key = (
            new.queue.clone(),
            new.tenant.clone(),
            idempotency.key.clone(),
        );
        let remembered = self.idempotency.get(&key)?;
        if remembered.until <= now {
            None
        } else if remembered.fingerprint == idempotency.fingerprint {
            Some(Enqueued::Replayed(remembered.job))
        } else {
            Some(Enqueued::KeyReused(remembered.job))
        }
    }

    /// Another job that holds the unique key of `job`.
    pub(super) fn unique_holder(&self, job: &Job, now: Timestamp) -> Option<JobId> {
        let unique = job.unique.as_ref()?;
        let hold = self.unique.get(&key(job, &unique.key))?;
        let over = hold.until.is_some_and(|until| until <= now);
        (!over && hold.job != job.id).then_some(hold.job)
    }

    pub(super) fn hold_unique(&mut self, job: &Job, now: Timestamp) {
        if let Some(unique) = &job.unique {
            let hold = UniqueHold {
                job: job.id,
                until: unique.window.map(|window| clock::after(now, window)),
            };
            self.unique.insert(key(job, &unique.key), hold);
        }
    }

    pub(super) fn free_unique(&mut self, job: &Job) {
        if let Some(unique) = &job.unique {
            let key = key(job, &unique.key);
            let ours = |hold: &UniqueHold| hold.job == job.id && hold.until.is_none();
            if self.unique.get(&key).is_some_and(ours) {
                self.unique.remove(&key);
            }
        }
    }
}

/// Whether an answer keeps an atomic batch out.
pub(super) fn is_refusal(answer: &Enqueued) -> bool {
    match answer {
        Enqueued::Accepted(_) | Enqueued::Replayed(_) => false,
        Enqueued::KeyReused(_)
        | Enqueued::Duplicate(_)
        | Enqueued::IdTaken(_)
        | Enqueued::QueueFull => true,
    }
}
