//! A worker's lease: begun, moved, ended.

use lovage_core::error::BrokerError;
use lovage_core::id::{JobId, QueueName, WorkerId};

use crate::connect::{Store, lease_millis};
use crate::error::corrupt;
use crate::script;

impl Store {
    pub(crate) async fn register(
        &self,
        queue: &QueueName,
        worker: &WorkerId,
    ) -> Result<(), BrokerError> {
        self.know_queues(&[queue]).await?;
        let begun: bool = self
            .call(
                script::REGISTER
                    .key(self.keys.queue(queue))
                    .arg(self.time.argument())
                    .arg(worker.to_string())
                    .arg(lease_millis(self)),
            )
            .await?;
        if begun {
            Ok(())
        } else {
            Err(BrokerError::WorkerUnknown)
        }
    }

    pub(crate) async fn deregister(
        &self,
        queue: &QueueName,
        worker: &WorkerId,
    ) -> Result<(), BrokerError> {
        let mut end = redis::pipe();
        end.cmd("ZADD")
            .arg(self.keys.workers(queue))
            .arg("XX")
            .arg(-1)
            .arg(worker.to_string())
            .ignore();
        end.del(self.keys.inbox(queue, worker)).ignore();
        self.send(&end).await
    }

    pub(crate) async fn extend(
        &self,
        queue: &QueueName,
        worker: &WorkerId,
    ) -> Result<Vec<JobId>, BrokerError> {
        let (now, stop): (i64, Vec<String>) = self
            .call(
                script::EXTEND
                    .key(self.keys.queue(queue))
                    .arg(self.time.argument())
                    .arg(worker.to_string())
                    .arg(lease_millis(self)),
            )
            .await?;
        if now < 0 {
            return Err(BrokerError::WorkerUnknown);
        }
        if !self.time.is_moved() {
            self.time.heard(now);
        }
        stop.iter().map(|id| job_id(id)).collect()
    }

    /// Drops what is kept of lost workers that hold nothing any more.
    pub(crate) async fn forget_workers(
        &self,
        queue: &QueueName,
        workers: &[WorkerId],
    ) -> Result<(), BrokerError> {
        let mut forget = redis::pipe();
        for worker in workers {
            forget
                .zrem(self.keys.workers(queue), worker.to_string())
                .ignore();
        }
        self.send(&forget).await
    }
}

/// A job id as scripts hand it out.
pub(crate) fn job_id(id: &str) -> Result<JobId, BrokerError> {
    id.parse().map_err(|_| corrupt(format!("a job id: {id:?}")))
}
