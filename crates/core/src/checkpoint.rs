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

/// The step under which a signal's data is kept: occurrence 0, no fingerprint.
pub fn signal_step(name: &str) -> String {
    format!("signal:{name}")
}

/// A signal, as it is kept.
pub fn signal(name: &str, data: Payload) -> Checkpoint {
    Checkpoint {
        step: signal_step(name),
        occurrence: 0,
        fingerprint: String::new(),
        value: data,
    }
}
