//! All that workflow asks of the world.

use async_trait::async_trait;
use lovage_core::checkpoint::Checkpoint;
use lovage_core::event::NewEvent;
use lovage_core::id::JobId;
use lovage_core::job::Child;
use lovage_core::job::NewJob;

use crate::children::ChildResult;

/// Why a journal could not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// The job is no longer ours: stop, write nothing.
    #[error("the lease was lost")]
    Lost,
    /// The store cannot be reached.
    #[error("{0}")]
    Unavailable(String),
    /// The store will never take this (too large, say).
    #[error("{0}")]
    Refused(String),
}

/// Where one attempt's steps and children are stored.
#[async_trait]
pub trait Journal: Send + Sync {
    /// What earlier attempts, and this one, have stored.
    async fn load(&self) -> Result<Vec<Checkpoint>, JournalError>;

    /// Stores a step's value, and with it its events, before the step counts as finished.
    async fn save(&self, checkpoint: Checkpoint, events: Vec<NewEvent>)
    -> Result<(), JournalError>;

    /// Tells watchers.
    async fn emit(&self, events: Vec<NewEvent>) -> Result<(), JournalError>;

    /// Stores a group of children, once: a group that is there already stays as it is.
    async fn spawn(&self, group: &str, children: Vec<NewJob>) -> Result<(), JournalError>;

    /// The job's children, of every group, in the order they were spawned.
    async fn children(&self) -> Result<Vec<Child>, JournalError>;

    /// How a child that is over ended.
    async fn end_of(&self, child: &Child) -> Result<ChildResult, JournalError>;

    /// Cancels a child, unless it is over.
    async fn cancel(&self, child: &JobId) -> Result<(), JournalError>;
}
