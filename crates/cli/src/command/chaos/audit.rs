//! Compares what producers were told, what the store holds and what was called.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use lovage_broker_redis::RedisBroker;
use lovage_core::broker::Broker;
use lovage_core::error::BrokerError;
use lovage_core::id::JobId;
use lovage_core::job::Job;
use lovage_core::limits;
use lovage_core::query::{Filter, Page};
use lovage_core::status::Status;

use super::bill::Bill;
use super::order::{self, End, Order};
use super::report::Phase;
use super::work::{self, Done, STEPS};

/// How long before its end a store may have acknowledged what it forgets, in ms:
/// `everysec` syncs once a second, and may be late by one.
const FORGETS_MS: i64 = 2_000;
/// How long after it happened something may be noticed at the latest, in ms.
const NOTICED_MS: i64 = 1_000;

/// When the store may have forgotten what it had acknowledged.
pub(super) struct Losses<'a>(pub(super) &'a [i64]);

impl Losses<'_> {
    /// Whether the store may have forgotten, by the time `until`, what it did
    /// some time between `from` and `to`.
    pub(super) fn excuse(&self, from: i64, to: i64, until: i64) -> bool {
        let mut losses = self.0.iter();
        losses.any(|at| from <= *at && *at <= to + FORGETS_MS && *at <= until)
    }

    /// Likewise for what was noticed at `at`.
    pub(super) fn excuse_noticed(&self, at: i64, until: i64) -> bool {
        self.excuse(at - NOTICED_MS, at, until)
    }
}

/// Counts what was kept and what was broken.
pub(super) struct Audit<'a> {
    pub(super) broker: Arc<RedisBroker>,
    pub(super) losses: Losses<'a>,
    pub(super) bill: Bill<'a>,
    pub(super) phase: &'a mut Phase,
}

