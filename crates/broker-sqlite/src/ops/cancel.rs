//! A job is to stop.

use lovage_core::broker::CancelReply;
use lovage_core::error::BrokerError;
use lovage_core::event::{self, NewEvent};
use lovage_core::id::JobId;
use lovage_core::lifecycle::{self, Cancel};
use lovage_core::payload::Payload;
use rusqlite::params;

use crate::ops::{emit, settle};
use crate::row::{self, JobRow};
use crate::statement::{execute, sql};
use crate::wake::Topic;
use crate::writer::Write;

/// Cancels a job that nobody runs, or asks its worker to stop it.
pub(crate) fn cancel(write: &mut Write<'_>, id: &JobId) -> Result<CancelReply, BrokerError> {
    let found = row::load(write, id)?.filter(|(row, _)| !row.is_gone(write.now));
    let Some((row, job)) = found else {
        return Ok(CancelReply::NotFound);
    };
    match lifecycle::cancel(&job) {
        Cancel::Now(next) => {
            settle::put(write, &row, &job, &next, None)?;
            Ok(CancelReply::Cancelled)
        }
        Cancel::Ask => {
            ask(write, &row)?;
            Ok(CancelReply::Requested)
        }
        Cancel::TooLate => Ok(CancelReply::TooLate(job.status)),
    }
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
