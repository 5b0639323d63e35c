//! What comes out of a batch: schema `batch-result/1`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How a batch as a whole came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchStatus {
    /// Every item succeeded.
    Ok,
    /// Some did.
    Partial,
    /// None did.
    Failed,
}

/// How an item ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemState {
    /// Its job has a result.
    Succeeded,
    /// Its job failed.
    Failed,
    /// Its job was cancelled.
    Cancelled,
    /// Its input does not fit the kind: there is no job.
    Refused,
}

/// Why an item has no result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemError {
    /// Stable code, such as `llm_auth`; `input` for a refused one.
    pub code: String,
    /// For a person.
    pub message: String,
}

/// What came of one item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchItem {
    /// Its place in the request, from 0.
    pub index: usize,
    /// What it is about, as far as its input says (`topic` or `chapterId`).
    pub about: Option<String>,
    /// How it ended.
    pub state: ItemState,
    /// Its job.
    pub job_id: Option<String>,
    /// Where its result is, as long as the job is kept.
    pub result: Option<String>,
    /// The result's own `status`, such as `degraded`, where it has one.
    pub status: Option<String>,
    /// The result's own `title`, where it has one.
    pub title: Option<String>,
    /// Why there is no result.
    pub error: Option<ItemError>,
}

/// How many items ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// All items.
    pub total: usize,
    /// With a result.
    pub succeeded: usize,
    /// Whose job failed.
    pub failed: usize,
    /// Whose job was cancelled.
    pub cancelled: usize,
    /// Whose input did not fit.
    pub refused: usize,
}

impl Counts {
    /// Counts items.
    pub fn of(items: &[BatchItem]) -> Self {
        let count = |state| items.iter().filter(|item| item.state == state).count();
        Self {
            total: items.len(),
            succeeded: count(ItemState::Succeeded),
            failed: count(ItemState::Failed),
            cancelled: count(ItemState::Cancelled),
            refused: count(ItemState::Refused),
        }
    }

    /// What they mean for the batch.
    pub fn status(self) -> BatchStatus {
        match self.succeeded {
            all if all == self.total => BatchStatus::Ok,
            0 => BatchStatus::Failed,
            _ => BatchStatus::Partial,
        }
    }
}

/// The result of kind `batch.generate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchResult {
    /// Always `batch-result/1`.
    pub schema: String,
    /// The job's id.
    pub job_id: String,
    /// Kind of the items.
    pub kind: String,
    /// How the batch came out; it succeeded as a job in any case.
    pub status: BatchStatus,
    /// When the result was made.
    pub created_at: Timestamp,
    /// How many items ended how.
    pub counts: Counts,
    /// The items, in the order of the request.
    pub items: Vec<BatchItem>,
}
