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
    /// When an earlier attempt finished the step `name` (and its occurrence:
    /// the first call is 0, the second 1, …) its stored value is returned and
    /// `run` is not called. Otherwise `run` runs and its value is stored
    /// before this returns. `input` is what the value depends on; it must be
    /// the same in every attempt. Steps of one name that run side by side
    /// belong into [`Context::fan_out`].
    ///
    /// # Errors
    /// What `run` fails with; [`Failure::Stopped`] as soon as the attempt is to
    /// stop; `replay_mismatch` when the stored step had another input.
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
        let occurrence = self
            .replay()
            .await?
            .lock()
            .expect("no panic while locked")
            .meet(name, 1);
        self.run_step(name, occurrence, &replay::fingerprint(input)?, run)
            .await
    }

    pub(crate) async fn run_step<T, F>(
        &self,
        name: &str,
        occurrence: u32,
        fingerprint: &str,
        run: impl FnOnce() -> F,
    ) -> Result<T, Failure>
    where
        T: Serialize + DeserializeOwned,
        F: Future<Output = Result<T, Failure>>,
    {
        let stored = self
            .replay()
            .await?
            .lock()
            .expect("no panic while locked")
            .find(name, occurrence, fingerprint)?;
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
        self.store(name, occurrence, fingerprint, &value, begun)
            .await?;
        Ok(value)
    }

    async fn store(
        &self,
        name: &str,
        occurrence: u32,
        fingerprint: &str,
        value: &impl Serialize,
        begun: Instant,
    ) -> Result<(), Failure> {
        let value = Payload::of(value).map_err(|error| {
            Failure::give_up(
                "step_value",
                format!("step {name} has no JSON form: {error}"),
            )
        })?;
        let checkpoint = Checkpoint {
            step: name.to_owned(),
            occurrence,
            fingerprint: fingerprint.to_owned(),
            value,
        };
        let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let data = serde_json::json!({ "occurrence": occurrence, "ms": ms });
        let finished = new_event("step_finished", Some(name), &data)?;
        Ok(self.journal().save(checkpoint, vec![finished]).await?)
    }
}

fn read<T: DeserializeOwned>(name: &str, value: &Payload) -> Result<T, Failure> {
    value.read().map_err(|error| {
        Failure::give_up(
            "replay_mismatch",
            format!("the stored value of step {name} has another shape: {error}"),
        )
    })
}
