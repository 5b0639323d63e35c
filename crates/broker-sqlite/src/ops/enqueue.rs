//! Jobs enter the store.

use lovage_core::bound;
use lovage_core::broker::Enqueued;
use lovage_core::error::BrokerError;
use lovage_core::job::{Idempotency, Job, NewJob};
use lovage_core::status::Status;
use lovage_core::{lifecycle, record};
use rusqlite::params;

use crate::queue::Queue;
use crate::row::Recorded;
use crate::statement::{execute, sql};
use crate::wake::Topic;
use crate::writer::Write;
use crate::{key, lane, row};

/// Stores the jobs, or with `atomic` none of them where one is refused.
pub(crate) fn enqueue(
    write: &mut Write<'_>,
    jobs: &[NewJob],
    atomic: bool,
) -> Result<Vec<Enqueued>, BrokerError> {
    bound::enqueue(jobs)?;
    let mut answers = Vec::with_capacity(jobs.len());
    for new in jobs {
        answers.push(enqueue_one(write, new)?);
    }
    if atomic && answers.iter().any(is_refused) {
        write.keep_nothing();
    }
    Ok(answers)
}

fn is_refused(answer: &Enqueued) -> bool {
    match answer {
        Enqueued::Accepted(_) | Enqueued::Replayed(_) => false,
        Enqueued::KeyReused(_)
        | Enqueued::Duplicate(_)
        | Enqueued::IdTaken(_)
        | Enqueued::QueueFull => true,
    }
}

fn enqueue_one(write: &mut Write<'_>, new: &NewJob) -> Result<Enqueued, BrokerError> {
    if let Some(found) = row::load(write, &new.id)? {
        if !found.0.is_gone(write.now) {
            return Ok(same_id(new, &found));
        }
        execute(write, sql!("job_delete"), [found.0.row])?;
    }
    if let Some(asked) = &new.idempotency
        && let Some(answer) = key::replayed(write, new, asked)?
    {
        return Ok(answer);
    }
    let job = lifecycle::enqueue(new, write.now);
    if let Some(holder) = key::holder(write, &job)? {
        return Ok(Enqueued::Duplicate(holder));
    }
    if !Queue::find(write, &job.queue)?.takes_one() {
        return Ok(Enqueued::QueueFull);
    }
    insert(write, &job, new.idempotency.as_ref(), false)?;
    Ok(Enqueued::Accepted(new.id))
}

/// The same enqueue, sent again after a lost answer, is accepted again.
fn same_id(new: &NewJob, found: &Recorded) -> Enqueued {
    let idempotency = new.idempotency.as_ref().map(row::idempotency);
    let same = |job: Job| {
        job.kind == new.kind
            && job.queue == new.queue
            && job.input == new.input
            && found.0.idempotency == idempotency
    };
    if row::read(found).is_ok_and(same) {
        Enqueued::Accepted(new.id)
    } else {
        Enqueued::IdTaken(new.id)
    }
}

/// Stores a job under an id that is free; `child` is whether another job spawned it.
pub(crate) fn insert(
    write: &mut Write<'_>,
    job: &Job,
    asked: Option<&Idempotency>,
    child: bool,
) -> Result<(), BrokerError> {
    execute(write, sql!("queue_add"), [job.queue.as_str()])?;
    let place = row::last_place(write)?;
    let state = row::letter(job.status);
    let labels = labels(job);
    execute(
        write,
        sql!("job_insert"),
        params![
            job.id.uuid().as_bytes(),
            job.queue.as_str(),
            job.tenant.as_str(),
            job.priority.get(),
            state,
            place,
            row::due_ms(job),
            !labels.is_empty(),
            asked.map(row::idempotency),
            row::expires_ms(job),
            child,
        ],
    )?;
    let row = write.last_insert_rowid();
    let record = record::encode(job);
    execute(write, sql!("record_insert"), params![row, record])?;
    for label in labels {
        let label = params![label, state, place, row];
        execute(write, sql!("label_insert"), label)?;
    }
    key::take_unique(write, job)?;
    if let Some(asked) = asked {
        key::remember(write, job, asked)?;
    }
    if job.status == Status::Queued {
        lane::enter(write, job)?;
    }
    write.ring(Topic::Queue(job.queue.clone()));
    Ok(())
}

fn labels(job: &Job) -> Vec<String> {
    let session = job.session.as_deref().map(session_label);
    let tags = job.tags.iter().map(|tag| tag_label(tag));
    session.into_iter().chain(tags).collect()
}

/// The label of a session's jobs.
pub(crate) fn session_label(session: &str) -> String {
    format!("s:{session}")
}

/// The label of a tag's jobs.
pub(crate) fn tag_label(tag: &str) -> String {
    format!("t:{tag}")
}
