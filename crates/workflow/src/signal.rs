//! Values from outside, waited for without a slot.

use std::time::Duration;

use jiff::Timestamp;
use lovage_core::checkpoint::signal_step;
use lovage_core::clock;
use lovage_core::id::check_label;
use lovage_core::status::WaitReason;
use serde::de::DeserializeOwned;

use crate::context::Context;
use crate::error::Failure;
use crate::step::read;

/// What is kept once for a job whatever its input: it has no fingerprint.
const ONCE: &str = "";

impl Context {
    /// The value that a person or another program gave this job under `name`;
    /// nothing when none came in time. Every attempt gets the same answer.
    ///
    /// While there is none the attempt ends: the job is parked without a slot,
    /// uses no attempt, and is begun again when the value is there. The time
    /// runs from the first call for this name in the life of the job.
    ///
    /// # Errors
    /// [`Failure::Park`] while it waits: pass it on. Gives up with `signal` for
    /// a value of another shape or a bad name.
    pub async fn signal<T: DeserializeOwned>(
        &self,
        name: &str,
        at_most: Duration,
    ) -> Result<Option<T>, Failure> {
        let refused = |why: String| Failure::give_up("signal", format!("signal {name:?}: {why}"));
        check_label(name).map_err(refused)?;
        let missed = format!("signal_missed:{name}");
        if self.peek(&missed, ONCE).await?.is_some() {
            return Ok(None);
        }
        if let Some(value) = self.peek(&signal_step(name), ONCE).await? {
            let value = value.read().map_err(|error| refused(error.to_string()))?;
            return Ok(Some(value));
        }
        if self.stop().is_cancelled() {
            return Err(Failure::Stopped);
        }
        let left = self
            .signal_until(name, at_most)
            .await?
            .duration_since(self.now());
        let after = Duration::try_from(left).unwrap_or_default();
        if after.is_zero() {
            // Kept: a value that comes later must not turn a later attempt another way.
            self.keep(&missed, ONCE, &()).await?;
            return Ok(None);
        }
        Err(Failure::Park {
            reason: WaitReason::Signal(name.to_owned()),
            after,
        })
    }

    /// Until when the job waits, kept from the first time on.
    async fn signal_until(&self, name: &str, at_most: Duration) -> Result<Timestamp, Failure> {
        let step = format!("signal_until:{name}");
        if let Some(until) = self.peek(&step, ONCE).await? {
            return read(&step, &until);
        }
        let until = clock::after(self.now(), at_most);
        self.keep(&step, ONCE, &until).await?;
        Ok(until)
    }
}
