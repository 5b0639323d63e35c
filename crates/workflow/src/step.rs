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
        let opened = match self.open_step(name, input).await? {
            Step::Stored(value) => return Ok(value),
            Step::Open(opened) => opened,
        };
        let value = tokio::select! {
            biased;
            () = self.stop().cancelled() => return Err(Failure::Stopped),
            value = run() => value?,
        };
        self.close_step(opened, &value).await?;
        Ok(value)
    }

    /// The stored value of a step, or the right to run it.
    pub(crate) async fn open_step<T: DeserializeOwned>(
        &self,
        name: &str,
        input: &impl Serialize,
    ) -> Result<Step<T>, Failure> {
        let fingerprint = replay::fingerprint(input)?;
        let occurrence = {
            let mut replay = self.replay().await?.lock().expect("no panic while locked");
            match replay.take(name, &fingerprint) {
                Some(value) => return read(name, &value).map(Step::Stored),
                None => replay.occupy(name),
            }
        };
        if self.stop().is_cancelled() {
            return Err(Failure::Stopped);
        }
        self.emit(
            "step_started",
            Some(name),
            &serde_json::json!({ "occurrence": occurrence }),
        )
        .await?;
        Ok(Step::Open(Opened {
            name: name.to_owned(),
            occurrence,
            fingerprint,
            begun: Instant::now(),
        }))
    }

    /// Stores what a step returned; from here on it is never run again.
    pub(crate) async fn close_step(
        &self,
        opened: Opened,
        value: &impl Serialize,
    ) -> Result<(), Failure> {
        let Opened {
            name,
            occurrence,
            fingerprint,
            begun,
        } = opened;
        let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let data = serde_json::json!({ "occurrence": occurrence, "ms": ms });
        let finished = new_event("step_finished", Some(&name), &data)?;
        let value = stored_form(&name, value)?;
        let checkpoint = Checkpoint {
            step: name,
            occurrence,
            fingerprint,
            value,
        };
        Ok(self.journal().save(checkpoint, vec![finished]).await?)
    }
}

impl Context {
    /// What is kept under this name and fingerprint, however often it is asked for.
    pub(crate) async fn peek(
        &self,
        name: &str,
        fingerprint: &str,
    ) -> Result<Option<Payload>, Failure> {
        let replay = self.replay().await?.lock().expect("no panic while locked");
        Ok(replay.peek(name, fingerprint))
    }

    /// Keeps a value for this and every later attempt; watchers see nothing of it.
    pub(crate) async fn keep(
        &self,
        name: &str,
        fingerprint: &str,
        value: &impl Serialize,
    ) -> Result<(), Failure> {
        let value = stored_form(name, value)?;
        let replay = self.replay().await?;
        let occurrence = replay.lock().expect("no panic while locked").occupy(name);
        let checkpoint = Checkpoint {
            step: name.to_owned(),
            occurrence,
            fingerprint: fingerprint.to_owned(),
            value,
        };
        self.journal().save(checkpoint.clone(), Vec::new()).await?;
        replay
            .lock()
            .expect("no panic while locked")
            .add(checkpoint);
        Ok(())
    }
}

/// A step as this attempt meets it.
pub(crate) enum Step<T> {
    /// An earlier attempt finished it.
    Stored(T),
    /// It has to run.
    Open(Opened),
}

/// A step that has begun.
pub(crate) struct Opened {
    name: String,
    occurrence: u32,
    fingerprint: String,
    begun: Instant,
}

pub(crate) fn stored_form(name: &str, value: &impl Serialize) -> Result<Payload, Failure> {
    Payload::of(value).map_err(|error| {
        Failure::give_up(
            "step_value",
            format!("the value of step {name} has no JSON form: {error}"),
        )
    })
}

/// Reads a stored value.
pub(crate) fn read<T: DeserializeOwned>(name: &str, value: &Payload) -> Result<T, Failure> {
    value.read().map_err(|error| {
        Failure::give_up(
            "replay_mismatch",
            format!(
                "the stored value of step {name} has another shape, enqueue the job anew: {error}"
            ),
        )
    })
}
