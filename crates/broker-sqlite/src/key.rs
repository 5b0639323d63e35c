//! Unique keys and idempotency keys of a tenant in a queue.

use jiff::Timestamp;
use lovage_core::broker::Enqueued;
use lovage_core::error::BrokerError;
use lovage_core::id::JobId;
use lovage_core::job::{Idempotency, NewJob};
use lovage_core::{clock, limits};
use rusqlite::params;

use crate::row::job_id;
use crate::statement::{execute, first, sql};
use crate::writer::Write;

const UNIQUE: &str = "u";
const IDEMPOTENCY: &str = "i";

/// What an earlier enqueue under the same idempotency key means for this one (E2).
pub(crate) fn replayed(
    write: &Write<'_>,
    new: &NewJob,
    asked: &Idempotency,
) -> Result<Option<Enqueued>, BrokerError> {
    let found = find(write, new, IDEMPOTENCY, &asked.key)?;
    Ok(found.map(|(id, fingerprint)| {
        if fingerprint.as_deref() == Some(asked.fingerprint.as_str()) {
            Enqueued::Replayed(id)
        } else {
            Enqueued::KeyReused(id)
        }
    }))
}

/// The job that holds the unique key of `new` (E3); it may be `new` itself.
pub(crate) fn holder(write: &Write<'_>, new: &NewJob) -> Result<Option<JobId>, BrokerError> {
    let Some(unique) = &new.unique else {
        return Ok(None);
    };
    Ok(find(write, new, UNIQUE, &unique.key)?.map(|(id, _)| id))
}

/// Takes the unique key of a job, until it is final or its window ends.
pub(crate) fn take_unique(write: &Write<'_>, new: &NewJob) -> Result<(), BrokerError> {
    let Some(unique) = &new.unique else {
        return Ok(());
    };
    let until = unique.window.map(|window| clock::after(write.now, window));
    take(write, new, UNIQUE, &unique.key, None, until)
}

/// Remembers what was enqueued under an idempotency key.
pub(crate) fn remember(
    write: &Write<'_>,
    new: &NewJob,
    asked: &Idempotency,
) -> Result<(), BrokerError> {
    let until = clock::after(write.now, limits::IDEMPOTENCY_WINDOW);
    let fingerprint = Some(asked.fingerprint.as_str());
    take(
        write,
        new,
        IDEMPOTENCY,
        &asked.key,
        fingerprint,
        Some(until),
    )
}

/// Who holds a key now, and under which fingerprint.
fn find(
    write: &Write<'_>,
    new: &NewJob,
    of: &str,
    key: &str,
) -> Result<Option<(JobId, Option<String>)>, BrokerError> {
    let now = write.now.as_millisecond();
    first(
        write,
        sql!("key_find"),
        params![new.queue.as_str(), new.tenant.as_str(), of, key, now],
        |row| Ok((job_id(row.get(0)?), row.get(1)?)),
    )
}

fn take(
    write: &Write<'_>,
    new: &NewJob,
    of: &str,
    key: &str,
    fingerprint: Option<&str>,
    until: Option<Timestamp>,
) -> Result<(), BrokerError> {
    execute(
        write,
        sql!("key_take"),
        params![
            new.queue.as_str(),
            new.tenant.as_str(),
            of,
            key,
            new.id.uuid().as_bytes(),
            fingerprint,
            until.map(Timestamp::as_millisecond),
        ],
    )?;
    Ok(())
}

/// A job is final: its unique key is free, unless a window keeps it.
pub(crate) fn free_unique(write: &Write<'_>, job: &NewJob) -> Result<(), BrokerError> {
    let Some(unique) = &job.unique else {
        return Ok(());
    };
    execute(
        write,
        sql!("key_free"),
        params![
            job.queue.as_str(),
            job.tenant.as_str(),
            unique.key,
            job.id.uuid().as_bytes(),
        ],
    )?;
    Ok(())
}
