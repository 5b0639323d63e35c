//! Storing new jobs.

use std::collections::BTreeSet;

use jiff::Timestamp;
use lovage_core::bound;
use lovage_core::broker::Enqueued;
use lovage_core::clock;
use lovage_core::error::BrokerError;
use lovage_core::id::{JobId, QueueName};
use lovage_core::job::{Job, NewJob};
use lovage_core::lifecycle;
use lovage_core::limits;
use lovage_core::record;
use lovage_core::status::Status;

use crate::connect::Store;
use crate::error::corrupt;
use crate::keys;
use crate::script;

/// Jobs of one script call, so that it does not hold the server for long.
const BITE_JOBS: usize = 250;
/// Bytes of records of one script call.
const BITE_BYTES: usize = 8 << 20;

/// A job as it was asked for, as it enters the store, and its record.
type Entering<'a> = (&'a NewJob, Job, Vec<u8>);

impl Store {
    pub(crate) async fn enqueue(
        &self,
        new: &[NewJob],
        atomic: bool,
    ) -> Result<Vec<Enqueued>, BrokerError> {
        bound::enqueue(new)?;
        let queues: BTreeSet<&QueueName> = new.iter().map(|job| &job.queue).collect();
        let queues: Vec<&QueueName> = queues.into_iter().collect();
        let together = |queue: &&QueueName| self.holds_together(queues[0], queue);
        if atomic && !queues.iter().all(together) {
            return Err(BrokerError::Divided {
                queues: queues.len(),
            });
        }
        self.know_queues(&queues).await?;
        let now = self.time.now();
        let mut places: Vec<usize> = (0..new.len()).collect();
        places.sort_by(|a, b| new[*a].queue.cmp(&new[*b].queue));
        let jobs: Vec<Entering<'_>> = places
            .iter()
            .map(|at| {
                let job = lifecycle::enqueue(&new[*at], now);
                let record = record::encode(&job);
                (&new[*at], job, record)
            })
            .collect();
        let answers = if atomic {
            self.enqueue_bite(&jobs, true, now).await?
        } else {
            self.enqueue_bites(&jobs, now).await?
        };
        let mut in_order: Vec<(usize, Enqueued)> = places.into_iter().zip(answers).collect();
        in_order.sort_by_key(|(place, _)| *place);
        Ok(in_order.into_iter().map(|(_, answer)| answer).collect())
    }

    /// Each queue for itself, in calls of bounded size.
    async fn enqueue_bites(
        &self,
        jobs: &[Entering<'_>],
        now: Timestamp,
    ) -> Result<Vec<Enqueued>, BrokerError> {
        let mut answers = Vec::with_capacity(jobs.len());
        for queue in jobs.chunk_by(|(a, ..), (b, ..)| a.queue == b.queue) {
            let mut rest = queue;
            while !rest.is_empty() {
                let (first, after) = rest.split_at(bite(rest));
                answers.extend(self.enqueue_bite(first, false, now).await?);
                rest = after;
            }
        }
        Ok(answers)
    }

    /// Jobs sorted by queue, in one script call.
    async fn enqueue_bite(
        &self,
        jobs: &[Entering<'_>],
        atomic: bool,
        now: Timestamp,
    ) -> Result<Vec<Enqueued>, BrokerError> {
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        let queues: Vec<_> = jobs
            .chunk_by(|(a, ..), (b, ..)| a.queue == b.queue)
            .collect();
        let key = |queue: &&[Entering<'_>]| self.keys.queue(&queue[0].0.queue);
        let keys: Vec<String> = queues.iter().map(key).collect();
        let mut call = script::ENQUEUE.on_all(&keys);
        call.arg(self.time.argument()).arg(i32::from(atomic));
        call.arg(jobs.len());
        for (number, queue) in (1..).zip(queues) {
            for (new, job, record) in queue {
                call.arg(job.id.to_string()).arg(record);
                call.arg(keys::lane_of(job))
                    .arg(extras(new, job, number, now));
            }
        }
        let answers: Vec<(String, String)> = self.call_kept(&call).await?;
        if let [(letter, id)] = &answers[..]
            && letter == "A"
            && id.is_empty()
        {
            let accepted = jobs.iter().map(|(new, ..)| Enqueued::Accepted(new.id));
            return Ok(accepted.collect());
        }
        answers
            .iter()
            .map(|(letter, id)| read(letter, id))
            .collect()
    }
}

/// How many jobs one script call takes: at least one.
fn bite(jobs: &[Entering<'_>]) -> usize {
    let mut bytes = 0;
    let fitting = jobs.iter().take(BITE_JOBS).take_while(|(_, _, record)| {
        bytes += record.len();
        bytes <= BITE_BYTES
    });
    fitting.count().max(1)
}

/// What a job has beyond its record and lane, as the script reads it; nothing
/// for a plain one of the first queue.
fn extras(new: &NewJob, job: &Job, queue: usize, now: Timestamp) -> String {
    let indexes = indexes(job);
    let (due, expires) = times(job);
    let plain = queue == 1
        && due == 0
        && expires == 0
        && job.unique.is_none()
        && new.idempotency.is_none()
        && indexes.is_empty();
    if plain {
        return String::new();
    }
    let until = |window| clock::after(now, window).as_millisecond().to_string();
    let (unique, held) = match &job.unique {
        Some(unique) => (
            keys::scoped(&job.tenant, &unique.key),
            unique.window.map_or("0".to_owned(), until),
        ),
        None => (String::new(), "0".to_owned()),
    };
    let (key, kept, fingerprint) = match &new.idempotency {
        Some(named) => (
            keys::scoped(&job.tenant, &named.key),
            until(limits::IDEMPOTENCY_WINDOW),
            named.fingerprint.as_str(),
        ),
        None => (String::new(), "0".to_owned(), ""),
    };
    serde_json::json!([
        queue,
        due,
        expires,
        unique,
        held,
        key,
        kept,
        fingerprint,
        indexes
    ])
    .to_string()
}

/// When a job is due and when it expires, in ms; 0 where it is not or does not.
pub(crate) fn times(job: &Job) -> (i64, i64) {
    let due = match (job.status, job.run_at) {
        (Status::Scheduled, Some(at)) => at.as_millisecond(),
        _ => 0,
    };
    (due, job.expires_at.map_or(0, Timestamp::as_millisecond))
}

/// Names of the indexes a job is listed in.
pub(crate) fn indexes(job: &Job) -> Vec<String> {
    let session = job.session.as_deref().map(keys::session);
    let tags = job.tags.iter().map(|tag| keys::tag(tag));
    session.into_iter().chain(tags).collect()
}

fn read(letter: &str, id: &str) -> Result<Enqueued, BrokerError> {
    if letter == "F" {
        return Ok(Enqueued::QueueFull);
    }
    let id: JobId = id
        .parse()
        .map_err(|_| corrupt(format!("the job of a key: {id:?}")))?;
    match letter {
        "A" => Ok(Enqueued::Accepted(id)),
        "R" => Ok(Enqueued::Replayed(id)),
        "K" => Ok(Enqueued::KeyReused(id)),
        "D" => Ok(Enqueued::Duplicate(id)),
        "T" => Ok(Enqueued::IdTaken(id)),
        other => Err(corrupt(format!("an answer of enqueue: {other:?}"))),
    }
}
