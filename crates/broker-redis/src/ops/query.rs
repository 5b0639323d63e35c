//! Reading jobs and counts.

use lovage_core::error::BrokerError;
use lovage_core::id::{JobId, QueueName};
use lovage_core::job::{Job, Progress};
use lovage_core::lease::LeaseToken;
use lovage_core::lifecycle;
use lovage_core::query::QueueStats;
use lovage_core::queue::QueueLimits;
use lovage_core::record;
use lovage_core::status::Status;

use crate::connect::Store;
use crate::error::corrupt;
use crate::script;

/// What is stored of one job, as `read.lua` gives it; texts are empty where there is nothing.
pub(crate) struct Row {
    pub(crate) record: Vec<u8>,
    token: String,
    asked_to_stop: bool,
    progress: String,
}

impl Store {
    pub(crate) async fn get(&self, id: &JobId) -> Result<Option<Job>, BrokerError> {
        let Some(queue) = self.locate(id).await? else {
            return Ok(None);
        };
        self.current(&queue, id, true).await
    }

    /// A job of a queue as it stands, unless it is gone; its result where asked for.
    pub(crate) async fn current(
        &self,
        queue: &QueueName,
        id: &JobId,
        result: bool,
    ) -> Result<Option<Job>, BrokerError> {
        let job = self.read(queue, &[*id], result).await?.pop().flatten();
        Ok(job.filter(|job| !job.is_gone(self.time.now())))
    }

    /// Jobs of one queue as they stand, one answer each; results only where asked for.
    pub(crate) async fn read(
        &self,
        queue: &QueueName,
        ids: &[JobId],
        results: bool,
    ) -> Result<Vec<Option<Job>>, BrokerError> {
        let rows = self.read_rows(queue, ids, results).await?;
        ids.iter()
            .zip(rows)
            .map(|(id, row)| row.view(*id, queue))
            .collect()
    }

    /// What is stored of jobs of one queue, one answer each.
    pub(crate) async fn read_rows(
        &self,
        queue: &QueueName,
        ids: &[JobId],
        results: bool,
    ) -> Result<Vec<Row>, BrokerError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<String> = ids.iter().map(JobId::to_string).collect();
        let rows: Vec<(Vec<u8>, String, bool, String)> = self
            .call(
                script::READ
                    .key(self.keys.queue(queue))
                    .arg(i32::from(results))
                    .arg(names),
            )
            .await?;
        let row = |(record, token, asked_to_stop, progress)| Row {
            record,
            token,
            asked_to_stop,
            progress,
        };
        Ok(rows.into_iter().map(row).collect())
    }

    pub(crate) async fn stats(&self) -> Result<Vec<QueueStats>, BrokerError> {
        let queues = self.refresh_queues().await?;
        if queues.is_empty() {
            return Ok(Vec::new());
        }
        let fields = ["scheduled", "queued", "waiting", "S", "F", "C", "paused"];
        let limits = "limits";
        let mut ask = redis::pipe();
        for queue in &queues {
            ask.cmd("HMGET").arg(self.keys.counters(queue)).arg(&fields);
            ask.hlen(self.keys.running(queue));
            ask.hget(self.keys.counters(queue), limits);
        }
        let rows: Vec<([Option<i64>; 7], u64, Option<String>)> = self.send_each(&ask).await?;
        queues
            .into_iter()
            .zip(rows)
            .map(|(queue, (counts, running, limits))| {
                let limits = limits.map(|limits| {
                    serde_json::from_str(&limits)
                        .map_err(|_| corrupt(format!("the limits of queue {queue}")))
                });
                let limits = limits.transpose()?.unwrap_or_default();
                Ok(QueueStats {
                    limits,
                    ..stats_of(queue, counts, running)
                })
            })
            .collect()
    }
}

fn stats_of(queue: QueueName, counts: [Option<i64>; 7], running: u64) -> QueueStats {
    let [
        scheduled,
        queued,
        waiting,
        succeeded,
        failed,
        cancelled,
        paused,
    ] = counts;
    let count = |field: Option<i64>| u64::try_from(field.unwrap_or(0)).unwrap_or(0);
    QueueStats {
        queue,
        paused: paused.is_some(),
        scheduled: count(scheduled),
        queued: count(queued),
        running,
        waiting: count(waiting),
        succeeded_total: count(succeeded),
        failed_total: count(failed),
        cancelled_total: count(cancelled),
        limits: QueueLimits::default(),
    }
}

/// A stored record as a job. One that was promoted in place still names what it waited for.
pub(crate) fn stored(id: JobId, queue: &QueueName, record: &[u8]) -> Result<Job, BrokerError> {
    let mut job = record::decode(id, queue, record)?;
    if job.status != Status::Waiting {
        job.waiting = None;
    }
    Ok(job)
}

impl Row {
    /// The job as it stands: its record, and who runs it.
    ///
    /// # Errors
    /// [`BrokerError::Corrupt`] when this program cannot read the record.
    pub(crate) fn view(&self, id: JobId, queue: &QueueName) -> Result<Option<Job>, BrokerError> {
        if self.record.is_empty() {
            return Ok(None);
        }
        let job = stored(id, queue, &self.record)?;
        if self.token.is_empty() {
            return Ok(Some(job));
        }
        let token: LeaseToken = self
            .token
            .parse()
            .map_err(|_| corrupt(format!("the token of job {id}")))?;
        let mut job = lifecycle::claim(&job, &token);
        job.cancel_requested = self.asked_to_stop;
        job.progress = serde_json::from_str::<Progress>(&self.progress).ok();
        Ok(Some(job))
    }
}
