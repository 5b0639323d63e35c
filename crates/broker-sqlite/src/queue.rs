//! What a queue may give: whether, how many at once, and how fast.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use lovage_core::error::BrokerError;
use lovage_core::id::{QueueName, Tenant};
use lovage_core::queue::{QueueLimits, Rate, Weight};
use rusqlite::{Connection, Row, params};

use crate::row::{bounded, parsed};
use crate::statement::{all, execute, first, sql};
use crate::writer::Write;

/// A queue as a claim sees it. One that was never used gives nothing.
#[derive(Default)]
pub(crate) struct Queue {
    paused: bool,
    scheduled: u64,
    queued: usize,
    running: usize,
    limits: QueueLimits,
    /// When the rate expects the next job.
    next_us: i64,
}

impl Queue {
    /// How the queue stands now.
    pub(crate) fn find(conn: &Connection, queue: &QueueName) -> Result<Self, BrokerError> {
        let found = first(conn, sql!("queue_find"), [queue.as_str()], |row| {
            Ok(Self {
                paused: row.get("paused")?,
                scheduled: row.get("scheduled")?,
                queued: row.get("queued")?,
                running: row.get("running")?,
                limits: limits(row)?,
                next_us: row.get("next_us")?,
            })
        })?;
        Ok(found.unwrap_or_default())
    }

    /// Whether a claim may give anything, were it there.
    pub(crate) fn is_open(&self, now: Timestamp) -> bool {
        self.slots() > 0 && self.starts(now) > 0
    }

    /// Whether it takes one more job.
    pub(crate) fn takes_one(&self) -> bool {
        self.limits.takes(self.scheduled + self.queued as u64)
    }

    /// Whether there is anything queued.
    pub(crate) fn has_jobs(&self) -> bool {
        self.queued > 0
    }

    /// How many more may run at once.
    pub(crate) fn slots(&self) -> usize {
        if self.paused {
            return 0;
        }
        self.limits.concurrency.map_or(usize::MAX, |most| {
            (most as usize).saturating_sub(self.running)
        })
    }

    /// How many may start now.
    pub(crate) fn starts(&self, now: Timestamp) -> usize {
        self.limits.rate.map_or(usize::MAX, |rate| {
            rate.allowed(self.next_us, now.as_microsecond()) as usize
        })
    }

    /// How long the rate holds back what is queued.
    pub(crate) fn held_back(&self, now: Timestamp) -> Option<Duration> {
        let rate = self
            .limits
            .rate
            .filter(|_| self.queued > 0 && !self.paused)?;
        let wait = rate.wait(self.next_us, now.as_microsecond());
        (!wait.is_zero()).then_some(wait)
    }

    /// Jobs were started.
    pub(crate) fn pace(
        &self,
        write: &Write<'_>,
        queue: &QueueName,
        started: usize,
    ) -> Result<(), BrokerError> {
        let Some(rate) = self.limits.rate.filter(|_| started > 0) else {
            return Ok(());
        };
        let started = u32::try_from(started).unwrap_or(u32::MAX);
        let next = rate.after(self.next_us, write.now.as_microsecond(), started);
        execute(write, sql!("queue_pace"), params![queue.as_str(), next])?;
        Ok(())
    }
}

/// Whether the queue has jobs that can only start when a running one ends.
pub(crate) fn awaits_slot(conn: &Connection, queue: &QueueName) -> Result<bool, BrokerError> {
    let found = first(conn, sql!("queue_limited"), [queue.as_str()], |_| Ok(()))?;
    Ok(found.is_some())
}

/// The weights of a queue's tenants that have one of their own.
pub(crate) fn weights(
    conn: &Connection,
    queue: &QueueName,
) -> Result<BTreeMap<Tenant, Weight>, BrokerError> {
    let weights = all(conn, sql!("weights_read"), [queue.as_str()], |row| {
        Ok((parsed(row, "tenant")?, bounded(row.get("weight")?)?))
    })?;
    Ok(weights.into_iter().collect())
}

/// The limits in a queue's row, without its weights.
pub(crate) fn limits(row: &Row<'_>) -> rusqlite::Result<QueueLimits> {
    let jobs: Option<u32> = row.get("rate_jobs")?;
    let per_ms: Option<u32> = row.get("rate_per_ms")?;
    let burst: Option<u32> = row.get("rate_burst")?;
    let rate = jobs.zip(per_ms).zip(burst);
    Ok(QueueLimits {
        length: row.get("length")?,
        concurrency: row.get("concurrency")?,
        rate: rate.map(|((jobs, per_ms), burst)| Rate {
            jobs,
            per_ms,
            burst,
        }),
        ..QueueLimits::default()
    })
}
