//! Parts of a piece of work, each kept the moment it is there.
//!
//! A step is stored when it is whole. What is long and is paid for as it comes
//! (a streamed text, say) keeps its parts too, so that an attempt that dies
//! half way leaves the finished half to the next one.

use std::marker::PhantomData;

use lovage_core::checkpoint::Checkpoint;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::context::{Context, new_event};
use crate::error::Failure;
use crate::replay;
use crate::step::{read, stored_form};

/// Where further parts of a piece of work go.
pub struct Parts<T> {
    context: Context,
    name: String,
    fingerprint: String,
    of: PhantomData<fn(T)>,
}

impl Context {
    /// The parts of `work` that were kept under the same `input`, in the order
    /// they were kept, and where further ones go.
    ///
    /// To be asked once in an attempt for a work and input; `input` is as in
    /// [`Context::step`].
    ///
    /// # Errors
    /// What keeps stored values from being read; `replay_mismatch` when one has
    /// another shape.
    pub async fn parts<T: Serialize + DeserializeOwned>(
        &self,
        work: &str,
        input: &impl Serialize,
    ) -> Result<(Vec<T>, Parts<T>), Failure> {
        let name = format!("part:{work}");
        let fingerprint = replay::fingerprint(input)?;
        let stored = {
            let mut replay = self.replay().await?.lock().expect("no panic while locked");
            std::iter::from_fn(|| replay.take(&name, &fingerprint)).collect::<Vec<_>>()
        };
        let kept = stored.iter().map(|value| read(&name, value));
        let kept = kept.collect::<Result<_, _>>()?;
        let parts = Parts {
            context: self.clone(),
            name,
            fingerprint,
            of: PhantomData,
        };
        Ok((kept, parts))
    }
}

impl<T: Serialize> Parts<T> {
    /// Keeps a further part and tells watchers of it, in one write: the type
    /// and data of each event of `step`. When this returns, every later attempt
    /// gets the part.
    ///
    /// # Errors
    /// [`Failure::Stopped`] when the attempt is to stop; as [`Journal::save`](crate::Journal::save).
    pub async fn keep<D: Serialize>(
        &self,
        part: &T,
        step: &str,
        events: &[(&str, D)],
    ) -> Result<(), Failure> {
        if self.context.stop().is_cancelled() {
            return Err(Failure::Stopped);
        }
        let events = events
            .iter()
            .map(|(kind, data)| new_event(kind, Some(step), data));
        let events = events.collect::<Result<Vec<_>, _>>()?;
        let value = stored_form(&self.name, part)?;
        let replay = self.context.replay().await?;
        let occurrence = replay
            .lock()
            .expect("no panic while locked")
            .occupy(&self.name);
        let checkpoint = Checkpoint {
            step: self.name.clone(),
            occurrence,
            fingerprint: self.fingerprint.clone(),
            value,
        };
        Ok(self.context.journal().save(checkpoint, events).await?)
    }
}
