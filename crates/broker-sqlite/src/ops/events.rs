//! Reading what a job said, and waiting for more.

use std::time::Duration;

use jiff::Timestamp;
use lovage_core::error::BrokerError;
use lovage_core::event::{Event, EventPage, NewEvent};
use lovage_core::id::JobId;
use lovage_core::limits;
use rusqlite::{Connection, Transaction, params};
use tokio::time::Instant;

use crate::SqliteBroker;
use crate::ops::emit;
use crate::row;
use crate::statement::{all, sql};
use crate::unreadable;
use crate::wake::Topic;

/// Events after a cursor; waits while there are none and the job is not over.
pub(crate) async fn events(
    broker: &SqliteBroker,
    id: &JobId,
    after: u64,
    limit: usize,
    wait: Duration,
) -> Result<Option<EventPage>, BrokerError> {
    let (id, now) = (*id, broker.clock.now());
    let read = move |conn: &Transaction<'_>| page(conn, id, after, limit, now);
    if wait.is_zero() {
        return broker.readers.run(read).await;
    }
    let deadline = Instant::now() + wait.min(limits::WAIT_MAX);
    let listener = broker.writer.listen(vec![Topic::Job(id)]);
    loop {
        let page = broker.readers.run(read).await?;
        let waiting = page
            .as_ref()
            .is_some_and(|page| page.events.is_empty() && !page.ended);
        if !waiting || !listener.rung_before(deadline).await {
            return Ok(page);
        }
    }
}

fn page(
    conn: &Connection,
    id: JobId,
    after: u64,
    limit: usize,
    now: Timestamp,
) -> Result<Option<EventPage>, BrokerError> {
    let Some(found) = row::find(conn, &id)?.filter(|row| !row.is_gone(now)) else {
        return Ok(None);
    };
    let limit = limit.clamp(1, limits::EVENT_PAGE_MAX);
    let (oldest, newest) = emit::bounds(conn, found.row)?;
    let mut page = EventPage {
        events: stored(conn, id, found.row, after, limit)?,
        missed: after.saturating_add(1) < oldest,
        ended: false,
    };
    let reached = page.events.last().map_or(after, |event| event.seq);
    if found.status.is_final() && reached >= newest && page.events.len() < limit {
        if reached == newest {
            page.events.extend(last(conn, id, newest + 1, now)?);
        }
        page.ended = true;
    }
    Ok(Some(page))
}

/// `after` beyond what SQLite can hold is beyond every event too.
fn stored(
    conn: &Connection,
    id: JobId,
    row: i64,
    after: u64,
    limit: usize,
) -> Result<Vec<Event>, BrokerError> {
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    all(
        conn,
        sql!("events_after"),
        params![row, after, limit],
        |found| {
            Ok(Event {
                seq: found.get("seq")?,
                at: Timestamp::from_millisecond(found.get("at_ms")?)
                    .map_err(|_| rusqlite::Error::IntegralValueOutOfRange(1, 0))?,
                job: id,
                kind: found.get("kind")?,
                step: found.get("step")?,
                data: row::payload(found, "data")?,
            })
        },
    )
}

/// The end of a finished job, made of the job itself.
fn last(
    conn: &Connection,
    id: JobId,
    seq: u64,
    now: Timestamp,
) -> Result<Option<Event>, BrokerError> {
    let found = row::load(conn, &id)?;
    let Some(job) = found.and_then(|(row, record)| unreadable::shown(&row, record, now)) else {
        return Ok(None);
    };
    let event = job.final_event().zip(job.finished_at);
    Ok(event.map(|(NewEvent { kind, step, data }, at)| Event {
        seq,
        at,
        job: id,
        kind,
        step,
        data,
    }))
}
