//! Taking jobs from workers that are gone, and ending cancels that were not heeded.

use std::collections::HashSet;

use lovage_core::broker::Swept;
use lovage_core::error::BrokerError;
use lovage_core::id::{JobId, QueueName, WorkerId};
use lovage_core::job::Job;
use lovage_core::lease::LeaseToken;
use lovage_core::lifecycle::{self, Next};
use lovage_core::limits;
use lovage_core::status::Status;

use crate::connect::{Store, lease_millis};
use crate::error::corrupt;
use crate::ops::cancel::{Replaced, TRIES, restless};
use crate::ops::extend::job_id;
use crate::ops::settle::{Answer, Ending, What};
use crate::script;

/// One sweep of a queue in this time is enough, whichever process made it.
const ENOUGH_MS: i64 = 1_000;
/// Running jobs looked at per round trip.
const SCAN_COUNT: usize = 1_000;

/// How often a job that waits for its children is looked after.
const LOOK_MS: i64 = 30_000;

type Names = Vec<String>;
/// A running job and who holds it.
type Held = (JobId, LeaseToken);

impl Store {
    pub(crate) async fn reclaim(&self) -> Result<Swept, BrokerError> {
        let mut swept = Swept::default();
        for queue in self.refresh_queues().await? {
            self.sweep(&queue, &mut swept).await?;
        }
        Ok(swept)
    }

    async fn sweep(&self, queue: &QueueName, swept: &mut Swept) -> Result<(), BrokerError> {
        // A clock that tests move may stand still between two sweeps.
        let enough = if self.time.is_moved() { 0 } else { ENOUGH_MS };
        let (_, lost, overdue, expired, parents): (i64, Names, Names, Names, Names) = self
            .call(
                script::SWEEP
                    .key(self.keys.queue(queue))
                    .arg(self.time.argument())
                    .arg(lease_millis(self))
                    .arg(enough)
                    .arg(i32::from(self.restart_grace))
                    .arg(limits::EXPIRED_WORKERS_MAX)
                    .arg(limits::BATCH_MAX)
                    .arg(limits::EXPIRED_JOBS_MAX),
            )
            .await?;
        if !lost.is_empty() {
            let lost = lost
                .iter()
                .map(|worker| worker.parse())
                .collect::<Result<Vec<WorkerId>, _>>()
                .map_err(|error| corrupt(error.to_string()))?;
            self.take_back(queue, &lost, swept).await?;
        }
        if !overdue.is_empty() {
            self.end_overdue(queue, &overdue, swept).await?;
        }
        if !expired.is_empty() {
            self.end_unstarted(queue, &expired, swept).await?;
        }
        for parent in parents {
            self.look_after(queue, &parent).await?;
        }
        Ok(())
    }

    /// Settles what lost workers held; forgets the workers once that is nothing.
    async fn take_back(
        &self,
        queue: &QueueName,
        lost: &[WorkerId],
        swept: &mut Swept,
    ) -> Result<(), BrokerError> {
        let mut held = self.held_by(queue, lost, limits::BATCH_MAX).await?;
        // Pushed to the front one by one: the first claimed goes last.
        held.sort_unstable_by_key(|(id, token)| std::cmp::Reverse((token.claimed_at, *id)));
        let jobs = self
            .end_held(queue, &held, lifecycle::attempt_lost, swept)
            .await?;
        swept
            .reclaimed
            .extend(jobs.iter().map(|job| (job.id, job.status)));
        if held.len() < limits::BATCH_MAX {
            self.forget_workers(queue, lost).await?;
        } else {
            // There may be more: the next call must not find this sweep enough.
            let mut again = redis::pipe();
            again.hdel(self.keys.counters(queue), "swept").ignore();
            self.send::<()>(&again).await?;
        }
        Ok(())
    }

    async fn end_overdue(
        &self,
        queue: &QueueName,
        overdue: &[String],
        swept: &mut Swept,
    ) -> Result<(), BrokerError> {
        let mut ask = redis::pipe();
        ask.cmd("HMGET").arg(self.keys.running(queue)).arg(overdue);
        let (tokens,): (Vec<Option<String>>,) = self.send(&ask).await?;
        let (mut held, mut ended) = (Vec::with_capacity(overdue.len()), Vec::new());
        for (id, token) in overdue.iter().zip(tokens) {
            match token {
                Some(token) => held.push(read_held(id, &token)?),
                // Ended since: left behind, it would stand before the others for ever.
                None => ended.push(id.as_str()),
            }
        }
        if !ended.is_empty() {
            let mut drop = redis::pipe();
            drop.zrem(self.keys.cancels(queue), ended).ignore();
            self.send::<()>(&drop).await?;
        }
        let end = |_: &Job| lifecycle::cancel_overdue();
        let jobs = self.end_held(queue, &held, end, swept).await?;
        swept.cancelled.extend(jobs.iter().map(|job| job.id));
        Ok(())
    }

