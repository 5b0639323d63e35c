//! What a queue may give: at once, per time, and to whom.

use std::time::Duration;

use jiff::Timestamp;
use lovage_core::id::QueueName;
use lovage_core::queue::{QueueLimits, Weight};

use super::state::{Lane, State};

impl State {
    /// Sets a queue's limits; a rate that is new to it starts anew.
    pub(super) fn limit(&mut self, queue: &QueueName, limits: &QueueLimits) {
        let row = self.queue(queue);
        let same_rate = row.limits.rate == limits.rate;
        row.limits = limits.clone();
        if !same_rate {
            self.next_us.remove(queue);
        }
    }

    /// How many more jobs the queue may start now: none while it is paused.
    pub(super) fn room(&self, queue: &QueueName, now: Timestamp) -> usize {
        let Some(row) = self.queues.get(queue).filter(|row| !row.paused) else {
            return 0;
        };
        let slots = row.limits.concurrency.map_or(usize::MAX, |most| {
            let jobs = self.jobs.values();
            let running =
                jobs.filter(|stored| stored.running.is_some() && stored.job.queue == *queue);
            (most as usize).saturating_sub(running.count())
        });
        let starts = row.limits.rate.map_or(usize::MAX, |rate| {
            rate.allowed(self.next_us(queue), now.as_microsecond()) as usize
        });
        slots.min(starts)
    }

    /// A job of the queue was started, or found expired when it was to be.
    pub(super) fn start(&mut self, queue: &QueueName, now: Timestamp) {
        if let Some(rate) = self.queue(queue).limits.rate {
            let next = rate.after(self.next_us(queue), now.as_microsecond(), 1);
            self.next_us.insert(queue.clone(), next);
        }
    }

    /// How long the queue's rate holds back jobs that are queued.
    pub(super) fn rate_wait(&self, queue: &QueueName, now: Timestamp) -> Option<Duration> {
        let row = self.queues.get(queue).filter(|row| !row.paused)?;
        let (next, now) = (self.next_us(queue), now.as_microsecond());
        let rate = row
            .limits
            .rate
            .filter(|rate| rate.allowed(next, now) == 0)?;
        self.next_in_line(queue, &[]).map(|_| rate.wait(next, now))
    }

    pub(super) fn weight(&self, (queue, _, tenant): &Lane) -> Weight {
        let row = self.queues.get(queue);
        let weight = row.and_then(|row| row.limits.weights.get(tenant));
        weight.copied().unwrap_or_default()
    }

    fn next_us(&self, queue: &QueueName) -> i64 {
        self.next_us.get(queue).copied().unwrap_or(0)
    }
}
