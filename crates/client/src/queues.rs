//! Calls about queues.

use reqwest::RequestBuilder;

use crate::error::ClientError;
use crate::http::{CALL, Client, read};
use crate::wire::{LimitsRequest, QueueList, QueueView};

impl Client {
    /// What each queue holds.
    ///
    /// # Errors
    /// When the server cannot be reached or fails.
    pub async fn queues(&self) -> Result<QueueList, ClientError> {
        let call = self.http.get(self.url(&["v1", "queues"]));
        read(call.timeout(CALL)).await
    }

    /// Gives no more jobs of a queue to workers; running ones go on.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with status 422 for what is no name of a queue.
    pub async fn pause(&self, queue: &str) -> Result<QueueView, ClientError> {
        read(self.post(queue, "pause")).await
    }

    /// Gives jobs of a queue to workers again.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with status 422 for what is no name of a queue.
    pub async fn resume(&self, queue: &str) -> Result<QueueView, ClientError> {
        read(self.post(queue, "resume")).await
    }

    /// Limits what a queue gives to workers, in place of its limits before.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with status 422 for a limit beyond its bounds.
    pub async fn limit(
        &self,
        queue: &str,
        limits: &LimitsRequest,
    ) -> Result<QueueView, ClientError> {
        let call = self.http.put(self.url(&["v1", "queues", queue, "limits"]));
        read(call.json(limits).timeout(CALL)).await
    }

    fn post(&self, queue: &str, verb: &str) -> RequestBuilder {
        let call = self.http.post(self.url(&["v1", "queues", queue, verb]));
        call.timeout(CALL)
    }
}
