//! What the workers did to the world outside: one line per fact, in the order they happened.
//!
//! The file stands for the bill of a model's provider. It outlives every
//! worker and knows nothing of the store, so the two can be compared.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use lovage_core::clock::{Clock, SystemClock};
use lovage_core::id::JobId;
use serde::{Deserialize, Serialize};

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Fact {
    /// An attempt began.
    Began,
    /// The provider was called for a step, and gave this answer: it is to be paid.
    Called {
        /// Number of the step.
        step: u32,
        /// The answer, which no other call gives.
        answer: u64,
    },
    /// The store has acknowledged a step's answer, in this attempt or an earlier one.
    Kept {
        /// Number of the step.
        step: u32,
        /// The answer.
        answer: u64,
    },
    /// An attempt failed by its own doing.
    Failed,
}

/// A fact, and about what.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Entry {
    /// The job.
    pub(super) job: JobId,
    /// Which attempt.
    pub(super) attempt: u32,
    /// The name of the worker process.
    pub(super) worker: String,
    /// When, in ms of the machine's clock, whatever the worker takes for the time.
    pub(super) at: i64,
    /// What.
    pub(super) fact: Fact,
}

/// The file, to be written to by many processes.
pub(super) struct Ledger(File);

impl Ledger {
    /// Opens it, making it where it is not there.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        file.map(Self)
    }

    /// Adds a line. It is a short write to memory of the system: killing this
    /// process afterwards does not undo it, and it blocks nobody.
    pub(super) fn write(&self, entry: &Entry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        (&self.0).write_all(&line)
    }
}

/// Every line so far.
pub(super) fn read(path: &Path) -> io::Result<Vec<Entry>> {
    let text = std::fs::read_to_string(path)?;
    text.lines()
        .map(|line| serde_json::from_str(line).map_err(io::Error::from))
        .collect()
}

/// The machine's time in ms: what all processes of this machine agree on.
pub(super) fn now() -> i64 {
    SystemClock.now().as_millisecond()
}
