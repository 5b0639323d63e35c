//! Stored steps against code: a changed script is detected, not guessed.
//!
//! A step is found by name and occurrence. Its input's fingerprint has to be
//! the stored one; another means that the code, a prompt or an input changed
//! since. Then the job gives up with `replay_mismatch` rather than pay for
//! steps again or mix old values with new ones; its caller may enqueue it anew.

use std::collections::HashMap;

use lovage_core::checkpoint::Checkpoint;
use lovage_core::payload::Payload;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::error::Failure;

/// The stored steps of a job, and how often each name was met in this attempt.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    stored: HashMap<(String, u32), Checkpoint>,
    met: HashMap<String, u32>,
}

impl Replay {
    pub(crate) fn new(stored: Vec<Checkpoint>) -> Self {
        let key =
            |checkpoint: Checkpoint| ((checkpoint.step.clone(), checkpoint.occurrence), checkpoint);
        Self {
            stored: stored.into_iter().map(key).collect(),
            met: HashMap::new(),
        }
    }

    /// Takes the next `count` occurrences of a name; gives the first.
    pub(crate) fn meet(&mut self, step: &str, count: u32) -> u32 {
        let met = self.met.entry(step.to_owned()).or_default();
        let first = *met;
        *met += count;
        first
    }

    /// The stored value, or nothing when the step has not finished yet.
    pub(crate) fn find(
        &self,
        step: &str,
        occurrence: u32,
        fingerprint: &str,
    ) -> Result<Option<Payload>, Failure> {
        match self.stored.get(&(step.to_owned(), occurrence)) {
            None => Ok(None),
            Some(found) if found.fingerprint == fingerprint => Ok(Some(found.value.clone())),
            Some(_) => Err(Failure::give_up(
                "replay_mismatch",
                format!("step {step} was stored for another input: enqueue the job anew"),
            )),
        }
    }
}

/// 128 bits of the SHA-256 of the input's JSON, in hex.
pub(crate) fn fingerprint(input: &impl Serialize) -> Result<String, Failure> {
    let bytes = serde_json::to_vec(input).map_err(|error| {
        Failure::give_up(
            "step_input",
            format!("a step's input has no JSON form: {error}"),
        )
    })?;
    let digest = Sha256::digest(&bytes);
    Ok(digest[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}
