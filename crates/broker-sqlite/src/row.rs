//! A job as the tables hold it: a row, and a record beside it.

use std::str::FromStr;

use jiff::Timestamp;
use lovage_core::clock;
use lovage_core::error::BrokerError;
use lovage_core::id::{JobId, QueueName};
use lovage_core::job::{Idempotency, Job, Progress};
use lovage_core::lease::{Lease, LeaseToken};
use lovage_core::payload::Payload;
use lovage_core::status::{Status, WaitReason};
use lovage_core::{lifecycle, limits, record};
use rusqlite::types::Type;
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use crate::statement::{execute, first, sql};
use crate::wait;
use crate::writer::Write;

/// A row of `jobs`.
pub(crate) struct JobRow {
    /// Its number, by which other tables name the job.
    pub(crate) row: i64,
    pub(crate) id: JobId,
    pub(crate) queue: QueueName,
    pub(crate) status: Status,
    /// Where it stands in line.
    pub(crate) place: i64,
    /// Set exactly when it is running.
    pub(crate) token: Option<LeaseToken>,
    /// The token of the settle that ended its last attempt, or what [`redriven`] says.
    pub(crate) settled: Option<String>,
    /// What [`idempotency`] says of the enqueue it came with.
    pub(crate) idempotency: Option<String>,
    /// It is running and was asked to stop.
    pub(crate) cancel_asked: bool,
    /// Some job's state depends on how it ends.
    pub(crate) child: bool,
    /// The signal or the children it waits for.
    pub(crate) waits: Option<WaitReason>,
    gone_ms: Option<i64>,
    progress: Option<String>,
}

impl JobRow {
    pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            row: row.get("row")?,
            id: job_id(row.get("id")?),
            queue: parsed(row, "queue")?,
            status: status(row)?,
            place: row.get("place")?,
            token: token(row)?,
            settled: row.get("settled")?,
            idempotency: row.get("idempotency")?,
            cancel_asked: row.get::<_, Option<i64>>("cancel_ms")?.is_some(),
            child: row.get("child")?,
            waits: waits(row)?,
            gone_ms: row.get("gone_ms")?,
            progress: row.get("progress")?,
        })
    }

    /// Whether the job is past its time, and only waits to be pruned.
    pub(crate) fn is_gone(&self, now: Timestamp) -> bool {
        self.gone_ms
            .is_some_and(|gone| gone <= now.as_millisecond())
    }

    /// What the next claim is later than, see [`lovage_core::lease::claim_time`].
    pub(crate) fn claimed_before(&self) -> Option<Timestamp> {
        let (_, millis) = self.settled.as_deref()?.rsplit_once(':')?;
        Timestamp::from_millisecond(millis.parse().ok()?).ok()
    }

    /// A program that cannot read a record moves its row alone, so the row is right.
    fn placed(&self, job: Job) -> Job {
        match self.status {
            Status::Running => job,
            status => Job { status, ..job },
        }
    }

    /// The job of this row and its record, as it stands now, without its result.
    ///
    /// # Errors
    /// [`BrokerError::Corrupt`] when this program cannot read the record.
    pub(crate) fn job(&self, record: &[u8]) -> Result<Job, BrokerError> {
        let job = record::decode(self.id, &self.queue, record)?;
        let Some(token) = &self.token else {
            return Ok(self.placed(job));
        };
        let progress = self.progress.as_deref().and_then(read_progress);
        Ok(Job {
            cancel_requested: self.cancel_asked,
            progress,
            ..lifecycle::claim(&job, token)
        })
    }
}

/// A row and its record, which only a damaged file lacks.
pub(crate) type Recorded = (JobRow, Option<Vec<u8>>);

/// Reads a row that ends in its record.
pub(crate) fn recorded(row: &Row<'_>) -> rusqlite::Result<Recorded> {
    Ok((JobRow::read(row)?, row.get("record")?))
}

/// The job of a row and its record, as [`JobRow::job`]; a record that is not
/// there cannot be read.
pub(crate) fn read((row, record): &Recorded) -> Result<Job, BrokerError> {
    row.job(record.as_deref().unwrap_or_default())
}

/// The row of a job, whether or not it is past its time.
pub(crate) fn find(conn: &Connection, id: &JobId) -> Result<Option<JobRow>, BrokerError> {
    first(conn, sql!("job_find"), [id.uuid().as_bytes()], JobRow::read)
}

/// The row and the record of a job, whether or not it is past its time.
pub(crate) fn load(conn: &Connection, id: &JobId) -> Result<Option<Recorded>, BrokerError> {
    first(conn, sql!("job_load"), [id.uuid().as_bytes()], recorded)
}

/// The row of a job that is held under `lease`.
///
/// # Errors
/// [`BrokerError::LeaseLost`] when it is not.
pub(crate) fn held(conn: &Connection, lease: &Lease) -> Result<JobRow, BrokerError> {
    find(conn, &lease.job)?
        .filter(|row| row.queue == lease.queue && row.token == Some(lease.token))
        .ok_or(BrokerError::LeaseLost)
}

