//! A journal in memory, for tests of handlers.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use lovage_core::checkpoint::Checkpoint;
use lovage_core::clock::SystemClock;
use lovage_core::event::NewEvent;
use lovage_core::payload::Payload;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::context::{Context, JobInfo};
use crate::journal::{Journal, JournalError};

/// Keeps steps and events as long as it lives; share it between attempts.
#[derive(Debug, Default)]
pub struct MemoryJournal {
    steps: Mutex<Vec<Checkpoint>>,
    events: Mutex<Vec<NewEvent>>,
}

impl MemoryJournal {
    /// What was stored, in order.
    pub fn steps(&self) -> Vec<Checkpoint> {
        self.steps.lock().expect("no panic while locked").clone()
    }

    /// What was emitted, in order.
    pub fn events(&self) -> Vec<NewEvent> {
        self.events.lock().expect("no panic while locked").clone()
    }

    /// An attempt at a job with this input, writing here.
    ///
    /// # Panics
    /// When the input has no JSON form.
    pub fn attempt(self: &Arc<Self>, number: u32, input: &impl Serialize) -> Context {
        let job = JobInfo {
            id: "0199d3a4-7c1e-7b52-9c55-3f1f0c7a2b10".to_owned(),
            kind: "test".to_owned(),
            attempt: number,
            attempts_max: 3,
            input: Payload::of(input).expect("a test's input has a JSON form"),
            session: None,
        };
        Context::new(
            job,
            self.clone(),
            Arc::new(SystemClock),
            CancellationToken::new(),
        )
    }
}

/// A first attempt with a journal of its own.
pub fn context(input: &impl Serialize) -> Context {
    Arc::new(MemoryJournal::default()).attempt(1, input)
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn load(&self) -> Result<Vec<Checkpoint>, JournalError> {
        Ok(self.steps())
    }

    async fn save(
        &self,
        checkpoint: Checkpoint,
        events: Vec<NewEvent>,
    ) -> Result<(), JournalError> {
        self.steps
            .lock()
            .expect("no panic while locked")
            .push(checkpoint);
        self.emit(events).await
    }

    async fn emit(&self, events: Vec<NewEvent>) -> Result<(), JournalError> {
        self.events
            .lock()
            .expect("no panic while locked")
            .extend(events);
        Ok(())
    }
}
