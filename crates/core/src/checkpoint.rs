//! A finished step's stored value.

use crate::payload::Payload;

/// What a step returned, kept for every later attempt (S4).
///
/// A step name and occurrence is written once; the first value stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Step name, such as `plan`.
    pub step: String,
    /// Which run of that name inside one attempt, from 0: a step in a loop has many.
    pub occurrence: u32,
    /// Fingerprint of the step's input; a different one means the code or input changed.
    pub fingerprint: String,
    /// What it returned.
    pub value: Payload,
}
