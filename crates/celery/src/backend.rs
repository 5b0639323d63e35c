//! Celery's result backend.

use crate::config::CeleryConfig;
use crate::result::Meta;
use crate::transport::RedisResult;

/// Celery's result backend. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Backend {
    // connection, keys, settings
}

/// What a chord knows after one of its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ChordPart {
    /// Others are missing, or another worker starts the body.
    Waiting,
    /// All are there and this caller starts the body: parts in order, as JSON
    /// `[1, id, state, result]`.
    Complete(Vec<String>),
}

impl Backend {
    pub(crate) async fn connect(config: &CeleryConfig) -> RedisResult<Self> {
        let _ = config;
        todo!("backend")
    }

    /// Stores and publishes a state, unless SUCCESS stands there. Says whether it did.
    pub(crate) async fn store(&self, meta: &Meta<'_>) -> RedisResult<bool> {
        let _ = meta;
        todo!("backend")
    }

    /// The JSON that stands for a task.
    pub(crate) async fn get(&self, id: &str) -> RedisResult<Option<String>> {
        let _ = id;
        todo!("backend")
    }

    /// One part of a chord's header is done.
    pub(crate) async fn chord_part(
        &self,
        group: &str,
        id: &str,
        index: Option<u64>,
        part: &str,
    ) -> RedisResult<ChordPart> {
        let _ = (group, id, index, part);
        todo!("backend")
    }

    /// How many parts a chord's header has.
    pub(crate) async fn chord_size(&self, group: &str, size: u64) -> RedisResult<()> {
        let _ = (group, size);
        todo!("backend")
    }

    /// The chord's body was sent, or failed: its keys go.
    pub(crate) async fn chord_done(&self, group: &str) -> RedisResult<()> {
        let _ = group;
        todo!("backend")
    }

    /// The saved tree of a group's results, where its producer saved one.
    pub(crate) async fn saved_group(&self, group: &str) -> RedisResult<Option<String>> {
        let _ = group;
        todo!("backend")
    }
}
