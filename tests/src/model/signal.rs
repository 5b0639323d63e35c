//! Values given to a job from outside.

use jiff::Timestamp;
use lovage_core::broker::SignalReply;
use lovage_core::checkpoint;
use lovage_core::error::BrokerError;
use lovage_core::event::NewEvent;
use lovage_core::id::JobId;
use lovage_core::limits;
use lovage_core::payload::Payload;

use super::state::State;

impl State {
    /// Keeps a value for an unfinished job, which goes on if it waits for it.
    pub(super) fn signal(
        &mut self,
        id: &JobId,
        name: &str,
        data: &Payload,
        now: Timestamp,
    ) -> Result<SignalReply, BrokerError> {
        if data.as_str().len() > limits::SIGNAL_BYTES_MAX {
            return Err(BrokerError::TooLarge {
                what: "signal",
                got: data.as_str().len(),
                max: limits::SIGNAL_BYTES_MAX,
            });
        }
        let Some(stored) = self.live_mut(id, now) else {
            return Ok(SignalReply::NotFound);
        };
        if stored.job.status.is_final() {
            return Ok(SignalReply::TooLate(stored.job.status));
        }
        match stored.signal(name) {
            Some(kept) if kept == data => return Ok(SignalReply::Delivered),
            Some(_) => return Ok(SignalReply::Taken),
            None => {}
        }
        let kept = checkpoint::signal(name, data.clone());
        stored.checkpoints.push(kept);
        stored.append(&[NewEvent::signalled(name)], now);
        self.new_front();
        self.go_on(id);
        Ok(SignalReply::Delivered)
    }
}
