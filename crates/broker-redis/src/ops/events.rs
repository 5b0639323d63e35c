//! Watching a job.

use std::pin::pin;
use std::time::Duration;

use jiff::Timestamp;
use lovage_core::error::BrokerError;
use lovage_core::event::{Event, EventPage};
use lovage_core::id::{JobId, QueueName};
use lovage_core::job::Job;
use lovage_core::limits;
use lovage_core::payload::Payload;
use redis::streams::{StreamId, StreamRangeReply};
use tokio::time::{Instant, timeout_at};

use crate::connect::Store;
use crate::error::corrupt;
use crate::news::News;

/// Stored events after a cursor, and where the stream stands.
struct Stored {
    events: Vec<Event>,
    /// Sequence of the newest event ever stored.
    last: u64,
    /// Sequence of the oldest event still kept.
    first: Option<u64>,
    is_final: bool,
}

impl Store {
    pub(crate) async fn events(
        self: &std::sync::Arc<Self>,
        news: &News<JobId>,
        id: &JobId,
        after: u64,
        limit: usize,
        wait: Duration,
    ) -> Result<Option<EventPage>, BrokerError> {
        let Some(queue) = self.locate(id).await? else {
            return Ok(None);
        };
        if wait.is_zero() {
            return self.event_page(&queue, id, after, limit).await;
        }
        let deadline = Instant::now() + wait.min(limits::WAIT_MAX);
        let waiter = news.waiter(self, &self.keys.queue(&queue), *id);
        loop {
            // Armed before reading: what happens between is not missed.
            let mut something = pin!(waiter.something());
            something.as_mut().enable();
            let page = self.event_page(&queue, id, after, limit).await?;
            let done = page
                .as_ref()
                .is_none_or(|page| page.ended || !page.events.is_empty());
            if done || timeout_at(deadline, something).await.is_err() {
                return Ok(page);
            }
        }
    }

    async fn event_page(
        &self,
        queue: &QueueName,
        id: &JobId,
        after: u64,
        limit: usize,
    ) -> Result<Option<EventPage>, BrokerError> {
        let limit = limit.min(limits::EVENT_PAGE_MAX);
        let Some(stored) = self.stored_events(queue, id, after, limit).await? else {
            return Ok(None);
        };
        let missed = match stored.first {
            Some(first) => after.saturating_add(1) < first,
            None => after < stored.last,
        };
        let reached = stored.events.last().map_or(after, |event| event.seq);
        let mut page = EventPage {
            events: stored.events,
            missed,
            ended: false,
        };
        if !stored.is_final || reached < stored.last {
            return Ok(Some(page));
        }
        let Some(job) = self.current(queue, id, false).await? else {
            return Ok(None);
        };
        // Redriven between the two reads: its end is not shown.
        let Some(end) = end_of(&job, stored.last + 1) else {
            return Ok(Some(page));
        };
        if after >= end.seq {
            page.ended = true;
        } else if page.events.len() < limit {
            page.events.push(end);
            page.ended = true;
        }
        Ok(Some(page))
    }

    /// What is stored, read in one round trip; `None` where the job is unknown.
    ///
    /// No transaction: a full server refuses those. The order of the reads makes
    /// up for it. The state comes first: after a final one no event follows, and
    /// what a redrive adds is told by the read of the job that follows. The oldest
    /// event comes last: what is trimmed meanwhile counts as missed, not as read.
    async fn stored_events(
        &self,
        queue: &QueueName,
        id: &JobId,
        after: u64,
        limit: usize,
    ) -> Result<Option<Stored>, BrokerError> {
        let stream = self.keys.events(queue, *id);
        let mut ask = redis::pipe();
        ask.getrange(self.keys.record(queue, *id), 0, 3)
            .hget(self.keys.state(queue, *id), "seq")
            .xrange_count(
                &stream,
                format!("{}-0", after.saturating_add(1)),
                "+",
                limit,
            )
            .xrange_count(&stream, "-", "+", 1);
        let (head, last, page, first): (String, Option<u64>, StreamRangeReply, StreamRangeReply) =
            self.send(&ask).await?;
        let Some(letter) = head.chars().last() else {
            return Ok(None);
        };
        let unreadable = || corrupt(format!("events of job {id}"));
        let read = |entry| read_event(*id, entry).ok_or_else(unreadable);
        Ok(Some(Stored {
            events: page.ids.iter().map(read).collect::<Result<_, _>>()?,
            last: last.unwrap_or(0),
            first: first.ids.first().and_then(sequence),
            is_final: letter.is_ascii_uppercase(),
        }))
    }
}

/// The final event of a job that is over.
fn end_of(job: &Job, seq: u64) -> Option<Event> {
    let event = job.final_event()?;
    Some(Event {
        seq,
        at: job.finished_at.unwrap_or(job.created_at),
        job: job.id,
        kind: event.kind,
        step: event.step,
        data: event.data,
    })
}

fn sequence(entry: &StreamId) -> Option<u64> {
    entry.id.split_once('-')?.0.parse().ok()
}

fn read_event(job: JobId, entry: &StreamId) -> Option<Event> {
    Some(Event {
        seq: sequence(entry)?,
        at: Timestamp::from_millisecond(entry.get("t")?).ok()?,
        job,
        kind: entry.get("k")?,
        step: entry.get("s"),
        data: Payload::parse(&entry.get::<String>("d")?).ok()?,
    })
}
