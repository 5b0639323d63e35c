//! Jobs are taken from workers that stopped answering, and from those that do not stop.

use std::cmp::Reverse;

use lovage_core::broker::Swept;
use lovage_core::error::BrokerError;
use lovage_core::id::JobId;
use lovage_core::job::Job;
use lovage_core::lifecycle::{self, Next};
use lovage_core::limits;
use lovage_core::status::Status;
use rusqlite::params;

use crate::ops::settle;
use crate::row::{self, Recorded};
use crate::statement::{all, execute, sql};
use crate::writer::Write;

/// Takes from lost workers, then from those asked to stop longer than a lease ago.
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
        let ended = end(write, recorded, &mut swept, |_| lifecycle::cancel_overdue())?;
        swept.cancelled.extend(ended.map(|(id, _)| id));
    }
    Ok(swept)
}

/// Settles a running job in its worker's place, whose own settle then comes too late.
fn end(
    write: &mut Write<'_>,
    recorded: Recorded,
    swept: &mut Swept,
    next: impl FnOnce(&Job) -> Next,
) -> Result<Option<(JobId, Status)>, BrokerError> {
    let (row, Some(record)) = recorded else {
        execute(write, sql!("job_delete"), [recorded.0.row])?;
        swept.orphans.push(recorded.0.id);
        return Ok(None);
    };
    let job = row.job(&record)?;
    let status = settle::put(write, &row, &job, &next(&job), None)?;
    Ok(Some((row.id, status)))
}

fn millis(write: &Write<'_>) -> i64 {
    i64::try_from(write.lease.as_millis()).unwrap_or(i64::MAX)
}
