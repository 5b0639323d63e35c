//! Giving jobs to a worker.

use std::time::Duration;

use jiff::Timestamp;
use lovage_core::broker::{Claim, Claimed, Claims};
use lovage_core::error::BrokerError;
use lovage_core::id::{JobId, QueueName, WorkerId};
use lovage_core::lease::Lease;
use lovage_core::lifecycle;
use lovage_core::limits;

use crate::connect::Store;
use crate::error::corrupt;
use crate::ops::query::stored;
use crate::ops::settle::Ending;
use crate::script;

/// Script calls of one claim, when what they give has expired.
const ROUNDS_MAX: usize = 8;

/// `now`, ms until the next due job, and id, token and record of each job.
type Given = (i64, i64, Vec<(String, String, Vec<u8>)>);

impl Store {
    pub(crate) async fn claim(&self, ask: &Claim) -> Result<Claims, BrokerError> {
        let want = ask.want.min(limits::BATCH_MAX);
        let mut claims = Claims::default();
        for _ in 0..ROUNDS_MAX {
            let missing = want - claims.claimed.len();
            // Where a round fails the claim does, and the worker asks what it holds.
            let (given, expired) = self.claim_round(ask, missing).await?;
            claims.claimed.extend(given.claimed);
            claims.next_due = given.next_due;
            if expired.is_empty() {
                break;
            }
            self.end(&ask.queue, &expired, true).await?;
            if claims.claimed.len() == want {
                break;
            }
        }
        Ok(claims)
    }

    /// One script call: the jobs to run, and the ends of those that expired.
    async fn claim_round(
        &self,
        ask: &Claim,
        want: usize,
    ) -> Result<(Claims, Vec<Ending>), BrokerError> {
        let (now, next_due, jobs): Given = self
            .call(
                script::CLAIM
                    .key(self.keys.queue(&ask.queue))
                    .arg(self.time.argument())
                    .arg(ask.worker.to_string())
                    .arg(want)
                    .arg(limits::PROMOTE_MAX),
            )
            .await?;
        if now < 0 {
            return Err(BrokerError::WorkerUnknown);
        }
        if !self.time.is_moved() {
            self.time.heard(now);
        }
        let (claimed, expired) = self.read_given(ask, now, &jobs).await?;
        let next_due = u64::try_from(next_due).ok().map(Duration::from_millis);
        Ok((Claims { claimed, next_due }, expired))
    }

    pub(crate) async fn held(
        &self,
        queue: &QueueName,
        worker: &WorkerId,
    ) -> Result<Vec<Claimed>, BrokerError> {
        let mut ask = redis::pipe();
        ask.zscore(self.keys.workers(queue), worker.to_string());
        let (deadline,): (Option<f64>,) = self.send(&ask).await?;
        if deadline.is_none_or(|deadline| deadline < 0.0) {
            return Err(BrokerError::WorkerUnknown);
        }
        let held = self.held_by(queue, &[*worker], usize::MAX).await?;
        let mut jobs = Vec::with_capacity(held.len());
        for bite in held.chunks(limits::BATCH_MAX) {
            let ids: Vec<JobId> = bite.iter().map(|(id, _)| *id).collect();
            let read = self.read(queue, &ids, false).await?;
            for ((id, token), job) in bite.iter().zip(read) {
                // Settled since, or taken by somebody else: not held any more.
                let Some(job) = job.filter(|job| job.worker == Some(token.worker)) else {
                    continue;
                };
                let lease = Lease {
                    job: *id,
                    queue: queue.clone(),
                    token: *token,
                };
                jobs.push(Claimed { job, lease });
            }
        }
        Ok(jobs)
    }

    /// What a script call gave, told apart by whether its time to be started is over.
    async fn read_given(
        &self,
        ask: &Claim,
        now: i64,
        given: &[(String, String, Vec<u8>)],
    ) -> Result<(Vec<Claimed>, Vec<Ending>), BrokerError> {
        let now = Timestamp::from_millisecond(now)
            .map_err(|_| corrupt(format!("the store's time {now}")))?;
        let (mut claimed, mut expired) = (Vec::with_capacity(given.len()), Vec::new());
        for (id, token, record) in given {
            match read_claimed(&ask.queue, id, token, record) {
                Ok(Claimed { job, lease }) => match lifecycle::expire(&job, now) {
                    Some(next) => {
                        expired.push(Ending::of(job.id, lease.token, &job, next, now));
                    }
                    None => claimed.push(Claimed { job, lease }),
                },
                Err(error) => {
                    tracing::error!(%id, queue = %ask.queue, %error, "a job cannot be read; it is set aside");
                    self.set_aside(&ask.queue, id).await?;
                }
            }
        }
        Ok((claimed, expired))
    }

    /// Takes an unreadable job out of the running ones; its record stays for a person to look at.
    async fn set_aside(&self, queue: &QueueName, id: &str) -> Result<(), BrokerError> {
        let mut remove = redis::pipe();
        remove.hdel(self.keys.running(queue), id).ignore();
        self.send(&remove).await
    }
}

fn read_claimed(
    queue: &QueueName,
    id: &str,
    token: &str,
    record: &[u8],
) -> Result<Claimed, BrokerError> {
    let unreadable = |_| corrupt(format!("the token of job {id}"));
    let id: JobId = id.parse().map_err(unreadable)?;
    let token = token.parse().map_err(unreadable)?;
    let job = lifecycle::claim(&stored(id, queue, record)?, &token);
    let queue = queue.clone();
    let lease = Lease {
        job: id,
        queue,
        token,
    };
    Ok(Claimed { job, lease })
}
