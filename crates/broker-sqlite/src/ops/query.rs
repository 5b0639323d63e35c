//! Looking at what the store holds, and pausing a queue.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use lovage_core::error::BrokerError;
use lovage_core::id::{JobId, QueueName};
use lovage_core::job::Job;
use lovage_core::limits;
use lovage_core::payload::Payload;
use lovage_core::query::{Filter, JobPage, Page, QueueStats};
use lovage_core::status::Status;
use rusqlite::{Connection, params};

use crate::file::StoreFile;
use crate::ops::enqueue::{session_label, tag_label};
use crate::queue;
use crate::row::{self, JobRow};
use crate::statement::{all, execute, first, sql};
use crate::wake::Topic;
use crate::writer::Write;

/// A job with its result.
pub(crate) fn get(
    conn: &Connection,
    id: &JobId,
    now: Timestamp,
) -> Result<Option<Job>, BrokerError> {
    let Some(found) = row::load(conn, id)?.filter(|(row, _)| !row.is_gone(now)) else {
        return Ok(None);
    };
    let mut job = row::read(&found)?;
    if job.status == Status::Succeeded {
        job.result = result(conn, &found.0)?;
    }
    Ok(Some(job))
}

fn result(conn: &Connection, row: &JobRow) -> Result<Option<Payload>, BrokerError> {
    let text = first(conn, sql!("job_result"), [row.row], |found| {
        found.get::<_, Option<String>>(0)
    })?;
    text.flatten()
        .map(|text| Payload::parse(&text))
        .transpose()
        .map_err(|_| BrokerError::Corrupt(format!("the result of job {}", row.id)))
}

/// Jobs looked at together, where a page asks for fewer.
const BITE_MIN: usize = 32;

/// The sections of a listing, each in order of place.
const SECTIONS: [&[Status]; 5] = [
    &[Status::Running],
    &[Status::Queued],
    &[Status::Waiting],
    &[Status::Scheduled],
    &[Status::Succeeded, Status::Failed, Status::Cancelled],
];

/// After which job a listing goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cursor {
    section: usize,
    place: i64,
}

impl Cursor {
    fn before(section: usize) -> Self {
        Self {
            section,
            place: i64::MIN,
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.section, self.place)
    }
}

impl FromStr for Cursor {
    type Err = BrokerError;

    fn from_str(text: &str) -> Result<Self, BrokerError> {
        let (section, place) = text.split_once('.').ok_or(BrokerError::BadCursor)?;
        let cursor = Self {
            section: section.parse().map_err(|_| BrokerError::BadCursor)?,
            place: place.parse().map_err(|_| BrokerError::BadCursor)?,
        };
        if cursor.section < SECTIONS.len() {
            Ok(cursor)
        } else {
            Err(BrokerError::BadCursor)
        }
    }
}

/// One page of a listing. A job keeps its place while it stays in its state,
/// so going on after a place shows it exactly once (Q2).
pub(crate) fn list(
    conn: &Connection,
    filter: &Filter,
    page: &Page,
    now: Timestamp,
) -> Result<JobPage, BrokerError> {
    let limit = page.limit.clamp(1, limits::LIST_PAGE_MAX);
    let mut at: Cursor = match &page.cursor {
        Some(cursor) => cursor.parse()?,
        None => Cursor::before(0),
    };
    let mut budget = limits::LIST_SCAN_MAX;
    let mut jobs = Vec::new();
    while at.section < SECTIONS.len() {
        let bite = budget.min(limit.max(BITE_MIN));
        let found = section(conn, filter, at, bite)?;
        let exhausted = found.len() < bite;
        for (place, row) in found {
            at.place = place;
            budget -= 1;
            jobs.extend(listed(conn, row, now)?.filter(|job| filter.admits(job)));
            if jobs.len() == limit {
                return Ok(more(jobs, at));
            }
        }
        if exhausted {
            at = Cursor::before(at.section + 1);
        } else if budget == 0 {
            return Ok(more(jobs, at));
        }
    }
    Ok(JobPage { jobs, next: None })
}

fn more(jobs: Vec<Job>, at: Cursor) -> JobPage {
    JobPage {
        jobs,
        next: Some(at.to_string()),
    }
}

/// Places and rows of a section after the cursor, at most `limit`, by the
/// narrowest index that the filter allows.
fn section(
    conn: &Connection,
    filter: &Filter,
    at: Cursor,
    limit: usize,
) -> Result<Vec<(i64, i64)>, BrokerError> {
    let label = match (&filter.session, &filter.tag) {
        (Some(session), _) => Some(session_label(session)),
        (None, Some(tag)) => Some(tag_label(tag)),
        (None, None) => None,
    };
    let mut found = Vec::new();
    for status in SECTIONS[at.section] {
        if !filter.states.is_empty() && !filter.states.contains(status) {
            continue;
        }
        let state = row::letter(*status);
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        found.extend(match (&label, &filter.queue) {
            (Some(label), _) => all(
                conn,
                sql!("list_label"),
                params![state, at.place, limit, label],
                read,
            )?,
            (None, Some(queue)) => all(
                conn,
                sql!("list_queue"),
                params![state, at.place, limit, queue.as_str()],
                read,
            )?,
            (None, None) => all(
                conn,
                sql!("list_state"),
                params![state, at.place, limit],
                read,
            )?,
        });
    }
    found.sort_unstable();
    found.truncate(limit);
    Ok(found)
}

/// A job that cannot be read is left out: a listing goes on (D1).
fn listed(conn: &Connection, row: i64, now: Timestamp) -> Result<Option<Job>, BrokerError> {
    let found = first(conn, sql!("job_read"), [row], row::recorded)?;
    let found = found.filter(|(row, _)| !row.is_gone(now));
    Ok(found.and_then(|found| row::read(&found).ok()))
}

/// What each queue holds.
pub(crate) fn stats(conn: &Connection) -> Result<Vec<QueueStats>, BrokerError> {
    let mut queues = all(conn, sql!("queues_read"), [], |row| {
        Ok(QueueStats {
            queue: row::parsed(row, "queue")?,
            paused: row.get("paused")?,
            limits: queue::limits(row)?,
            scheduled: row.get("scheduled")?,
            queued: row.get("queued")?,
            running: row.get("running")?,
            waiting: row.get("waiting")?,
            succeeded_total: row.get("succeeded_total")?,
            failed_total: row.get("failed_total")?,
            cancelled_total: row.get("cancelled_total")?,
        })
    })?;
    for stats in &mut queues {
        stats.limits.weights = queue::weights(conn, &stats.queue)?;
    }
    Ok(queues)
}

/// Stops or starts the giving of a queue's jobs.
pub(crate) fn pause(
    write: &mut Write<'_>,
    queue: &QueueName,
    paused: bool,
) -> Result<(), BrokerError> {
    execute(write, sql!("queue_add"), [queue.as_str()])?;
    execute(write, sql!("queue_pause"), params![queue.as_str(), paused])?;
    write.ring(Topic::Queue(queue.clone()));
    Ok(())
}

/// Writes to the file, as long as it is still the one that stands at its path.
pub(crate) fn ping(write: &Write<'_>, file: &StoreFile) -> Result<(), BrokerError> {
    file.check()?;
    execute(write, sql!("touch"), [])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_anything_else_is_refused() {
        let cursor = Cursor {
            section: 4,
            place: -17,
        };
        assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        for bad in ["", "4", "x.1", "1.x", "9.1", "1.2.3", "-1.0"] {
            assert!(
                matches!(bad.parse::<Cursor>(), Err(BrokerError::BadCursor)),
                "{bad}"
            );
        }
    }
}
