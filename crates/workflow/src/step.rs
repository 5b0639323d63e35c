//! One durable step: return the stored value, or run, store, return.

use lovage_core::checkpoint::Checkpoint;
use lovage_core::payload::Payload;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::context::{Context, new_event};
use crate::error::Failure;
use crate::replay;

impl Context {
    /// Runs a step once in the life of its job.
    ///
    /// When an earlier attempt finished the step `name` with the same `input`,
    /// its stored value is returned and `run` is not called; the first such
    /// call gets the first such value, the second the second, and so on.
    /// Otherwise `run` runs and its value is stored before this returns.
    ///
    /// `input` is everything the value depends on, versions of prompts and
    /// code included. What differs between attempts (the time, say) has no
    /// place in it.
    ///
    /// # Errors
    /// What `run` fails with; [`Failure::Stopped`] as soon as the attempt is to
    /// stop; `replay_mismatch` when the stored value has another shape.
    pub async fn step<T, F>(
        &self,
        name: &str,
        input: &impl Serialize,
        run: impl FnOnce() -> F,
    ) -> Result<T, Failure>
    where
        T: Serialize + DeserializeOwned,
        F: Future<Output = Result<T, Failure>>,
    {
        let fingerprint = replay::fingerprint(input)?;
        let (stored, occurrence) = {
            let mut replay = self.replay().await?.lock().expect("no panic while locked");
            match replay.take(name, &fingerprint) {
                Some(stored) => (Some(stored), 0),
                None => (None, replay.occupy(name)),
            }
        };
        if let Some(value) = stored {
            return read(name, &value);
        }
        if self.stop().is_cancelled() {
            return Err(Failure::Stopped);
        }
        self.emit(
            "step_started",
            Some(name),
            &serde_json::json!({ "occurrence": occurrence }),
        )
        .await?;
        let begun = Instant::now();
        let value = tokio::select! {
            biased;
            () = self.stop().cancelled() => return Err(Failure::Stopped),
            value = run() => value?,
        };
        let checkpoint = Checkpoint {
            step: name.to_owned(),
            occurrence,
            fingerprint,
            value: stored_form(name, &value)?,
        };
        self.store(checkpoint, begun).await?;
        Ok(value)
    }

    async fn store(&self, checkpoint: Checkpoint, begun: Instant) -> Result<(), Failure> {
        let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let data = serde_json::json!({ "occurrence": checkpoint.occurrence, "ms": ms });
        let finished = new_event("step_finished", Some(&checkpoint.step), &data)?;
        Ok(self.journal().save(checkpoint, vec![finished]).await?)
    }
}

fn stored_form(name: &str, value: &impl Serialize) -> Result<Payload, Failure> {
    Payload::of(value).map_err(|error| {
        Failure::give_up(
            "step_value",
            format!("the value of step {name} has no JSON form: {error}"),
        )
    })
}

fn read<T: DeserializeOwned>(name: &str, value: &Payload) -> Result<T, Failure> {
    value.read().map_err(|error| {
        Failure::give_up(
            "replay_mismatch",
            format!(
                "the stored value of step {name} has another shape, enqueue the job anew: {error}"
            ),
        )
    })
}
