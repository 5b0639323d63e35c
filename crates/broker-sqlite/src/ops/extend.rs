//! A worker's lease: it begins, moves and ends.

use jiff::Timestamp;
use lovage_core::clock;
use lovage_core::error::BrokerError;
use lovage_core::id::{JobId, QueueName, WorkerId};
use rusqlite::{Connection, params};

use crate::row::job_id;
use crate::statement::{all, execute, first, sql};
use crate::writer::Write;

/// Begins a lease. The same call sent again moves it.
pub(crate) fn register(
    write: &Write<'_>,
    queue: &QueueName,
    worker: &WorkerId,
) -> Result<(), BrokerError> {
    let deadline = deadline(write).as_millisecond();
    let begun = execute(
        write,
        sql!("worker_register"),
        params![queue.as_str(), worker.to_string(), deadline],
    )?;
    if begun == 0 {
        return Err(BrokerError::WorkerUnknown);
    }
    Ok(())
}

/// Ends a lease; the next sweep takes what was held under it.
pub(crate) fn deregister(
    write: &Write<'_>,
    queue: &QueueName,
    worker: &WorkerId,
) -> Result<(), BrokerError> {
    execute(
        write,
        sql!("worker_lose"),
        params![queue.as_str(), worker.to_string()],
    )?;
    Ok(())
}

/// Moves a lease that no sweep has ended; the jobs its worker is to stop.
pub(crate) fn extend(
    write: &Write<'_>,
    queue: &QueueName,
    worker: &WorkerId,
) -> Result<Vec<JobId>, BrokerError> {
    let deadline = deadline(write).as_millisecond();
    let moved = execute(
        write,
        sql!("worker_extend"),
        params![queue.as_str(), worker.to_string(), deadline],
    )?;
    if moved == 0 {
        return Err(BrokerError::WorkerUnknown);
    }
    let asked = asked(write, queue, worker)?;
    Ok(asked.into_iter().map(|(id, _)| id).collect())
}

/// Whether a worker may claim.
///
/// # Errors
/// [`BrokerError::WorkerUnknown`] when it may not.
pub(crate) fn known(
    conn: &Connection,
    queue: &QueueName,
    worker: &WorkerId,
) -> Result<(), BrokerError> {
    let worker = worker.to_string();
    first(
        conn,
        sql!("worker_find"),
        params![queue.as_str(), worker],
        |_| Ok(()),
    )?
    .ok_or(BrokerError::WorkerUnknown)
}

/// The jobs a worker is to stop, and the tokens it holds them under.
pub(crate) fn asked(
    conn: &Connection,
    queue: &QueueName,
    worker: &WorkerId,
) -> Result<Vec<(JobId, String)>, BrokerError> {
    all(
        conn,
        sql!("asked_find"),
        params![queue.as_str(), worker.to_string()],
        |row| Ok((job_id(row.get(0)?), row.get(1)?)),
    )
}

fn deadline(write: &Write<'_>) -> Timestamp {
    clock::after(write.now, write.lease)
}
