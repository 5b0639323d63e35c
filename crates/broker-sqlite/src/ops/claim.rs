//! Jobs are given to a worker.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use lovage_core::broker::{Claim, Claimed, Claims};
use lovage_core::error::BrokerError;
use lovage_core::id::{QueueName, WorkerId};
use lovage_core::job::Job;
use lovage_core::lease::{Lease, LeaseToken};
use lovage_core::status::Status;
use lovage_core::{lifecycle, limits};
use rusqlite::{Connection, params};

use crate::lane::{self, Lane};
use crate::ops::{extend, promote, settle};
use crate::row::{self, JobRow};
use crate::statement::{all, execute, first, sql};
use crate::writer::Write;

/// Jobs that ran out of time in their lanes and are ended by one claim, beside those it gives.
const EXPIRED_MAX: usize = limits::BATCH_MAX;

/// Promotes due jobs, then gives the most urgent ones.
pub(crate) fn claim(write: &mut Write<'_>, ask: &Claim) -> Result<Claims, BrokerError> {
    extend::known(write, &ask.queue, &ask.worker)?;
    promote::promote(write, &ask.queue)?;
    let (paused, _) = queue_holds(write, &ask.queue)?;
    let want = if paused {
        0
    } else {
        ask.want.min(limits::BATCH_MAX)
    };
    let mut claimed = Vec::with_capacity(want);
    let mut taken = 0;
    while claimed.len() < want && taken < want + EXPIRED_MAX {
        let round = take(write, &ask.queue, want - claimed.len())?;
        if round.is_empty() {
            break;
        }
        taken += round.len();
        for (row, job) in round {
            claimed.extend(give(write, ask, row, job)?);
        }
    }
    let next_due = next_due(write, &ask.queue)?.map(|due| until(write.now, due));
    Ok(Claims { claimed, next_due })
}

/// The next `want` jobs, out of their lanes.
fn take(
    write: &Write<'_>,
    queue: &QueueName,
    want: usize,
) -> Result<Vec<(JobRow, Job)>, BrokerError> {
    let lanes = lane::ready(write, queue, want)?;
    let turns = lane::turns(&lanes, want);
    let shares = lane::serve(write, queue, &lanes, &turns)?;
    let mut jobs = Vec::with_capacity(lanes.len());
    for (lane, share) in lanes.iter().zip(shares) {
        jobs.push(load(write, queue, lane, share)?);
    }
    turns
        .into_iter()
        .filter_map(|turn| jobs[turn.lane].pop_front())
        .map(row::decoded)
        .collect()
}

fn load(
    conn: &Connection,
    queue: &QueueName,
    lane: &Lane,
    share: usize,
) -> Result<VecDeque<row::Recorded>, BrokerError> {
    if share == 0 {
        return Ok(VecDeque::new());
    }
    let (priority, tenant) = (lane.priority.get(), lane.tenant.as_str());
    let found = all(
        conn,
        sql!("lane_load"),
        params![queue.as_str(), priority, tenant, share],
        row::recorded,
    )?;
    Ok(found.into())
}

/// Gives a job to the worker, or ends it when its time to start is over.
fn give(
    write: &mut Write<'_>,
    ask: &Claim,
    mut row: JobRow,
    job: Job,
) -> Result<Option<Claimed>, BrokerError> {
    let token = LeaseToken {
        worker: ask.worker,
        attempt: job.attempt + 1,
        claimed_at: write.now,
    };
    execute(
        write,
        sql!("job_take"),
        params![row.row, ask.worker.to_string(), token.to_string()],
    )?;
    let job = lifecycle::claim(&job, &token);
    if let Some(next) = lifecycle::expire(&job, write.now) {
        row.status = Status::Running;
        settle::put(write, &row, &job, &next, None)?;
        return Ok(None);
    }
    let lease = Lease {
        job: row.id,
        queue: row.queue,
        token,
    };
    Ok(Some(Claimed { job, lease }))
}

/// Every job of the queue that the worker holds.
pub(crate) fn held(
    conn: &Connection,
    queue: &QueueName,
    worker: &WorkerId,
) -> Result<Vec<Claimed>, BrokerError> {
    extend::known(conn, queue, worker)?;
    let holder = params![queue.as_str(), worker.to_string()];
    let found = all(conn, sql!("held_load"), holder, row::recorded)?;
    let mut held = Vec::with_capacity(found.len());
    for recorded in found {
        let (row, job) = row::decoded(recorded)?;
        held.extend(row.token.map(|token| Claimed {
            job,
            lease: Lease {
                job: row.id,
                queue: row.queue,
                token,
            },
        }));
    }
    Ok(held)
}

/// Whether a claim would find something to do now.
pub(crate) fn is_ready(
    conn: &Connection,
    queue: &QueueName,
    now: Timestamp,
) -> Result<bool, BrokerError> {
    let (paused, queued) = queue_holds(conn, queue)?;
    if paused {
        return Ok(false);
    }
    Ok(queued > 0 || next_due(conn, queue)?.is_some_and(|due| due <= now.as_millisecond()))
}

/// Whether a queue is paused, and how many jobs are in its lanes.
fn queue_holds(conn: &Connection, queue: &QueueName) -> Result<(bool, u64), BrokerError> {
    let found = first(conn, sql!("queue_find"), [queue.as_str()], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    Ok(found.unwrap_or((false, 0)))
}

fn next_due(conn: &Connection, queue: &QueueName) -> Result<Option<i64>, BrokerError> {
    first(conn, sql!("due_first"), [queue.as_str()], |row| row.get(0))
}

fn until(now: Timestamp, due_ms: i64) -> Duration {
    let millis = due_ms.saturating_sub(now.as_millisecond());
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}
