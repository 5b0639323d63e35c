//! Jobs are taken from workers that stopped answering, and from those that do not stop.

use std::cmp::Reverse;

use lovage_core::broker::Swept;
use lovage_core::error::BrokerError;
use lovage_core::id::JobId;
use lovage_core::job::Job;
use lovage_core::lifecycle::{self, Next};
use lovage_core::limits;
use lovage_core::record;
use lovage_core::status::Status;
use rusqlite::params;

use crate::ops::settle;
use crate::row::{self, Recorded};
use crate::statement::{all, execute, sql};
use crate::unreadable;
use crate::writer::Write;

/// Takes from lost workers, then from those asked to stop longer than a lease
/// ago, then ends what was not started in time.
pub(crate) fn reclaim(write: &mut Write<'_>) -> Result<Swept, BrokerError> {
    let now = write.now.as_millisecond();
    execute(
        write,
        sql!("workers_expire"),
        params![now, limits::EXPIRED_WORKERS_MAX],
    )?;
    let mut swept = Swept::default();
    let mut lost = all(write, sql!("lost_load"), [limits::BATCH_MAX], row::recorded)?;
    // Each goes ahead of the one before: the last in line first keeps their order.
    lost.sort_by_key(|(row, _)| Reverse(row.place));
    for recorded in lost {
        let ended = end(write, recorded, &mut swept, lifecycle::attempt_lost)?;
        swept.reclaimed.extend(ended);
    }
    execute(write, sql!("workers_forget"), [])?;
    let asked_before = now.saturating_sub(millis(write));
    let overdue = all(
        write,
        sql!("asked_load"),
        params![asked_before, limits::BATCH_MAX],
        row::recorded,
    )?;
    for recorded in overdue {
        if is_left(&recorded) {
            continue;
        }
        let ended = end(write, recorded, &mut swept, |_| lifecycle::cancel_overdue())?;
        swept.cancelled.extend(ended.map(|(id, _)| id));
    }
    expire(write, &mut swept)?;
    Ok(swept)
}

/// A newer program asked its own worker: that one ends it, or loses its lease.
fn is_left((_, record): &Recorded) -> bool {
    record.as_deref().is_some_and(record::is_newer)
}

fn expire(write: &mut Write<'_>, swept: &mut Swept) -> Result<(), BrokerError> {
    let past = params![write.now.as_millisecond(), limits::EXPIRED_JOBS_MAX];
    for recorded in all(write, sql!("expired_load"), past, row::recorded)? {
        let Some((row, job)) = unreadable::open(write, recorded)? else {
            continue;
        };
        if let Some(next) = lifecycle::expire(&job, write.now) {
            settle::put(write, &row, &job, &next, None)?;
            swept.expired.push(row.id);
        }
    }
    Ok(())
}

/// Settles a running job in its worker's place, whose own settle then comes too late.
fn end(
    write: &mut Write<'_>,
    recorded: Recorded,
    swept: &mut Swept,
    next: impl FnOnce(&Job) -> Next,
) -> Result<Option<(JobId, Status)>, BrokerError> {
    if recorded.1.is_none() {
        let row = recorded.0;
        execute(write, sql!("job_delete"), [row.row])?;
        swept.orphans.push(row.id);
        settle::tell(write, &row, Status::Failed)?;
        return Ok(None);
    }
    let Some((row, job)) = unreadable::open(write, recorded)? else {
        return Ok(None);
    };
    let status = settle::put(write, &row, &job, &next(&job), None)?;
    Ok(Some((row.id, status)))
}

fn millis(write: &Write<'_>) -> i64 {
    i64::try_from(write.lease.as_millis()).unwrap_or(i64::MAX)
}
