//! Forgetting finished jobs whose time is over.
//!
//! Records have no time to live of their own: many that Redis forgets at once
//! hold it up for longer than a bite does, and each costs memory and time.

use lovage_core::error::BrokerError;
use lovage_core::id::QueueName;
use lovage_core::limits;

use crate::connect::Store;
use crate::script;

/// Bites of one queue in one call: forgetting must keep up with finishing.
const BITES_MAX: usize = 256;

impl Store {
    pub(crate) async fn prune(&self) -> Result<usize, BrokerError> {
        let mut forgotten = 0;
        for queue in self.refresh_queues().await? {
            for _ in 0..BITES_MAX {
                let Some(bite) = self.prune_bite(&queue).await? else {
                    break;
                };
                forgotten += bite;
            }
        }
        Ok(forgotten)
    }

    /// Forgets some jobs of a queue; nothing when no more are past their time.
    async fn prune_bite(&self, queue: &QueueName) -> Result<Option<usize>, BrokerError> {
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
        if entries.is_empty() {
            return Ok(None);
        }
        let mut call = script::FORGET.on(self.keys.queue(queue));
        call.arg(self.time.argument())
            .arg(limits::BATCH_MAX)
            .arg(entries);
        self.call(&call).await.map(Some)
    }
}
