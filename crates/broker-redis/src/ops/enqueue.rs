//! Storing new jobs.

use std::collections::BTreeSet;

use jiff::Timestamp;
use lovage_core::broker::Enqueued;
use lovage_core::clock;
use lovage_core::error::BrokerError;
use lovage_core::id::{JobId, QueueName};
use lovage_core::job::{Job, NewJob};
use lovage_core::lifecycle;
use lovage_core::limits;
use lovage_core::record;
use lovage_core::status::Status;
use redis::ScriptInvocation;

use crate::connect::Store;
use crate::error::corrupt;
use crate::keys;
use crate::script;

/// Jobs of one script call, so that it does not hold the server for long.
const BITE_JOBS: usize = 250;
/// Bytes of records of one script call.
const BITE_BYTES: usize = 8 << 20;

impl Store {
    pub(crate) async fn enqueue(
        &self,
        new: &[NewJob],
        atomic: bool,
    ) -> Result<Vec<Enqueued>, BrokerError> {
        let queues: BTreeSet<&QueueName> = new.iter().map(|job| &job.queue).collect();
        let queues: Vec<&QueueName> = queues.into_iter().collect();
        self.know_queues(&queues).await?;
        let all: Vec<&NewJob> = new.iter().collect();
        let together = |queue: &&QueueName| self.holds_together(queues[0], queue);
        if queues.iter().all(together) {
            return self.enqueue_together(&all, atomic).await;
        }
        if atomic {
            return Err(BrokerError::Divided {
                queues: queues.len(),
            });
        }
        // No script touches two slots; queues have nothing in common that could be decided at once.
        let mut answers = vec![None; all.len()];
        for queue in &queues {
            let places = (0..all.len()).filter(|at| all[*at].queue == **queue);
            let places: Vec<usize> = places.collect();
            let jobs: Vec<&NewJob> = places.iter().map(|at| all[*at]).collect();
            let answered = self.enqueue_together(&jobs, false).await?;
            for (at, answer) in places.into_iter().zip(answered) {
                answers[at] = Some(answer);
            }
        }
        let answers = answers.into_iter().collect::<Option<_>>();
        Ok(answers.expect("every job is in one of the queues"))
    }

    /// Stores jobs of queues whose keys one script may touch.
    async fn enqueue_together(
        &self,
        new: &[&NewJob],
        atomic: bool,
    ) -> Result<Vec<Enqueued>, BrokerError> {
        let now = self.time.now();
        let jobs: Vec<(&NewJob, Job, Vec<u8>)> = new
            .iter()
            .map(|&new| {
                let job = lifecycle::enqueue(new, now);
                let record = record::encode(&job);
                (new, job, record)
            })
            .collect();
        if atomic {
            return self.enqueue_bite(&jobs, true, now).await;
        }
        let mut answers = Vec::with_capacity(jobs.len());
        while answers.len() < jobs.len() {
            let bite = bite(&jobs[answers.len()..]);
            answers.extend(self.enqueue_bite(bite, false, now).await?);
        }
        Ok(answers)
    }

    async fn enqueue_bite(
        &self,
        jobs: &[(&NewJob, Job, Vec<u8>)],
        atomic: bool,
        now: Timestamp,
    ) -> Result<Vec<Enqueued>, BrokerError> {
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        let mut queues: Vec<&QueueName> = jobs.iter().map(|(_, job, _)| &job.queue).collect();
        queues.sort_unstable();
        queues.dedup();
        let mut call = script::ENQUEUE.prepare_invoke();
        for queue in &queues {
            call.key(self.keys.queue(queue));
        }
        call.arg(self.time.argument()).arg(i32::from(atomic));
        call.arg(jobs.len());
        for (new, job, record) in jobs {
            let place = queues.iter().position(|queue| **queue == job.queue);
            call.arg(place.expect("every job's queue was listed") + 1);
            describe(&mut call, new, job, record, now);
        }
        let answers: Vec<(String, String)> = self.call_kept(&call).await?;
        answers
            .iter()
            .map(|(letter, id)| read(letter, id))
            .collect()
    }
}

/// As many jobs as one script call takes: at least one.
fn bite<'a, 'b>(jobs: &'a [(&'b NewJob, Job, Vec<u8>)]) -> &'a [(&'b NewJob, Job, Vec<u8>)] {
    let mut bytes = 0;
    let fitting = jobs.iter().take(BITE_JOBS).take_while(|(_, _, record)| {
        bytes += record.len();
        bytes <= BITE_BYTES
    });
    &jobs[..fitting.count().max(1)]
}

/// The arguments of one job, in the order the script reads them.
fn describe(
    call: &mut ScriptInvocation<'_>,
    new: &NewJob,
    job: &Job,
    record: &[u8],
    now: Timestamp,
) {
    let due = match (job.status, job.run_at) {
        (Status::Scheduled, Some(at)) => at.as_millisecond(),
        _ => 0,
    };
    let until = |window| clock::after(now, window).as_millisecond();
    call.arg(job.id.to_string()).arg(keys::lane_of(job));
    call.arg(record).arg(due);
    match &job.unique {
        Some(unique) => {
            call.arg(keys::scoped(&job.tenant, &unique.key));
            call.arg(unique.window.map_or(0, until));
        }
        None => {
            call.arg("").arg(0);
        }
    }
    match &new.idempotency {
        Some(named) => {
            call.arg(keys::scoped(&job.tenant, &named.key));
            call.arg(until(limits::IDEMPOTENCY_WINDOW));
            call.arg(&named.fingerprint);
        }
        None => {
            call.arg("").arg(0).arg("");
        }
    }
    let indexes: Vec<String> = indexes(job).collect();
    call.arg(indexes.len()).arg(indexes);
}

/// Names of the indexes a job is listed in.
fn indexes(job: &Job) -> impl Iterator<Item = String> {
    let session = job.session.as_deref().map(keys::session);
    session
        .into_iter()
        .chain(job.tags.iter().map(|tag| keys::tag(tag)))
}

fn read(letter: &str, id: &str) -> Result<Enqueued, BrokerError> {
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