    /// Ends jobs that nobody started in time.
    async fn end_unstarted(
        &self,
        queue: &QueueName,
        expired: &[String],
        swept: &mut Swept,
    ) -> Result<(), BrokerError> {
        for id in expired {
            let id = job_id(id)?;
            // Changed meanwhile, it is met again by the next sweep.
            if self.end_if_unstarted(queue, &id).await? {
                swept.expired.push(id);
            }
        }
        let mut drop = redis::pipe();
        drop.zrem(self.keys.expiring(queue), expired).ignore();
        self.send(&drop).await
    }

    async fn end_if_unstarted(&self, queue: &QueueName, id: &JobId) -> Result<bool, BrokerError> {
        for _ in 0..TRIES {
            let job = match self.current(queue, id, false).await {
                Ok(Some(job)) => job,
                Ok(None) | Err(BrokerError::Corrupt(_)) => return Ok(false),
                Err(error) => return Err(error),
            };
            let now = self.time.now();
            let unstarted = !job.status.is_final() && job.status != Status::Running;
            let Some(next) = lifecycle::expire(&job, now).filter(|_| unstarted) else {
                return Ok(false);
            };
            let after = lifecycle::apply(&job, &next, now);
            if let Replaced::Done = self.replace(&job, &after, &[]).await? {
                return Ok(true);
            }
        }
        Err(restless(id))
    }

    async fn look_after(&self, queue: &QueueName, parent: &str) -> Result<(), BrokerError> {
        self.call(
            script::JOIN
                .key(self.keys.queue(queue))
                .arg(self.time.argument())
                .arg(parent)
                .arg(LOOK_MS),
        )
        .await
    }

    /// At most `max` running jobs of these workers.
    ///
    /// A whole pass finds all that they held when it began. Workers that were
    /// declared lost before claim nothing more.
    pub(crate) async fn held_by(
        &self,
        queue: &QueueName,
        workers: &[WorkerId],
        max: usize,
    ) -> Result<Vec<Held>, BrokerError> {
        let mut seen = HashSet::new();
        let mut held = Vec::new();
        let mut cursor = 0_u64;
        loop {
            let mut ask = redis::pipe();
            ask.cmd("HSCAN")
                .arg(self.keys.running(queue))
                .arg(cursor)
                .arg("COUNT")
                .arg(SCAN_COUNT);
            let ((next, entries),): ((u64, Vec<(String, String)>),) = self.send(&ask).await?;
            for (id, token) in &entries {
                let (id, token) = read_held(id, token)?;
                if workers.contains(&token.worker) && seen.insert(id) {
                    held.push((id, token));
                }
            }
            if held.len() >= max || next == 0 {
                held.truncate(max);
                return Ok(held);
            }
            cursor = next;
        }
    }

    /// Settles running jobs under the tokens they are held by; those that were
    /// not settled by their worker meanwhile, as they are now.
    async fn end_held(
        &self,
        queue: &QueueName,
        held: &[Held],
        next: impl Fn(&Job) -> Next,
        swept: &mut Swept,
    ) -> Result<Vec<Job>, BrokerError> {
        if held.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<JobId> = held.iter().map(|(id, _)| *id).collect();
        let rows = self.read_rows(queue, &ids, false).await?;
        let now = self.time.now();
        let mut endings = Vec::with_capacity(held.len());
        for ((id, token), row) in held.iter().zip(rows) {
            match row.view(*id, queue) {
                Ok(Some(job)) => endings.push(Ending::of(*id, *token, &job, next(&job), now)),
                Ok(None) => endings.push(Ending {
                    id: *id,
                    token: *token,
                    what: What::Drop,
                }),
                Err(_) => endings.extend(self.set_aside(queue, *id, *token, &row.record).await?),
            }
        }
        let answers = self.end(queue, &endings, true).await?;
        let done = endings
            .into_iter()
            .zip(answers)
            .filter(|(_, answer)| *answer == Answer::Done);
        let mut ended = Vec::with_capacity(held.len());
        for (ending, _) in done {
            match ending.what {
                What::Next(job, _) => ended.push(*job),
                What::Drop => swept.orphans.push(ending.id),
            }
        }
        Ok(ended)
    }
}

fn read_held(id: &str, token: &str) -> Result<Held, BrokerError> {
    let token = token
        .parse()
        .map_err(|_| corrupt(format!("the token of job {id}")))?;
    Ok((job_id(id)?, token))
}
