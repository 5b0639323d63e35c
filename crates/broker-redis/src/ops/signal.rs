//! Values given to jobs from outside.

use lovage_core::bound;
use lovage_core::broker::SignalReply;
use lovage_core::checkpoint;
use lovage_core::error::BrokerError;
use lovage_core::event::NewEvent;
use lovage_core::id::{JobId, QueueName};
use lovage_core::payload::Payload;

use crate::connect::Store;
use crate::error::corrupt;
use crate::ops::checkpoint::{field, value};
use crate::script;

impl Store {
    pub(crate) async fn signal(
        &self,
        id: &JobId,
        name: &str,
        data: &Payload,
    ) -> Result<SignalReply, BrokerError> {
        bound::signal(name, data)?;
        let Some(queue) = self.locate(id).await? else {
            return Ok(SignalReply::NotFound);
        };
        let kept = checkpoint::signal(name, data.clone());
        let told = NewEvent::signalled(name);
        let answer: String = self
            .call_kept(
                script::SIGNAL
                    .on(self.keys.queue(&queue))
                    .arg(self.time.argument())
                    .arg(id.to_string())
                    .arg(name)
                    .arg(field(&kept))
                    .arg(value(&kept))
                    .arg(told.kind)
                    .arg(told.data.as_str()),
            )
            .await?;
        match answer.as_str() {
            "D" => Ok(SignalReply::Delivered),
            "T" => Ok(SignalReply::Taken),
            "" => Ok(SignalReply::NotFound),
            "S" | "F" | "C" => self.too_late(&queue, id).await,
            other => Err(corrupt(format!("the state of job {id}: {other:?}"))),
        }
    }

    /// A job that is over may be gone by now, though Redis still has it.
    async fn too_late(&self, queue: &QueueName, id: &JobId) -> Result<SignalReply, BrokerError> {
        let job = self.current(queue, id, false).await?;
        Ok(job.map_or(SignalReply::NotFound, |job| {
            SignalReply::TooLate(job.status)
        }))
    }
}
