//! A job is to stop.

use lovage_core::broker::CancelReply;
use lovage_core::error::BrokerError;
use lovage_core::event::{self, NewEvent};
use lovage_core::id::JobId;
use lovage_core::lifecycle::{self, Cancel};
use lovage_core::payload::Payload;
use rusqlite::params;

use crate::ops::{children, emit, settle};
use crate::row::{self, JobRow};
use crate::statement::{execute, sql};
use crate::unreadable;
use crate::wake::Topic;
use crate::writer::Write;

/// Cancels a job that nobody runs, or asks its worker to stop it; its
/// unfinished children before it.
pub(crate) fn cancel(write: &mut Write<'_>, id: &JobId) -> Result<CancelReply, BrokerError> {
    let row = row::find(write, id)?.filter(|row| !row.is_gone(write.now));
    let children = match row {
        None => return Ok(CancelReply::NotFound),
        Some(row) if row.status.is_final() => return Ok(CancelReply::TooLate(row.status)),
        Some(_) => children::below(write, id, sql!("children_open"))?,
    };
    for child in &children {
        cancel_one(write, child)?;
    }
    cancel_one(write, id)?.ok_or_else(|| unreadable::newer(id))
}

/// Cancels one job; nothing where only a newer program could.
fn cancel_one(write: &mut Write<'_>, id: &JobId) -> Result<Option<CancelReply>, BrokerError> {
    let found = row::load(write, id)?.filter(|(row, _)| !row.is_gone(write.now));
    let Some(recorded) = found else {
        return Ok(Some(CancelReply::NotFound));
    };
    let Some((row, job)) = unreadable::open(write, recorded)? else {
        let row = row::find(write, id)?.filter(|row| row.status.is_final());
        return Ok(row.map(|row| CancelReply::TooLate(row.status)));
    };
    Ok(Some(match lifecycle::cancel(&job) {
        Cancel::Now(next) => {
            settle::put(write, &row, &job, &next, None)?;
            CancelReply::Cancelled
        }
        Cancel::Ask => {
            ask(write, &row)?;
            CancelReply::Requested
        }
        Cancel::TooLate => CancelReply::TooLate(job.status),
    }))
}

/// Asks once: the time a worker is given to stop does not begin anew.
fn ask(write: &mut Write<'_>, row: &JobRow) -> Result<(), BrokerError> {
    let Some(token) = row.token.filter(|_| !row.cancel_asked) else {
        return Ok(());
    };
    execute(
        write,
        sql!("job_ask"),
        params![row.row, write.now.as_millisecond()],
    )?;
    let event = NewEvent {
        kind: event::kind::CANCEL_REQUESTED.to_owned(),
        step: None,
        data: Payload::null(),
    };
    emit::append(write, row.row, &[event])?;
    write.ring(Topic::Worker(token.worker));
    write.ring(Topic::Job(row.id));
    Ok(())
}