/// Writes a job that nobody holds, in place of what was there; with a new
/// place in line, or at its old one; `settled` is the token of the settle that
/// ended its last attempt.
pub(crate) fn put(
    write: &Write<'_>,
    row: i64,
    mut job: Job,
    place: Option<i64>,
    settled: Option<&str>,
) -> Result<(), BrokerError> {
    let result = job.result.take();
    let gone = job
        .keep_until
        .map(|until| clock::after(until, limits::TOMBSTONE));
    execute(
        write,
        sql!("job_move"),
        params![
            row,
            letter(job.status),
            place,
            due_ms(&job),
            gone.map(Timestamp::as_millisecond),
            settled,
            expires_ms(&job),
            wait::column(&job),
        ],
    )?;
    let result = result.as_ref().map(Payload::as_str);
    execute(
        write,
        sql!("record_put"),
        params![row, record::encode(&job), result],
    )?;
    Ok(())
}

/// What stands in place of a token in `settled` of a job that is redriven now:
/// no settle is known any more, but claims are later than those before.
pub(crate) fn redriven(row: &JobRow, now: Timestamp) -> String {
    let before = row.claimed_before().map_or(now, |before| before.max(now));
    format!("-:{}", before.as_millisecond())
}

/// When a scheduled or waiting job is due.
pub(crate) fn due_ms(job: &Job) -> Option<i64> {
    let due = match job.status {
        Status::Scheduled => job.run_at,
        Status::Waiting => job.waiting.as_ref().map(|waiting| waiting.until),
        _ => None,
    };
    due.map(Timestamp::as_millisecond)
}

/// When a job ends that is not started by then.
pub(crate) fn expires_ms(job: &Job) -> Option<i64> {
    let unstarted = !job.status.is_final();
    job.expires_at
        .filter(|_| unstarted)
        .map(Timestamp::as_millisecond)
}

/// A place in line behind everyone.
pub(crate) fn last_place(write: &Write<'_>) -> Result<i64, BrokerError> {
    first(write, sql!("place_last"), [], |row| row.get(0))?.ok_or_else(no_line)
}

/// A place in line ahead of everyone.
pub(crate) fn first_place(write: &Write<'_>) -> Result<i64, BrokerError> {
    first(write, sql!("place_first"), [], |row| row.get(0))?.ok_or_else(no_line)
}

fn no_line() -> BrokerError {
    BrokerError::Corrupt("the line has no next place".to_owned())
}

/// An idempotency key and fingerprint in one text; a key holds no line break.
pub(crate) fn idempotency(asked: &Idempotency) -> String {
    format!("{}\n{}", asked.key, asked.fingerprint)
}

/// The letter of a state in the tables: the record's, and `r` for running.
pub(crate) fn letter(status: Status) -> String {
    match status {
        Status::Running => 'r',
        other => record::state_letter(other),
    }
    .to_string()
}

fn status(row: &Row<'_>) -> rusqlite::Result<Status> {
    status_of(&row.get::<_, String>("state")?)
}

/// The status of a state's letter.
pub(crate) fn status_of(found: &str) -> rusqlite::Result<Status> {
    Status::ALL
        .into_iter()
        .find(|status| letter(*status) == found)
        .ok_or_else(|| unreadable(format!("state {found:?}")))
}

fn waits(row: &Row<'_>) -> rusqlite::Result<Option<WaitReason>> {
    let text: Option<String> = row.get("waits")?;
    Ok(text.as_deref().and_then(wait::read))
}

fn token(row: &Row<'_>) -> rusqlite::Result<Option<LeaseToken>> {
    let text: Option<String> = row.get("token")?;
    text.map(|text| text.parse().map_err(unreadable))
        .transpose()
}

/// A name in a column, parsed.
pub(crate) fn parsed<T>(row: &Row<'_>, column: &str) -> rusqlite::Result<T>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    row.get_ref(column)?.as_str()?.parse().map_err(unreadable)
}

/// A small number as what it stands for.
pub(crate) fn bounded<T: TryFrom<u8>>(number: u8) -> rusqlite::Result<T> {
    T::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(0, i64::from(number)))
}

/// A document in a column, parsed.
pub(crate) fn payload(row: &Row<'_>, column: &str) -> rusqlite::Result<Payload> {
    Payload::parse(row.get_ref(column)?.as_str()?).map_err(unreadable)
}

/// A job's id as it is stored.
pub(crate) fn job_id(bytes: [u8; 16]) -> JobId {
    Uuid::from_bytes(bytes).into()
}

fn unreadable(
    error: impl Into<Box<dyn std::error::Error + Send + Sync + 'static>>,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, error.into())
}

/// What is no progress is none: a handler may put anything into its events.
fn read_progress(text: &str) -> Option<Progress> {
    Payload::parse(text).ok()?.read().ok()
}
