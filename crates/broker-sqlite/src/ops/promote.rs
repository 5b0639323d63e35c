//! Jobs that nobody holds are queued: their time has come, or what they wait for.

use lovage_core::error::BrokerError;
use lovage_core::id::QueueName;
use lovage_core::job::Job;
use lovage_core::{lifecycle, limits};
use rusqlite::params;

use crate::row::{self, JobRow};
use crate::statement::{all, first, sql};
use crate::wake::Topic;
use crate::writer::Write;
use crate::{lane, unreadable};

/// Puts due jobs at the back of their lanes, the longest due first, a bounded number.
pub(crate) fn promote(write: &mut Write<'_>, queue: &QueueName) -> Result<(), BrokerError> {
    for (row, job) in due(write, queue)? {
        let place = row::last_place(write)?;
        queue_at(write, &row, &job, place)?;
    }
    Ok(())
}

/// Due jobs, read anew after one that cannot be read was moved out of the way:
/// that may have queued its parent, which then is no longer due.
fn due(write: &mut Write<'_>, queue: &QueueName) -> Result<Vec<(JobRow, Job)>, BrokerError> {
    loop {
        let now = write.now.as_millisecond();
        let found = all(
            write,
            sql!("due_load"),
            params![queue.as_str(), now, limits::PROMOTE_MAX],
            row::recorded,
        )?;
        let mut due = Vec::with_capacity(found.len());
        let all = found.len();
        for recorded in found {
            due.extend(unreadable::open(write, recorded)?);
        }
        if due.len() == all {
            return Ok(due);
        }
    }
}

/// Puts a waiting job ahead of its lane.
pub(crate) fn ahead(write: &mut Write<'_>, row: i64) -> Result<(), BrokerError> {
    let Some(recorded) = first(write, sql!("job_read"), [row], row::recorded)? else {
        return Ok(());
    };
    if let Some((row, job)) = unreadable::open(write, recorded)? {
        let place = row::first_place(write)?;
        queue_at(write, &row, &job, place)?;
        write.ring(Topic::Queue(row.queue));
        write.ring(Topic::Job(row.id));
    }
    Ok(())
}

fn queue_at(write: &Write<'_>, row: &JobRow, job: &Job, place: i64) -> Result<(), BrokerError> {
    let job = lifecycle::promote(job);
    lane::enter(write, &job)?;
    row::put(write, row.row, job, Some(place), row.settled.as_deref())
}
