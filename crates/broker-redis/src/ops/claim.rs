//! Giving jobs to a worker.

use std::time::Duration;

use jiff::Timestamp;
use lovage_core::broker::{Claim, Claimed, Claims};
use lovage_core::error::BrokerError;
use lovage_core::id::{JobId, QueueName, WorkerId};
use lovage_core::job::Job;
use lovage_core::lease::{Lease, LeaseToken};
use lovage_core::lifecycle;
use lovage_core::limits;
use lovage_core::record;
use lovage_core::status::Status;

use crate::connect::Store;
use crate::error::corrupt;
use crate::ops::extend::job_id;
use crate::ops::query::stored;
use crate::ops::settle::{Ending, What};
use crate::script;
use crate::time::millis;

/// Script calls of one claim, when what they give has expired.
const ROUNDS_MAX: usize = 8;

/// How long a job that only a newer program can read is left to others.
const NEWER_PAUSE: Duration = Duration::from_secs(5);

/// What the script gives: now, ms until there may be more, ids, places, numbers
/// and times of attempts that it looked up, and the records where they are few.
type Given = (
    i64,
    i64,
    Vec<String>,
    Vec<(usize, u32, i64)>,
    Vec<Option<Vec<u8>>>,
);

/// A job out of its lane, in this worker's hands.
struct Taken {
    id: JobId,
    token: LeaseToken,
    record: Option<Vec<u8>>,
}

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

    /// One script call: the jobs to run, and the ends of those that are not to be run.
    async fn claim_round(
        &self,
        ask: &Claim,
        want: usize,
    ) -> Result<(Claims, Vec<Ending>), BrokerError> {
        let (now, next_due, ids, attempts, records): Given = self
            .call(
                script::CLAIM
                    .on(self.keys.queue(&ask.queue))
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
        let now = time(now)?;
        let ids = ids
            .iter()
            .map(|id| job_id(id))
            .collect::<Result<Vec<_>, _>>()?;
        let records = match records.is_empty() {
            true => self.records(&ask.queue, &ids).await?,
            false => records,
        };
        let taken = taken(ask.worker, now, ids, &attempts, records)?;
        let (claimed, ended) = self.sort_out(&ask.queue, now, taken).await?;
        let next_due = u64::try_from(next_due).ok().map(Duration::from_millis);
        Ok((Claims { claimed, next_due }, ended))
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
            let rows = self.read_rows(queue, &ids, false).await?;
            let mut unreadable = Vec::new();
            for ((id, token), row) in bite.iter().zip(rows) {
                match row.view(*id, queue) {
                    // Settled since, or taken by somebody else: not held any more.
                    Ok(job) => jobs.extend(
                        job.filter(|job| job.worker == Some(token.worker))
                            .map(|job| held_under(job, *token)),
                    ),
                    Err(_) => {
                        unreadable.extend(self.set_aside(queue, *id, *token, &row.record).await?)
                    }
                }
            }
            self.end(queue, &unreadable, true).await?;
        }
        Ok(jobs)
    }

    /// The jobs to run; the ends of those whose time to be started is over, whose
    /// record is gone or cannot be read. What a newer program wrote is left to it.
    async fn sort_out(
        &self,
        queue: &QueueName,
        now: Timestamp,
        taken: Vec<Taken>,
    ) -> Result<(Vec<Claimed>, Vec<Ending>), BrokerError> {
        let (mut claimed, mut ended) = (Vec::with_capacity(taken.len()), Vec::new());
        for Taken { id, token, record } in taken {
            let Some(record) = record else {
                let what = What::Drop;
                ended.push(Ending { id, token, what });
                continue;
            };
            match stored(id, queue, &record) {
                Ok(job) if job.status != Status::Queued => {
                    let what = What::Drop;
                    ended.push(Ending { id, token, what });
                }
                Ok(job) => {
                    let Some(token) = self.recount(&job, token).await? else {
                        continue;
                    };
                    let job = lifecycle::claim(&job, &token);
                    match lifecycle::expire(&job, now) {
                        Some(next) => ended.push(Ending::of(id, token, &job, next, now)),
                        None => claimed.push(held_under(job, token)),
                    }
                }
                Err(_) => ended.extend(self.set_aside(queue, id, token, &record).await?),
            }
        }
        Ok((claimed, ended))
    }

    /// What becomes of a running job whose record this program cannot read: one
    /// that a newer program wrote is left to it, others go to the dead list.
    pub(crate) async fn set_aside(
        &self,
        queue: &QueueName,
        id: JobId,
        token: LeaseToken,
        record: &[u8],
    ) -> Result<Option<Ending>, BrokerError> {
        if !record::is_newer(record) {
            tracing::error!(%id, %queue, "a record cannot be read: its job goes to the dead list");
            let now = self.time.now();
            return Ok(Some(Ending::unreadable(id, token, queue, record, now)));
        }
        tracing::warn!(%id, %queue, "a newer program wrote this job: it is left to it");
        self.leave_to_newer(queue, id, token).await?;
        Ok(None)
    }

    /// The job's token with the number that its record tells: where an older
    /// program counted the attempts, the record alone knows. Nothing when the
    /// job is not held under it any more.
    async fn recount(
        &self,
        job: &Job,
        token: LeaseToken,
    ) -> Result<Option<LeaseToken>, BrokerError> {
        let attempt = job.attempt + 1;
        let right = LeaseToken { attempt, ..token };
        if right == token {
            return Ok(Some(token));
        }
        let held: bool = self
            .call(
                script::RECOUNT
                    .on(self.keys.queue(&job.queue))
                    .arg(self.time.argument())
                    .arg(job.id.to_string())
                    .arg(token.to_string())
                    .arg(right.to_string())
                    .arg(job.attempt),
            )
            .await?;
        Ok(held.then_some(right))
    }

    async fn leave_to_newer(
        &self,
        queue: &QueueName,
        id: JobId,
        token: LeaseToken,
    ) -> Result<(), BrokerError> {
        self.call(
            script::NEWER
                .on(self.keys.queue(queue))
                .arg(self.time.argument())
                .arg(id.to_string())
                .arg(token.to_string())
                .arg(millis(NEWER_PAUSE)),
        )
        .await
    }

    /// The records of jobs of one queue.
    async fn records(
        &self,
        queue: &QueueName,
        ids: &[JobId],
    ) -> Result<Vec<Option<Vec<u8>>>, BrokerError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<String> = ids.iter().map(|id| self.keys.record(queue, *id)).collect();
        let mut ask = redis::pipe();
        ask.cmd("MGET").arg(keys);
        let (records,): (Vec<Option<Vec<u8>>>,) = self.send(&ask).await?;
        Ok(records)
    }
}

/// Joins what the script gave; attempts are the first, of `now`, where it says nothing else.
fn taken(
    worker: WorkerId,
    now: Timestamp,
    ids: Vec<JobId>,
    attempts: &[(usize, u32, i64)],
    records: Vec<Option<Vec<u8>>>,
) -> Result<Vec<Taken>, BrokerError> {
    let token = LeaseToken {
        worker,
        attempt: 1,
        claimed_at: now,
    };
    let mut taken: Vec<Taken> = ids
        .into_iter()
        .zip(records)
        .map(|(id, record)| Taken { id, token, record })
        .collect();
    for (place, attempt, claimed_ms) in attempts {
        if let Some(taken) = taken.get_mut(*place) {
            taken.token.attempt = *attempt;
            taken.token.claimed_at = time(*claimed_ms)?;
        }
    }
    Ok(taken)
}

/// A time as a script tells it.
fn time(ms: i64) -> Result<Timestamp, BrokerError> {
    Timestamp::from_millisecond(ms).map_err(|_| corrupt(format!("the store's time {ms}")))
}

fn held_under(job: Job, token: LeaseToken) -> Claimed {
    let lease = Lease {
        job: job.id,
        queue: job.queue.clone(),
        token,
    };
    Claimed { job, lease }
}
