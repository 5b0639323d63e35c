//! Records that this program cannot read: a damaged one goes to the dead list,
//! one of a newer program is left to it for a while; neither stops anything else (D1).

use std::time::Duration;

use lovage_core::error::BrokerError;
use lovage_core::job::Job;
use lovage_core::status::Status;
use lovage_core::{clock, lifecycle, record};
use rusqlite::params;

use crate::ops::settle;
use crate::row::{self, JobRow, Recorded};
use crate::statement::{execute, sql};
use crate::writer::Write;

/// How long a job is left to the newer program that can read it.
const LEFT: Duration = Duration::from_secs(5);

/// The job of a row and its record; where it cannot be read, the row is moved
/// out of the way.
pub(crate) fn open(
    write: &mut Write<'_>,
    recorded: Recorded,
) -> Result<Option<(JobRow, Job)>, BrokerError> {
    if let Ok(job) = row::read(&recorded) {
        return Ok(Some((recorded.0, job)));
    }
    let (row, record) = recorded;
    let lost = record.is_none();
    let record = record.unwrap_or_default();
    if lost {
        // What is written in its place needs a row to stand in.
        execute(write, sql!("record_insert"), params![row.row, record])?;
    }
    if record::is_newer(&record) {
        leave(write, &row)?;
    } else {
        bury(write, &row, &record)?;
    }
    Ok(None)
}

/// Puts a job into the dead list in place of what its record cannot say.
fn bury(write: &mut Write<'_>, row: &JobRow, record: &[u8]) -> Result<(), BrokerError> {
    tracing::error!(job = %row.id, queue = %row.queue, "a job's record cannot be read; it goes to the dead list");
    let job = lifecycle::unreadable(row.id, &row.queue, record, write.now);
    leave_lane(write, row)?;
    let lane = params![row.row, job.priority.get(), job.tenant.as_str()];
    execute(write, sql!("job_relane"), lane)?;
    execute(write, sql!("key_release"), [row.id.uuid().as_bytes()])?;
    let place = -row::last_place(write)?;
    row::put(write, row.row, job, Some(place), None)?;
    settle::tell(write, row, Status::Failed)
}

/// Parks a job, its record untouched and its attempts unused.
fn leave(write: &mut Write<'_>, row: &JobRow) -> Result<(), BrokerError> {
    tracing::debug!(job = %row.id, queue = %row.queue, "a newer program wrote this job; leaving it");
    leave_lane(write, row)?;
    let until = clock::after(write.now, LEFT).as_millisecond();
    execute(write, sql!("job_park"), params![row.row, until])?;
    settle::tell(write, row, Status::Waiting)
}

fn leave_lane(write: &mut Write<'_>, row: &JobRow) -> Result<(), BrokerError> {
    if row.status == Status::Queued {
        execute(write, sql!("lane_drop"), [row.row])?;
    }
    Ok(())
}
