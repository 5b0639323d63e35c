//! An attempt ends.

use lovage_core::broker::{Settle, Settled};
use lovage_core::error::BrokerError;
use lovage_core::job::Job;
use lovage_core::lifecycle::{self, Next};
use lovage_core::status::Status;

use crate::ops::emit;
use crate::row::{self, JobRow};
use crate::wake::Topic;
use crate::writer::Write;
use crate::{key, lane, queue, wait};

/// Settles each job that is still held under its token.
pub(crate) fn settle(
    write: &mut Write<'_>,
    settles: &[Settle],
) -> Result<Vec<Settled>, BrokerError> {
    settles
        .iter()
        .map(|settle| settle_one(write, settle))
        .collect()
}

fn settle_one(write: &mut Write<'_>, settle: &Settle) -> Result<Settled, BrokerError> {
    let lease = &settle.lease;
    let Some(row) = row::find(write, &lease.job)?.filter(|row| row.queue == lease.queue) else {
        return Ok(Settled::Fenced);
    };
    if row.token != Some(lease.token) {
        let again = row.settled == Some(lease.token.to_string());
        return Ok(if again {
            Settled::Done
        } else {
            Settled::Fenced
        });
    }
    let goes_on = !matches!(settle.next, Next::Finish { .. });
    let overdue = (row.cancel_asked && goes_on).then(lifecycle::cancel_overdue);
    let next = overdue.as_ref().unwrap_or(&settle.next);
    let job = Job {
        cancel_requested: row.cancel_asked,
        ..settle.job.clone()
    };
    put(write, &row, &job, next, Some(&lease.token.to_string()))?;
    if let Next::Wait { reason, .. } = next {
        wait::look(write, &row, reason)?;
    }
    Ok(Settled::Done)
}

/// Writes what `next` makes of a job: state, record, lane, unique key and
/// event together (S1). With `settled`, the same settle sent again is known (S2).
pub(crate) fn put(
    write: &mut Write<'_>,
    row: &JobRow,
    job: &Job,
    next: &Next,
    settled: Option<&str>,
) -> Result<Status, BrokerError> {
    let after = lifecycle::apply(job, next, write.now);
    let status = after.status;
    if row.status == Status::Queued {
        lane::leave(write, &after)?;
    }
    if status == Status::Queued {
        lane::enter(write, &after)?;
    }
    if status.is_final() {
        key::free_unique(write, &after)?;
    }
    row::put(write, row.row, after, place(write, next)?, settled)?;
    if let Some(event) = lifecycle::event(next) {
        emit::append(write, row.row, &[event])?;
    }
    tell(write, row, status)?;
    Ok(status)
}

/// Tells those whom it concerns that a job went from where `row` has it to `status`.
pub(crate) fn tell(write: &mut Write<'_>, row: &JobRow, status: Status) -> Result<(), BrokerError> {
    if !status.is_final() || (row.token.is_some() && queue::awaits_slot(write, &row.queue)?) {
        write.ring(Topic::Queue(row.queue.clone()));
    }
    write.ring(Topic::Job(row.id));
    if row.child && status.is_final() {
        wait::child_ended(write, &row.id)?;
    }
    Ok(())
}

/// The new place in line, if it changes.
fn place(write: &Write<'_>, next: &Next) -> Result<Option<i64>, BrokerError> {
    Ok(match next {
        Next::Requeue { front: true, .. } => Some(row::first_place(write)?),
        Next::Requeue { front: false, .. } => Some(row::last_place(write)?),
        Next::Wait { .. } => None,
        Next::Finish { .. } => Some(-row::last_place(write)?),
    })
}
