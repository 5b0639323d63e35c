//! Scheduled and waiting jobs whose time has come are queued.

use lovage_core::error::BrokerError;
use lovage_core::id::QueueName;
use lovage_core::{lifecycle, limits};
use rusqlite::params;

use crate::statement::{all, sql};
use crate::writer::Write;
use crate::{lane, row};

/// Puts due jobs at the back of their lanes, the longest due first, a bounded number.
pub(crate) fn promote(write: &Write<'_>, queue: &QueueName) -> Result<(), BrokerError> {
    let due = all(
        write,
        sql!("due_load"),
        params![
            queue.as_str(),
            write.now.as_millisecond(),
            limits::PROMOTE_MAX
        ],
        row::recorded,
    )?;
    for recorded in due {
        let (found, job) = row::decoded(recorded)?;
        let job = lifecycle::promote(&job);
        lane::enter(write, &job)?;
        let place = row::last_place(write)?;
        let settled = found.settled.as_deref();
        row::put(write, found.row, job, Some(place), settled)?;
    }
    Ok(())
}
