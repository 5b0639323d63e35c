//! A step's value is kept, and read by later attempts.

use jiff::Timestamp;
use lovage_core::checkpoint::Checkpoint;
use lovage_core::error::BrokerError;
use lovage_core::event::NewEvent;
use lovage_core::id::JobId;
use lovage_core::lease::Lease;
use lovage_core::limits;
use rusqlite::{Connection, params};

use crate::ops::emit;
use crate::row;
use crate::statement::{all, execute, sql};
use crate::wake::Topic;
use crate::writer::Write;

/// Stores a value and its events; a value that is there stays, and says nothing again.
pub(crate) fn checkpoint(
    write: &mut Write<'_>,
    lease: &Lease,
    checkpoint: &Checkpoint,
    events: &[NewEvent],
) -> Result<(), BrokerError> {
    let got = checkpoint.value.as_str().len();
    if got > limits::CHECKPOINT_BYTES_MAX {
        return Err(BrokerError::TooLarge {
            what: "checkpoint",
            got,
            max: limits::CHECKPOINT_BYTES_MAX,
        });
    }
    let row = row::held(write, lease)?;
    if insert(write, row.row, checkpoint)? {
        emit::report(write, row.row, events)?;
        write.ring(Topic::Job(lease.job));
    }
    Ok(())
}

/// Whether the value was stored: a value that is there stays.
pub(crate) fn insert(
    write: &Write<'_>,
    row: i64,
    checkpoint: &Checkpoint,
) -> Result<bool, BrokerError> {
    let stored = execute(
        write,
        sql!("checkpoint_insert"),
        params![
            row,
            checkpoint.step,
            checkpoint.occurrence,
            checkpoint.fingerprint,
            checkpoint.value.as_str(),
        ],
    )?;
    Ok(stored > 0)
}

/// What a job's steps stored, in the order they did.
pub(crate) fn checkpoints(
    conn: &Connection,
    id: &JobId,
    now: Timestamp,
) -> Result<Vec<Checkpoint>, BrokerError> {
    let id = id.uuid();
    let kept = params![id.as_bytes(), now.as_millisecond()];
    all(conn, sql!("checkpoints_find"), kept, |found| {
        Ok(Checkpoint {
            step: found.get("step")?,
            occurrence: found.get("occurrence")?,
            fingerprint: found.get("fingerprint")?,
            value: row::payload(found, "value")?,
        })
    })
}
