//! Appending events to a running job.

use lovage_core::checkpoint::Checkpoint;
use lovage_core::error::BrokerError;
use lovage_core::event::{self, NewEvent};
use lovage_core::lease::Lease;

use crate::connect::Store;
use crate::ops::checkpoint;
use crate::script;

impl Store {
    pub(crate) async fn emit(&self, lease: &Lease, events: &[NewEvent]) -> Result<(), BrokerError> {
        self.append(lease, None, events).await
    }

    /// Appends events, and with a checkpoint only if that is new.
    pub(crate) async fn append(
        &self,
        lease: &Lease,
        checkpoint: Option<&Checkpoint>,
        events: &[NewEvent],
    ) -> Result<(), BrokerError> {
        let progress = events
            .iter()
            .rfind(|event| event.kind == event::kind::PROGRESS);
        let mut call = script::EMIT.prepare_invoke();
        call.key(self.keys.queue(&lease.queue))
            .arg(self.time.argument())
            .arg(lease.job.to_string())
            .arg(lease.token.to_string())
            .arg(progress.map_or("", |event| event.data.as_str()))
            .arg(checkpoint.map_or(String::new(), checkpoint::field))
            .arg(checkpoint.map_or(String::new(), checkpoint::value))
            .arg(events.len());
        for event in events {
            let step = event.step.as_ref().map(|step| format!("={step}"));
            call.arg(&event.kind)
                .arg(step.unwrap_or_default())
                .arg(event.data.as_str());
        }
        let held: bool = self.call_kept(&call).await?;
        if held {
            Ok(())
        } else {
            Err(BrokerError::LeaseLost)
        }
    }
}
