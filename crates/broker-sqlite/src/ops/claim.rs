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
use lovage_core::{lease, lifecycle, limits};
use rusqlite::{Connection, params};

use crate::lane::{self, Lane, Turn};
use crate::ops::{extend, promote, settle};
use crate::queue::Queue;
use crate::row::{self, JobRow, Recorded};
use crate::statement::{all, execute, first, sql};
use crate::unreadable;
use crate::writer::Write;

/// Jobs that ran out of time in their lanes and are ended by one claim, beside those it gives.
const EXPIRED_MAX: usize = limits::BATCH_MAX;

/// Promotes due jobs, then gives the most urgent ones.
pub(crate) fn claim(write: &mut Write<'_>, ask: &Claim) -> Result<Claims, BrokerError> {
    extend::known(write, &ask.queue, &ask.worker)?;
    promote::promote(write, &ask.queue)?;
    let queue = Queue::find(write, &ask.queue)?;
    let want = ask.want.min(limits::BATCH_MAX).min(queue.slots());
    let starts = queue.starts(write.now).min(want + EXPIRED_MAX);
    let mut claimed = Vec::with_capacity(want);
    let mut started = 0;
    while claimed.len() < want && started < starts {
        let most = (want - claimed.len()).min(starts - started);
        let round = take(write, &ask.queue, most)?;
        if round.is_empty() {
            break;
        }
        started += round.len();
        for recorded in round {
            claimed.extend(give(write, ask, recorded)?);
        }
    }
    queue.pace(write, &ask.queue, started)?;
    let next_due = next_due(write, &ask.queue)?;
    Ok(Claims { claimed, next_due })
}

/// The next jobs, at most `want`, out of their lanes.
fn take(write: &Write<'_>, queue: &QueueName, want: usize) -> Result<Vec<Recorded>, BrokerError> {
    let lanes = lane::ready(write, queue, want)?;
    let mut turns = lane::turns(&lanes, want);
    let shares = lane::shares(&lanes, &turns);
    let mut jobs = Vec::with_capacity(lanes.len());
    for (lane, share) in lanes.iter().zip(shares) {
        jobs.push(load(write, queue, lane, share)?);
    }
    let next = |turn: &Turn| jobs[turn.lane].pop_front();
    let mut round: Vec<Recorded> = turns.iter().filter_map(next).collect();
    // What ends here instead of being given may queue its parent ahead of the others.
    let ends = |recorded: &Recorded| recorded.0.child && is_over(recorded, write.now);
    if let Some(end) = round.iter().position(ends) {
        round.truncate(end + 1);
        turns.truncate(end + 1);
    }
    lane::serve(write, queue, &lanes, &turns)?;
    Ok(round)
}

/// Whether a queued job will be ended, not given.
fn is_over(recorded: &Recorded, now: Timestamp) -> bool {
    row::read(recorded).map_or(true, |job| lifecycle::expire(&job, now).is_some())
}

fn load(
    conn: &Connection,
    queue: &QueueName,
    lane: &Lane,
    share: usize,
) -> Result<VecDeque<Recorded>, BrokerError> {
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

/// Gives a job that is out of its lane to the worker, or ends it when its time
/// to start is over.
fn give(
    write: &mut Write<'_>,
    ask: &Claim,
    (mut row, record): Recorded,
) -> Result<Option<Claimed>, BrokerError> {
    row.status = Status::Running;
    let Some((row, job)) = unreadable::open(write, (row, record))? else {
        return Ok(None);
    };
    let token = LeaseToken {
        worker: ask.worker,
        attempt: job.attempt + 1,
        claimed_at: lease::claim_time(write.now, row.claimed_before()),
    };
    execute(
        write,
        sql!("job_take"),
        params![row.row, ask.worker.to_string(), token.to_string()],
    )?;
    let job = lifecycle::claim(&job, &token);
    if let Some(next) = lifecycle::expire(&job, write.now) {
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

/// Every job of the queue that the worker holds; nothing where one of them
/// cannot be read, which [`held_readable`] moves out of the way.
pub(crate) fn held(
    conn: &Connection,
    queue: &QueueName,
    worker: &WorkerId,
) -> Result<Option<Vec<Claimed>>, BrokerError> {
    let found = load_held(conn, queue, worker)?;
    let held = found.into_iter().map(|found| {
        let job = row::read(&found).ok()?;
        held_under(found.0, job)
    });
    Ok(held.collect())
}

/// Every job of the queue that the worker holds and this program can read.
pub(crate) fn held_readable(
    write: &mut Write<'_>,
    queue: &QueueName,
    worker: &WorkerId,
) -> Result<Vec<Claimed>, BrokerError> {
    let mut held = Vec::new();
    for recorded in load_held(write, queue, worker)? {
        if let Some((row, job)) = unreadable::open(write, recorded)? {
            held.extend(held_under(row, job));
        }
    }
    Ok(held)
}

fn load_held(
    conn: &Connection,
    queue: &QueueName,
    worker: &WorkerId,
) -> Result<Vec<Recorded>, BrokerError> {
    extend::known(conn, queue, worker)?;
    let holder = params![queue.as_str(), worker.to_string()];
    all(conn, sql!("held_load"), holder, row::recorded)
}

fn held_under(row: JobRow, job: Job) -> Option<Claimed> {
    let token = row.token?;
    let lease = Lease {
        job: row.id,
        queue: row.queue,
        token,
    };
    Some(Claimed { job, lease })
}

/// Whether a claim would find something to do now.
pub(crate) fn is_ready(
    conn: &Connection,
    name: &QueueName,
    now: Timestamp,
) -> Result<bool, BrokerError> {
    let queue = Queue::find(conn, name)?;
    if !queue.is_open(now) {
        return Ok(false);
    }
    Ok(queue.has_jobs() || first_due(conn, name)?.is_some_and(|due| due <= now.as_millisecond()))
}

/// Time until a job of the queue is due, or its rate lets go one that is queued.
fn next_due(write: &Write<'_>, queue: &QueueName) -> Result<Option<Duration>, BrokerError> {
    let due = first_due(write, queue)?.map(|due| until(write.now, due));
    let held_back = Queue::find(write, queue)?.held_back(write.now);
    Ok(due.into_iter().chain(held_back).min())
}

fn first_due(conn: &Connection, queue: &QueueName) -> Result<Option<i64>, BrokerError> {
    first(conn, sql!("due_first"), [queue.as_str()], |row| row.get(0))
}

fn until(now: Timestamp, due_ms: i64) -> Duration {
    let millis = due_ms.saturating_sub(now.as_millisecond());
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}
