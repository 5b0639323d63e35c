//! Forgetting finished jobs whose time is over.
//!
//! Their records have a time to live of their own; what is left to do is to
//! take them out of the lists, and to delete where a moved clock ran ahead.

use lovage_core::error::BrokerError;
use lovage_core::id::{JobId, QueueName};
use lovage_core::limits;

use crate::connect::Store;
use crate::ops::list::Batch;
use crate::ops::settle::gone_millis;
use crate::script;

/// Bites of one queue in one call.
const BITES_MAX: usize = 16;

impl Store {
    pub(crate) async fn prune(&self) -> Result<usize, BrokerError> {
        let mut forgotten = 0;
        for queue in self.refresh_queues().await? {
            // Several bites: forgetting must keep up with finishing.
            for _ in 0..BITES_MAX {
                let bite = self.prune_queue(&queue).await?;
                forgotten += bite;
                if bite < limits::BATCH_MAX {
                    break;
                }
            }
        }
        Ok(forgotten)
    }

    async fn prune_queue(&self, queue: &QueueName) -> Result<usize, BrokerError> {
        let now = self.time.now().as_millisecond();
        let mut ask = redis::pipe();
        ask.cmd("ZRANGEBYSCORE")
            .arg(self.keys.forgettable(queue))
            .arg("-inf")
            .arg(now)
            .arg("LIMIT")
            .arg(0)
            .arg(limits::BATCH_MAX);
        let (entries,): (Vec<String>,) = self.send(&ask).await?;
        let mut forgotten = 0;
        for entry in &entries {
            if forgotten >= limits::BATCH_MAX {
                break;
            }
            forgotten += self.forget(queue, entry).await?;
        }
        Ok(forgotten)
    }

    /// Forgets the jobs of one batch of finished jobs.
    async fn forget(&self, queue: &QueueName, entry: &str) -> Result<usize, BrokerError> {
        let Some(batch) = self.finished_batch(queue, entry).await? else {
            let mut drop = redis::pipe();
            drop.zrem(self.keys.forgettable(queue), entry).ignore();
            self.send::<()>(&drop).await?;
            return Ok(0);
        };
        let over = self.over(queue, &batch).await?;
        self.call(
            script::FORGET
                .on(self.keys.queue(queue))
                .arg(self.time.argument())
                .arg(entry)
                .arg(over),
        )
        .await
    }

    /// Which jobs of a batch are over: not those that were redriven since.
    async fn over(&self, queue: &QueueName, batch: &Batch) -> Result<Vec<String>, BrokerError> {
        let jobs = self.read(queue, &batch.ids, false).await?;
        let is_over = |at: usize| match &jobs[at] {
            Some(job) => job.status.is_final() && gone_millis(job) == batch.gone,
            None => true,
        };
        let over = batch.ids.iter().enumerate().filter(|(at, _)| is_over(*at));
        Ok(over
            .map(|(_, id): (usize, &JobId)| id.to_string())
            .collect())
    }
}
