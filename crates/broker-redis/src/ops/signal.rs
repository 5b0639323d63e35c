//! Values given to jobs from outside.

use lovage_core::broker::SignalReply;
use lovage_core::checkpoint;
use lovage_core::error::BrokerError;
use lovage_core::event;
use lovage_core::id::JobId;
use lovage_core::limits;
use lovage_core::payload::Payload;
use lovage_core::status::Status;
use serde::Serialize;

use crate::connect::Store;
use crate::error::corrupt;
use crate::ops::checkpoint::{field, value};
use crate::script;

/// Data of the event that tells of it.
#[derive(Serialize)]
struct Signalled<'a> {
    name: &'a str,
}

impl Store {
    pub(crate) async fn signal(
        &self,
        id: &JobId,
        name: &str,
        data: &Payload,
    ) -> Result<SignalReply, BrokerError> {
        let (got, max) = (data.as_str().len(), limits::SIGNAL_BYTES_MAX);
        if got > max {
            let what = "a signal";
            return Err(BrokerError::TooLarge { what, got, max });
        }
        let Some(queue) = self.locate(id).await? else {
            return Ok(SignalReply::NotFound);
        };
        let kept = checkpoint::signal(name, data.clone());
        let told = Payload::of(&Signalled { name }).expect("a name has a JSON form");
        let answer: String = self
            .call_kept(
                script::SIGNAL
                    .key(self.keys.queue(&queue))
                    .arg(self.time.argument())
                    .arg(id.to_string())
                    .arg(name)
                    .arg(field(&kept))
                    .arg(value(&kept))
                    .arg(event::kind::SIGNALLED)
                    .arg(told.as_str()),
            )
            .await?;
        match answer.as_str() {
            "D" => Ok(SignalReply::Delivered),
            "T" => Ok(SignalReply::Taken),
            "" => Ok(SignalReply::NotFound),
            "S" => Ok(SignalReply::TooLate(Status::Succeeded)),
            "F" => Ok(SignalReply::TooLate(Status::Failed)),
            "C" => Ok(SignalReply::TooLate(Status::Cancelled)),
            other => Err(corrupt(format!("the state of job {id}: {other:?}"))),
        }
    }
}
