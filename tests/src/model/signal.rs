//! Values given to a job from outside.

use jiff::Timestamp;
use lovage_core::broker::SignalReply;
use lovage_core::checkpoint;
use lovage_core::event::NewEvent;
use lovage_core::id::JobId;
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
    ) -> SignalReply {
        let Some(stored) = self.live_mut(id, now) else {
            return SignalReply::NotFound;
        };
        if stored.job.status.is_final() {
            return SignalReply::TooLate(stored.job.status);
        }
        match stored.signal(name) {
            Some(kept) if kept == data => return SignalReply::Delivered,
            Some(_) => return SignalReply::Taken,
            None => {}
        }
        let kept = checkpoint::signal(name, data.clone());
        stored.checkpoints.push(kept);
        stored.append(&[NewEvent::signalled(name)], now);
        self.new_front();
        self.go_on(id);
        SignalReply::Delivered
    }
}
