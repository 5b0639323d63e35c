//! A running job says something.

use lovage_core::error::BrokerError;
use lovage_core::event::{self, NewEvent};
use lovage_core::lease::Lease;
use lovage_core::limits;
use rusqlite::{Connection, params};

use crate::row;
use crate::statement::{execute, first, sql};
use crate::wake::Topic;
use crate::writer::Write;

/// Appends events of a job that is held under `lease`.
pub(crate) fn emit(
    write: &mut Write<'_>,
    lease: &Lease,
    events: &[NewEvent],
) -> Result<(), BrokerError> {
    let row = row::held(write, lease)?;
    report(write, row.row, events)?;
    write.ring(Topic::Job(lease.job));
    Ok(())
}

/// Appends what a handler says; the last progress among it is the job's.
pub(crate) fn report(write: &Write<'_>, row: i64, events: &[NewEvent]) -> Result<(), BrokerError> {
    append(write, row, events)?;
    let progress = events
        .iter()
        .rfind(|event| event.kind == event::kind::PROGRESS);
    if let Some(progress) = progress {
        execute(
            write,
            sql!("job_progress"),
            params![row, progress.data.as_str()],
        )?;
    }
    Ok(())
}

/// Appends events, and drops the oldest where they are too many.
pub(crate) fn append(write: &Write<'_>, row: i64, events: &[NewEvent]) -> Result<(), BrokerError> {
    if events.is_empty() {
        return Ok(());
    }
    let (oldest, mut last) = bounds(write, row)?;
    for event in events {
        last += 1;
        execute(
            write,
            sql!("event_insert"),
            params![
                row,
                last,
                write.now.as_millisecond(),
                event.kind,
                event.step,
                event.data.as_str(),
            ],
        )?;
    }
    let dropped = last.saturating_sub(limits::EVENTS_MAX as u64);
    if dropped >= oldest {
        execute(write, sql!("events_trim"), params![row, dropped])?;
    }
    Ok(())
}

/// The sequences of a job's oldest and newest event; 1 and 0 while it has none.
pub(crate) fn bounds(conn: &Connection, row: i64) -> Result<(u64, u64), BrokerError> {
    let bounds = first(conn, sql!("event_bounds"), [row], |row| {
        Ok((row.get::<_, Option<u64>>(0)?, row.get::<_, Option<u64>>(1)?))
    })?;
    let (oldest, newest) = bounds.unwrap_or_default();
    Ok((oldest.unwrap_or(1), newest.unwrap_or(0)))
}
