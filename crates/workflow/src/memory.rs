//! A journal in memory, for tests of handlers.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::Timestamp;
use lovage_core::attempt::JobError;
use lovage_core::checkpoint::{self, Checkpoint};
use lovage_core::clock::{Clock, SystemClock};
use lovage_core::event::NewEvent;
use lovage_core::id::{JobId, Tenant};
use lovage_core::job::Child;
use lovage_core::job::NewJob;
use lovage_core::payload::Payload;
use lovage_core::status::Status;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::children::{ChildFailure, ChildResult};
use crate::context::{Context, JobInfo};
use crate::journal::{Journal, JournalError};

/// Keeps steps, events and children as long as it lives; share it between attempts.
#[derive(Debug, Default)]
pub struct MemoryJournal {
    steps: Mutex<Vec<Checkpoint>>,
    events: Mutex<Vec<NewEvent>>,
    children: Mutex<Vec<Spawned>>,
}

#[derive(Debug)]
struct Spawned {
    group: String,
    job: NewJob,
    end: Option<ChildResult>,
}

impl MemoryJournal {
    /// A journal in which earlier attempts have stored these steps.
    pub fn with_steps(steps: Vec<Checkpoint>) -> Self {
        Self {
            steps: Mutex::new(steps),
            ..Self::default()
        }
    }

    /// What was stored, in order.
    pub fn steps(&self) -> Vec<Checkpoint> {
        self.steps.lock().expect("no panic while locked").clone()
    }

    /// What was emitted, in order.
    pub fn events(&self) -> Vec<NewEvent> {
        self.events.lock().expect("no panic while locked").clone()
    }

    /// Gives the job a value under a name, as a caller of the job would.
    pub fn signal(&self, name: &str, data: Payload) {
        self.steps
            .lock()
            .expect("no panic while locked")
            .push(checkpoint::signal(name, data));
    }

    /// The children that were spawned, in order.
    pub fn spawned(&self) -> Vec<NewJob> {
        let children = self.children.lock().expect("no panic while locked");
        children.iter().map(|child| child.job.clone()).collect()
    }

    /// Ends a child that is not over: with a result, or as failed.
    ///
    /// # Panics
    /// When there is no such child.
    pub fn end(&self, id: JobId, end: Result<Payload, JobError>) {
        let failed = |error| ChildFailure {
            id,
            status: Status::Failed,
            error,
        };
        self.settle(&id, end.map_err(failed));
    }

    fn settle(&self, id: &JobId, end: ChildResult) {
        let mut children = self.children.lock().expect("no panic while locked");
        let mut children = children.iter_mut();
        let child = children.find(|child| child.job.id == *id);
        child.expect("a child").end.get_or_insert(end);
    }

    /// An attempt at a job with this input, writing here.
    ///
    /// # Panics
    /// When the input has no JSON form.
    pub fn attempt(self: &Arc<Self>, number: u32, input: &impl Serialize) -> Context {
        self.attempt_at(number, input, Arc::new(SystemClock))
    }

    /// An attempt that reads this clock.
    ///
    /// # Panics
    /// When the input has no JSON form.
    pub fn attempt_at(
        self: &Arc<Self>,
        number: u32,
        input: &impl Serialize,
        clock: Arc<dyn Clock>,
    ) -> Context {
        let job = JobInfo {
            id: "0199d3a4-7c1e-7b52-9c55-3f1f0c7a2b10".to_owned(),
            created_at: Timestamp::UNIX_EPOCH,
            kind: "test".to_owned(),
            attempt: number,
            attempts_max: 3,
            input: Payload::of(input).expect("a test's input has a JSON form"),
            session: None,
            tenant: Tenant::default().to_string(),
        };
        Context::new(job, self.clone(), clock, CancellationToken::new())
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

    async fn spawn(&self, group: &str, children: Vec<NewJob>) -> Result<(), JournalError> {
        let mut all = self.children.lock().expect("no panic while locked");
        if !all.iter().any(|child| child.group == group) {
            all.extend(children.into_iter().map(|job| Spawned {
                group: group.to_owned(),
                job,
                end: None,
            }));
        }
        Ok(())
    }

    async fn children(&self) -> Result<Vec<Child>, JournalError> {
        let children = self.children.lock().expect("no panic while locked");
        let state = |child: &Spawned| Child {
            id: child.job.id,
            group: child.group.clone(),
            ended: child.end.as_ref().map(|end| match end {
                Ok(_) => Status::Succeeded,
                Err(failure) => failure.status,
            }),
        };
        Ok(children.iter().map(state).collect())
    }

    async fn end_of(&self, child: &Child) -> Result<ChildResult, JournalError> {
        let children = self.children.lock().expect("no panic while locked");
        let found = children.iter().find(|one| one.job.id == child.id);
        let end = found.and_then(|one| one.end.clone());
        end.ok_or_else(|| JournalError::Refused("no such child is over".to_owned()))
    }

    async fn cancel(&self, child: &JobId) -> Result<(), JournalError> {
        let cancelled = ChildFailure {
            id: *child,
            status: Status::Cancelled,
            error: JobError::permanent("cancelled", "cancelled on request"),
        };
        self.settle(child, Err(cancelled));
        Ok(())
    }
}
