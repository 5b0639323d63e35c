//! Ending attempts.

use std::collections::HashSet;

use jiff::Timestamp;
use lovage_core::bound;
use lovage_core::broker::{Settle, Settled};
use lovage_core::checkpoint::signal_step;
use lovage_core::clock;
use lovage_core::error::BrokerError;
use lovage_core::id::{JobId, QueueName};
use lovage_core::job::Job;
use lovage_core::lease::{Lease, LeaseToken};
use lovage_core::lifecycle::{self, Next};
use lovage_core::limits;
use lovage_core::record;
use lovage_core::status::{Join, WaitReason};

use crate::connect::Store;
use crate::keys;
use crate::ops::checkpoint;
use crate::script::{self, Call};

/// What the script says about one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Done,
    Fenced,
    /// The job is to be stopped: it may only end.
    AskedToStop,
}

/// An attempt's end, ready to be written.
pub(crate) struct Ending {
    pub(crate) id: JobId,
    pub(crate) token: LeaseToken,
    pub(crate) what: What,
}

/// What an [`Ending`] writes.
pub(crate) enum What {
    /// The job after its attempt.
    Next(Box<Job>, Next),
    /// Nothing: the record is gone, so nobody can run the job.
    Drop,
}

impl Ending {
    /// What `next` makes of `job`, which is held under `token` as `id`, at `now`.
    pub(crate) fn of(id: JobId, token: LeaseToken, job: &Job, next: Next, now: Timestamp) -> Self {
        let after = lifecycle::apply(job, &next, now);
        Self {
            id,
            token,
            what: What::Next(Box::new(after), next),
        }
    }

    /// The end of a job whose record cannot be read.
    pub(crate) fn unreadable(
        id: JobId,
        token: LeaseToken,
        queue: &QueueName,
        record: &[u8],
        now: Timestamp,
    ) -> Self {
        let job = lifecycle::unreadable(id, queue, record, now);
        let next = Next::Finish {
            status: job.status,
            result: None,
            error: job.error.clone(),
        };
        Self {
            id,
            token,
            what: What::Next(Box::new(job), next),
        }
    }

    fn ends_the_job(&self) -> bool {
        matches!(self.what, What::Next(_, Next::Finish { .. }))
    }
}

impl Store {
    pub(crate) async fn settle(&self, settles: &[Settle]) -> Result<Vec<Settled>, BrokerError> {
        bound::settle(settles)?;
        let mut answers = vec![Settled::Fenced; settles.len()];
        let mut places: Vec<usize> = (0..settles.len()).collect();
        places.sort_by(|a, b| settles[*a].lease.queue.cmp(&settles[*b].lease.queue));
        let one_queue = |a: &usize, b: &usize| settles[*a].lease.queue == settles[*b].lease.queue;
        for group in places.chunk_by(one_queue) {
            for bite in bites(group, settles) {
                let bite_settles: Vec<&Settle> = bite.iter().map(|at| &settles[*at]).collect();
                let settled = self.settle_bite(&bite_settles).await?;
                for (at, settled) in bite.iter().zip(settled) {
                    answers[*at] = settled;
                }
            }
        }
        Ok(answers)
    }

    async fn settle_bite(&self, settles: &[&Settle]) -> Result<Vec<Settled>, BrokerError> {
        let Some(first) = settles.first() else {
            return Ok(Vec::new());
        };
        let (queue, now) = (&first.lease.queue, self.time.now());
        let endings: Vec<Ending> = settles
            .iter()
            .map(|Settle { lease, job, next }| {
                Ending::of(lease.job, lease.token, job, next.clone(), now)
            })
            .collect();
        let answers = self.end(queue, &endings, false).await?;
        let mut settled = Vec::with_capacity(answers.len());
        for (settle, answer) in settles.iter().zip(answers) {
            settled.push(match answer {
                Answer::Done => Settled::Done,
                Answer::Fenced => self.settled_before(&settle.lease).await?,
                Answer::AskedToStop => self.stop(settle, now).await?,
            });
        }
        Ok(settled)
    }

    /// A job that was asked to stop never goes back to its lane: it ends.
    async fn stop(&self, settle: &Settle, now: Timestamp) -> Result<Settled, BrokerError> {
        let mut job = settle.job.clone();
        job.cancel_requested = true;
        let (lease, next) = (&settle.lease, lifecycle::cancel_overdue());
        let endings = [Ending::of(lease.job, lease.token, &job, next, now)];
        match self.end(&lease.queue, &endings, false).await?[..] {
            [Answer::Done] => Ok(Settled::Done),
            _ => self.settled_before(lease).await,
        }
    }

