//! What a store refuses to take, checked once for all of them: whatever is
//! beyond a bound of [`crate::limits`], saying what came and what is taken.

use crate::broker::{Settle, Spawn};
use crate::checkpoint::Checkpoint;
use crate::error::BrokerError;
use crate::job::NewJob;
use crate::limits;
use crate::payload::Payload;
use crate::queue::QueueLimits;

/// Jobs of one enqueue call.
///
/// # Errors
/// [`BrokerError::TooMany`] jobs, or an input that is [`BrokerError::TooLarge`].
pub fn enqueue(jobs: &[NewJob]) -> Result<(), BrokerError> {
    count("jobs of one call", jobs.len(), limits::ENQUEUE_BATCH_MAX)?;
    jobs.iter().try_for_each(input)
}

/// Attempts of one settle call.
///
/// # Errors
/// [`BrokerError::TooMany`] attempts.
pub fn settle(settles: &[Settle]) -> Result<(), BrokerError> {
    count("attempts of one call", settles.len(), limits::BATCH_MAX)
}

/// A step's value.
///
/// # Errors
/// A value that is [`BrokerError::TooLarge`].
pub fn checkpoint(checkpoint: &Checkpoint) -> Result<(), BrokerError> {
    let got = checkpoint.value.as_str().len();
    bytes("a checkpoint", got, limits::CHECKPOINT_BYTES_MAX)
}

/// A signal and its name.
///
/// # Errors
/// A name or a value that is [`BrokerError::TooLarge`].
pub fn signal(name: &str, data: &Payload) -> Result<(), BrokerError> {
    bytes("the name of a signal", name.len(), limits::KEY_BYTES_MAX)?;
    let got = data.as_str().len();
    bytes("a signal", got, limits::SIGNAL_BYTES_MAX)
}

/// A group of children; how many they may be depends on those before, see [`children`].
///
/// # Errors
/// A name of the group, an input or all inputs together that are [`BrokerError::TooLarge`].
pub fn spawn(spawn: &Spawn) -> Result<(), BrokerError> {
    let got = spawn.group.len();
    bytes("the name of a group", got, limits::KEY_BYTES_MAX)?;
    spawn.children.iter().try_for_each(input)?;
    let inputs = spawn
        .children
        .iter()
        .map(|child| child.input.as_str().len());
    bytes("a group's inputs", inputs.sum(), limits::SPAWN_BYTES_MAX)
}

/// Children of one job, over all its groups.
///
/// # Errors
/// [`BrokerError::TooMany`] children.
pub fn children(got: usize) -> Result<(), BrokerError> {
    count("children of one job", got, limits::CHILDREN_MAX)
}

/// A value of the cache.
///
/// # Errors
/// A value that is [`BrokerError::TooLarge`].
pub fn cached(value: &[u8]) -> Result<(), BrokerError> {
    bytes(
        "a value of the cache",
        value.len(),
        limits::CACHE_VALUE_BYTES_MAX,
    )
}

/// Weights of one queue.
///
/// # Errors
/// [`BrokerError::TooMany`] weights.
pub fn weights(limits: &QueueLimits) -> Result<(), BrokerError> {
    let got = limits.weights.len();
    count("weights of one queue", got, limits::WEIGHTS_MAX)
}

fn input(new: &NewJob) -> Result<(), BrokerError> {
    let got = new.input.as_str().len();
    bytes("input", got, limits::INPUT_BYTES_MAX)
}

fn count(what: &'static str, got: usize, max: usize) -> Result<(), BrokerError> {
    if got > max {
        return Err(BrokerError::TooMany { what, got, max });
    }
    Ok(())
}

fn bytes(what: &'static str, got: usize, max: usize) -> Result<(), BrokerError> {
    if got > max {
        return Err(BrokerError::TooLarge { what, got, max });
    }
    Ok(())
}
