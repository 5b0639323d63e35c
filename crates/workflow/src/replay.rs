//! Stored steps against code: a changed script is detected, not guessed.
//!
//! A stored step is found by its name and the fingerprint of its input. Where
//! the input, a prompt's version or the recipe's changed since, the step is
//! not found and runs anew; steps that did not change keep their values.

use std::collections::{HashMap, VecDeque};

use lovage_core::checkpoint::Checkpoint;
use lovage_core::payload::Payload;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::error::Failure;

/// The stored steps of a job that this attempt has not met yet.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    stored: HashMap<(String, String), VecDeque<Payload>>,
    /// The first occurrence of each name that nothing is stored under.
    free: HashMap<String, u32>,
}

impl Replay {
    /// What earlier attempts stored, in their order.
    pub(crate) fn new(checkpoints: Vec<Checkpoint>) -> Self {
        let mut replay = Self::default();
        for one in checkpoints {
            let free = replay.free.entry(one.step.clone()).or_default();
            *free = (*free).max(one.occurrence + 1);
            replay.add(one);
        }
        replay
    }

    /// The stored value of the next step with this name and input, if there is one.
    pub(crate) fn take(&mut self, step: &str, fingerprint: &str) -> Option<Payload> {
        self.stored
            .get_mut(&(step.to_owned(), fingerprint.to_owned()))?
            .pop_front()
    }

    /// The stored value of the step with this name and input, however often it is met.
    pub(crate) fn peek(&self, step: &str, fingerprint: &str) -> Option<Payload> {
        let key = (step.to_owned(), fingerprint.to_owned());
        self.stored.get(&key)?.front().cloned()
    }

    /// Adds a stored step.
    pub(crate) fn add(&mut self, checkpoint: Checkpoint) {
        let key = (checkpoint.step, checkpoint.fingerprint);
        self.stored
            .entry(key)
            .or_default()
            .push_back(checkpoint.value);
    }

    /// An occurrence of the name to store a step under.
    pub(crate) fn occupy(&mut self, step: &str) -> u32 {
        let free = self.free.entry(step.to_owned()).or_default();
        let occurrence = *free;
        *free += 1;
        occurrence
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