impl Audit<'_> {
    /// Looks at every acknowledged job, then at the store as a whole.
    pub(super) async fn run(mut self, orders: &[Order]) -> Result<(), BrokerError> {
        for order in orders {
            self.order(order).await?;
        }
        self.whole().await?;
        self.bill.count(&self.losses, self.phase);
        Ok(())
    }

    async fn order(&mut self, order: &Order) -> Result<(), BrokerError> {
        let end = order::end(&self.broker, order.id).await?;
        self.same_end(order, end.as_ref());
        match end {
            None if self.excuses_enqueue(order) => self.phase.last_second.jobs += 1,
            Some(end) if end.status == Status::Succeeded => {
                self.phase.succeeded += 1;
                self.result(order.id, &end).await?;
                self.final_events(order.id).await?;
            }
            None => {
                tracing::error!(number = order.number, job = %order.id, "lost");
                self.phase.broken.lost += 1;
            }
            Some(end) => {
                tracing::error!(number = order.number, job = %order.id, status = %end.status, "not succeeded");
                self.phase.broken.lost += 1;
            }
        }
        Ok(())
    }

    fn excuses_enqueue(&self, order: &Order) -> bool {
        let (from, to) = (order.sent_at, order.acknowledged_at);
        self.losses.excuse(from, to, i64::MAX)
    }

    /// A job that was over must be over in the same way for ever.
    fn same_end(&mut self, order: &Order, end: Option<&End>) {
        let Some((at, seen)) = &order.seen else {
            return;
        };
        if Some(seen) == end {
            return;
        }
        if self.losses.excuse_noticed(*at, i64::MAX) {
            self.phase.last_second.ends += 1;
        } else {
            tracing::error!(job = %order.id, ?seen, ?end, "ended twice");
            self.phase.broken.finished_twice += 1;
        }
    }

    /// The result is made of what the steps stored, by the last attempt that began.
    async fn result(&mut self, id: JobId, end: &End) -> Result<(), BrokerError> {
        let result = end.result.as_ref();
        let done = result.and_then(|result| result.read::<Done>().ok());
        let done =
            done.filter(|done| done.attempt == end.attempt && done.answers.len() == STEPS as usize);
        let Some(done) = done else {
            self.torn(id, end);
            return Ok(());
        };
        let mut stored = BTreeMap::new();
        for step in self.broker.checkpoints(&id).await? {
            stored.insert(step.step, step.value.read::<u64>().ok());
        }
        for (step, answer) in (0..STEPS).zip(&done.answers) {
            match stored.get(&work::step_name(step)) {
                Some(kept) if kept.as_ref() == Some(answer) => {}
                None if self.forgot_step(id, step) => self.phase.last_second.checkpoints += 1,
                Some(_) | None => self.torn(id, end),
            }
        }
        self.fenced(id, end);
        Ok(())
    }

    fn torn(&mut self, id: JobId, end: &End) {
        tracing::error!(job = %id, ?end, "torn");
        self.phase.broken.torn += 1;
    }

    /// Whether the store may have forgotten a checkpoint. An attempt that lives
    /// through that does not notice, and ends with what it knows.
    fn forgot_step(&self, id: JobId, step: u32) -> bool {
        let mut kept = self.bill.kept(id, step);
        kept.any(|at| self.losses.excuse_noticed(at, i64::MAX))
    }

    fn fenced(&mut self, id: JobId, end: &End) {
        let later = self.bill.began_after(id, end.attempt);
        if later.is_some_and(|at| !self.losses.excuse_noticed(at, i64::MAX)) {
            tracing::error!(job = %id, ?end, "not fenced");
            self.phase.broken.not_fenced += 1;
        }
    }

    /// Exactly one event says that the job is over.
    async fn final_events(&mut self, id: JobId) -> Result<(), BrokerError> {
        let (mut after, mut finals) = (0, 0);
        while let Some(page) = self
            .broker
            .events(
                &id,
                after,
                limits::EVENT_PAGE_MAX,
                std::time::Duration::ZERO,
            )
            .await?
        {
            let kinds = page.events.iter().map(|event| event.kind.parse::<Status>());
            finals += kinds
                .filter(|kind| kind.as_ref().is_ok_and(|status| status.is_final()))
                .count();
            let Some(last) = page.events.last().filter(|_| !page.ended) else {
                break;
            };
            after = last.seq;
        }
        if finals != 1 {
            tracing::error!(job = %id, finals, "final events");
            self.phase.broken.finished_twice += 1;
        }
        Ok(())
    }

    /// Each order is one job, each job is listed once, and each end was counted once.
    async fn whole(&mut self) -> Result<(), BrokerError> {
        let jobs = self.list().await?;
        let ids: BTreeSet<JobId> = jobs.iter().map(|job| job.id).collect();
        let mut numbers: HashMap<usize, usize> = HashMap::new();
        for job in &jobs {
            // Every job here is one of ours.
            *numbers
                .entry(job.input.read().unwrap_or(usize::MAX))
                .or_default() += 1;
        }
        let over = jobs.iter().filter(|job| job.status.is_final()).count() as u64;
        let queues = self.broker.stats().await?;
        let counted: u64 = queues
            .iter()
            .map(|queue| queue.succeeded_total + queue.failed_total + queue.cancelled_total)
            .sum();
        let broken = &mut self.phase.broken;
        broken.enqueued_twice += numbers.values().filter(|times| **times > 1).count();
        broken.finished_twice += jobs.len() - ids.len();
        broken.finished_twice += usize::try_from(counted.abs_diff(over)).unwrap_or(usize::MAX);
        if counted != over {
            tracing::error!(counted, over, "ends counted are not jobs that are over");
        }
        Ok(())
    }

    async fn list(&self) -> Result<Vec<Job>, BrokerError> {
        let (mut jobs, mut cursor) = (Vec::new(), None);
        loop {
            let limit = limits::LIST_PAGE_MAX;
            let page = Page { cursor, limit };
            let page = self.broker.list(&Filter::default(), &page).await?;
            jobs.extend(page.jobs);
            cursor = page.next;
            if cursor.is_none() {
                return Ok(jobs);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_done_just_before_a_loss_is_excused() {
        let losses = Losses(&[10_000]);
        assert!(losses.excuse(8_400, 8_500, i64::MAX));
        assert!(losses.excuse(9_990, 10_010, i64::MAX), "sent before it");
        assert!(!losses.excuse(7_900, 7_999, i64::MAX), "synced before it");
        assert!(!losses.excuse(10_001, 10_002, i64::MAX), "done after it");
        assert!(!losses.excuse(8_400, 8_500, 9_000), "missed before it");
    }
}
