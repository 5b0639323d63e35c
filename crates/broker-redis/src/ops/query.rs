//! Reading jobs and counts.

use lovage_core::error::BrokerError;
use lovage_core::id::{JobId, QueueName};
use lovage_core::job::{Job, Progress};
use lovage_core::lease::LeaseToken;
use lovage_core::lifecycle;
use lovage_core::query::QueueStats;
use lovage_core::record;
use lovage_core::status::Status;

use crate::connect::Store;
use crate::error::corrupt;
use crate::script;

/// Record, token, asked to stop and progress of one job, as `read.lua` gives them.
type Row = (Vec<u8>, String, bool, String);

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
            .map(|(id, row)| view(*id, queue, &row))
            .collect()
    }

    async fn read_rows(
        &self,
        queue: &QueueName,
        ids: &[JobId],
        results: bool,
    ) -> Result<Vec<Row>, BrokerError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<String> = ids.iter().map(JobId::to_string).collect();
        self.call(
            script::READ
                .key(self.keys.queue(queue))
                .arg(i32::from(results))
                .arg(names),
        )
        .await
    }

    pub(crate) async fn stats(&self) -> Result<Vec<QueueStats>, BrokerError> {
        let queues = self.refresh_queues().await?;
        if queues.is_empty() {
            return Ok(Vec::new());
        }
        let fields = ["scheduled", "queued", "waiting", "S", "F", "C", "paused"];
        let mut ask = redis::pipe();
        for queue in &queues {
            ask.cmd("HMGET").arg(self.keys.counters(queue)).arg(&fields);
            ask.hlen(self.keys.running(queue));
        }
        let rows: Vec<([Option<i64>; 7], u64)> = self.send_each(&ask).await?;
        Ok(queues
            .into_iter()
            .zip(rows)
            .map(|(queue, (counts, running))| stats_of(queue, counts, running))
            .collect())
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

/// A job as it stands: its record, and who runs it.
fn view(id: JobId, queue: &QueueName, row: &Row) -> Result<Option<Job>, BrokerError> {
    let (record, token, asked, progress) = row;
    if record.is_empty() {
        return Ok(None);
    }
    let mut job = stored(id, queue, record)?;
    if !token.is_empty() {
        let token: LeaseToken = token
            .parse()
            .map_err(|_| corrupt(format!("the token of job {id}")))?;
        job = lifecycle::claim(&job, &token);
        job.cancel_requested = *asked;
        job.progress = serde_json::from_str::<Progress>(progress).ok();
    }
    Ok(Some(job))
}
