//! Stopping and starting the giving of jobs.

use lovage_core::error::BrokerError;
use lovage_core::id::QueueName;

use crate::connect::Store;
use crate::script;

impl Store {
    pub(crate) async fn pause(&self, queue: &QueueName, paused: bool) -> Result<(), BrokerError> {
        self.know_queues(&[queue]).await?;
        self.call(
            script::PAUSE
                .key(self.keys.queue(queue))
                .arg(self.time.argument())
                .arg(i32::from(paused)),
        )
        .await
    }

    /// Puts back a wake token that nobody here can use.
    pub(crate) async fn put_token_back(&self, queue: &QueueName) -> Result<(), BrokerError> {
        self.call(
            script::TOKEN
                .key(self.keys.queue(queue))
                .arg(self.time.argument()),
        )
        .await
    }
}