    /// Writes ends of attempts of one queue, each only under its token; one answer each, in order.
    /// What the store ends by itself is marked, so that the worker's own later settle is refused.
    pub(crate) async fn end(
        &self,
        queue: &QueueName,
        endings: &[Ending],
        by_store: bool,
    ) -> Result<Vec<Answer>, BrokerError> {
        let (ends, others): (Vec<usize>, Vec<usize>) =
            (0..endings.len()).partition(|at| endings[*at].ends_the_job());
        let mut call = script::SETTLE.on(self.keys.queue(queue));
        call.arg(self.time.argument())
            .arg(i32::from(by_store))
            .arg(ends.len());
        for at in &ends {
            describe_end(&mut call, &endings[*at]);
        }
        call.arg(others.len());
        for at in &others {
            describe_other(&mut call, &endings[*at]);
        }
        let codes: Vec<i64> = self.call_kept(&call).await?;
        let mut answers = vec![Answer::Fenced; endings.len()];
        for (at, code) in ends.iter().chain(&others).zip(codes) {
            answers[*at] = match code {
                1 => Answer::Done,
                2 => Answer::AskedToStop,
                _ => Answer::Fenced,
            };
        }
        Ok(answers)
    }

    /// Whether a refused settle is refused only because one under its token took effect before (S2).
    async fn settled_before(&self, lease: &Lease) -> Result<Settled, BrokerError> {
        let mut ask = redis::pipe();
        ask.hget(self.keys.state(&lease.queue, lease.job), "settled");
        let (settled,): (Option<String>,) = self.send(&ask).await?;
        let ours = match settled {
            Some(token) => token == lease.token.to_string(),
            // No settle but the one that ended its only attempt.
            None => {
                let jobs = self.read(&lease.queue, &[lease.job], false).await?;
                jobs.into_iter().flatten().any(|job| {
                    job.status.is_final()
                        && job.attempt == lease.token.attempt
                        && job.started_at == Some(lease.token.claimed_at)
                })
            }
        };
        Ok(if ours { Settled::Done } else { Settled::Fenced })
    }
}

/// Splits places into script calls of bounded size that name no job twice: what
/// came of one settle of a job is looked at before its next one is sent.
fn bites<'a>(places: &'a [usize], settles: &[Settle]) -> Vec<&'a [usize]> {
    let mut bites = Vec::new();
    let mut rest = places;
    while !rest.is_empty() {
        let mut seen = HashSet::new();
        let fresh = |at: &&usize| seen.insert(settles[**at].lease.job);
        let count = rest
            .iter()
            .take(limits::BATCH_MAX)
            .take_while(fresh)
            .count();
        let (bite, after) = rest.split_at(count);
        bites.push(bite);
        rest = after;
    }
    bites
}

/// When a final job is forgotten, in ms.
pub(crate) fn gone_millis(job: &Job) -> i64 {
    job.keep_until.map_or(0, |until| {
        clock::after(until, limits::TOMBSTONE).as_millisecond()
    })
}

/// The arguments of an attempt that ends its job, in the order the script reads them.
fn describe_end(call: &mut Call, ending: &Ending) {
    let What::Next(after, _) = &ending.what else {
        return;
    };
    call.arg(ending.id.to_string())
        .arg(ending.token.to_string())
        .arg(record::encode(after))
        .arg(gone_millis(after))
        .arg(keys::freed_unique(after));
}

/// The arguments of an attempt after which its job goes on, in the order the script reads them.
fn describe_other(call: &mut Call, ending: &Ending) {
    call.arg(ending.id.to_string())
        .arg(ending.token.to_string());
    let What::Next(after, next) = &ending.what else {
        call.arg("drop")
            .arg(["", "", "0", "", "", "", ""].as_slice());
        return;
    };
    let lane = keys::lane_of(after);
    let (what, due) = match next {
        Next::Wait { until, .. } => ("wait", until.as_millisecond()),
        Next::Requeue { front: true, .. } => ("front", 0),
        Next::Requeue { front: false, .. } | Next::Finish { .. } => ("back", 0),
    };
    let event = lifecycle::event(next).expect("what goes on has an event");
    let (parked, signal) = match next {
        Next::Wait { reason, .. } => parked(reason, &lane),
        Next::Requeue { .. } | Next::Finish { .. } => (String::new(), String::new()),
    };
    call.arg(what)
        .arg(lane)
        .arg(record::encode(after))
        .arg(due)
        .arg(event.kind)
        .arg(event.data.as_str())
        .arg(parked)
        .arg(signal);
}

/// What a job is parked for, as its state hash says it, and the field of the
/// signal it waits for.
fn parked(reason: &WaitReason, lane: &str) -> (String, String) {
    match reason {
        WaitReason::Backoff | WaitReason::Limit | WaitReason::LimitOf(_) => {
            (String::new(), String::new())
        }
        WaitReason::Children(Join::All) => (format!("c {lane}"), String::new()),
        WaitReason::Children(Join::FirstFailure) => (format!("f {lane}"), String::new()),
        WaitReason::Signal(name) => (
            format!("s {lane} {name}"),
            checkpoint::field_of(&signal_step(name), 0),
        ),
    }
}
