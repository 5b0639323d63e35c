//! What a waiting job waits for beside its time, and what happens when it comes.

use lovage_core::checkpoint;
use lovage_core::error::BrokerError;
use lovage_core::id::JobId;
use lovage_core::job::Job;
use lovage_core::lifecycle;
use lovage_core::payload::Payload;
use lovage_core::status::{Join, WaitReason};
use rusqlite::{Connection, params};

use crate::ops::promote;
use crate::row::{self, JobRow};
use crate::statement::{all, first, sql};
use crate::writer::Write;

/// How the tables keep what a job waits for, where it is more than its time.
pub(crate) fn column(job: &Job) -> Option<String> {
    let reason = &job.waiting.as_ref()?.reason;
    match reason {
        WaitReason::Backoff | WaitReason::Limit | WaitReason::LimitOf(_) => None,
        WaitReason::Signal(_) | WaitReason::Children(_) => {
            let text = Payload::of(reason).expect("a reason has a JSON form");
            Some(text.as_str().to_owned())
        }
    }
}

/// Reads what [`column`] wrote.
pub(crate) fn read(text: &str) -> Option<WaitReason> {
    Payload::parse(text).ok()?.read().ok()
}

/// Queues a job that was just parked, when what it waits for is there already.
pub(crate) fn look(
    write: &mut Write<'_>,
    row: &JobRow,
    reason: &WaitReason,
) -> Result<(), BrokerError> {
    if is_there(write, row.row, reason)? {
        promote::ahead(write, row.row)?;
    }
    Ok(())
}

/// A job got a signal of this name: it goes on if it waits for it.
pub(crate) fn signalled(
    write: &mut Write<'_>,
    row: &JobRow,
    name: &str,
) -> Result<(), BrokerError> {
    if row.waits.as_ref().and_then(WaitReason::signal) == Some(name) {
        promote::ahead(write, row.row)?;
    }
    Ok(())
}

/// A child is over: parents that wait for it go on, if it was the last they wait for (P2).
pub(crate) fn child_ended(write: &mut Write<'_>, child: &JobId) -> Result<(), BrokerError> {
    let child = child.uuid();
    let parents = all(
        write,
        sql!("parents_load"),
        [child.as_bytes()],
        JobRow::read,
    )?;
    for parent in parents {
        if let Some(reason @ WaitReason::Children(_)) = &parent.waits {
            look(write, &parent, reason)?;
        }
    }
    Ok(())
}

fn is_there(conn: &Connection, row: i64, reason: &WaitReason) -> Result<bool, BrokerError> {
    match reason {
        WaitReason::Backoff | WaitReason::Limit | WaitReason::LimitOf(_) => Ok(false),
        WaitReason::Signal(name) => Ok(stored(conn, row, name)?.is_some()),
        WaitReason::Children(join) => joined(conn, row, *join),
    }
}

/// The data of a signal that came.
pub(crate) fn stored(
    conn: &Connection,
    row: i64,
    name: &str,
) -> Result<Option<Payload>, BrokerError> {
    let step = params![row, checkpoint::signal_step(name), 0];
    first(conn, sql!("checkpoint_find"), step, |found| {
        row::payload(found, "value")
    })
}

fn joined(conn: &Connection, row: i64, join: Join) -> Result<bool, BrokerError> {
    let stand = first(conn, sql!("children_stand"), [row], |found| {
        Ok((found.get::<_, bool>(0)?, found.get::<_, bool>(1)?))
    })?;
    let (open, failed) = stand.unwrap_or_default();
    // Whether there are any is all that a join asks.
    Ok(lifecycle::joined(join, u64::from(open), u64::from(failed)))
}
