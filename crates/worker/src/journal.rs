//! A journal over a lease.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use lovage_core::attempt::JobError;
use lovage_core::broker::Spawn;
use lovage_core::checkpoint::Checkpoint;
use lovage_core::error::BrokerError;
use lovage_core::event::{self, NewEvent};
use lovage_core::id::JobId;
use lovage_core::job::{Child, Job, NewJob};
use lovage_core::payload::Payload;
use lovage_core::status::Status;
use lovage_workflow::{ChildFailure, ChildResult, Journal, JournalError};
use serde::Serialize;

use crate::held::{Held, StopReason};
use crate::pause::Pauses;
use crate::worker::Shared;

/// What one attempt stores and tells, under the lease of its job.
pub(crate) struct LeaseJournal {
    shared: Arc<Shared>,
    held: Arc<Held>,
    /// Whether watchers know that this attempt has begun.
    announced: AtomicBool,
}

impl LeaseJournal {
    pub(crate) fn new(shared: Arc<Shared>, held: Arc<Held>) -> Self {
        Self {
            shared,
            held,
            announced: AtomicBool::new(false),
        }
    }

    /// The first events of an attempt are preceded by its beginning, so that a
    /// job without events costs nothing.
    fn announce(&self, events: Vec<NewEvent>) -> Vec<NewEvent> {
        #[derive(Serialize)]
        struct Began {
            attempt: u32,
            worker: String,
        }
        if self.announced.swap(true, Ordering::Relaxed) {
            return events;
        }
        let token = self.held.claimed.lease.token;
        let began = Began {
            attempt: token.attempt,
            worker: token.worker.to_string(),
        };
        let data = Payload::of(&began).expect("a number and a text have a JSON form");
        let first = NewEvent {
            kind: event::kind::ATTEMPT_STARTED.to_owned(),
            step: None,
            data,
        };
        std::iter::once(first).chain(events).collect()
    }

    /// Repeats a call until the store answers or the attempt is to stop: what a
    /// step was paid for is not dropped because the store blinked. Only what is
    /// beyond a bound fails the job; what else a store says may have passed by
    /// the next attempt.
    async fn persist<T, F>(&self, call: impl Fn() -> F) -> Result<T, JournalError>
    where
        F: Future<Output = Result<T, BrokerError>>,
    {
        let mut pauses = Pauses::new();
        loop {
            match call().await {
                Ok(value) => return Ok(value),
                Err(BrokerError::LeaseLost) => {
                    self.held.stop(StopReason::Lost);
                    return Err(JournalError::Lost);
                }
                Err(error @ (BrokerError::TooLarge { .. } | BrokerError::TooMany { .. })) => {
                    return Err(JournalError::Refused(error.to_string()));
                }
                Err(error) => {
                    let job = &self.held.claimed.job.id;
                    tracing::warn!(%job, %error, "the store does not do what an attempt needs");
                    let stopped = self.held.stopped();
                    if !error.is_transient() || pauses.wait(stopped).await {
                        return Err(JournalError::Unavailable(error.to_string()));
                    }
                }
            }
        }
    }
}

/// A child as its parent asks for it, with what it has from its parent.
fn inherit(parent: &Job, child: NewJob) -> NewJob {
    NewJob {
        queue: parent.queue.clone(),
        tenant: parent.tenant.clone(),
        priority: parent.priority,
        session: parent.session.clone(),
        traceparent: parent.traceparent.clone(),
        keep: child.keep.max(parent.keep),
        keep_dead: child.keep_dead.max(parent.keep_dead),
        ..child
    }
}

/// How a child ended, by what the store still has of it.
fn ended(child: &Child, kept: Option<Job>) -> ChildResult {
    let gone = || JobError::permanent("result_expired", "its result is no longer kept");
    let (result, error) = kept.map_or((None, None), |job| (job.result, job.error));
    result.ok_or_else(|| ChildFailure {
        id: child.id,
        status: child.ended.unwrap_or(Status::Failed),
        error: error.unwrap_or_else(gone),
    })
}

#[async_trait]
impl Journal for LeaseJournal {
    async fn load(&self) -> Result<Vec<Checkpoint>, JournalError> {
        self.persist(|| self.shared.broker.checkpoints(&self.held.claimed.job.id))
            .await
    }

    async fn save(
        &self,
        checkpoint: Checkpoint,
        events: Vec<NewEvent>,
    ) -> Result<(), JournalError> {
        let events = self.announce(events);
        self.persist(|| {
            self.shared
                .broker
                .checkpoint(&self.held.claimed.lease, &checkpoint, &events)
        })
        .await
    }

    async fn emit(&self, events: Vec<NewEvent>) -> Result<(), JournalError> {
        let events = self.announce(events);
        self.persist(|| self.shared.broker.emit(&self.held.claimed.lease, &events))
            .await
    }

    async fn spawn(&self, group: &str, children: Vec<NewJob>) -> Result<(), JournalError> {
        let claimed = &self.held.claimed;
        let children = children.into_iter();
        let spawn = Spawn {
            lease: claimed.lease.clone(),
            group: group.to_owned(),
            children: children.map(|child| inherit(&claimed.job, child)).collect(),
        };
        self.persist(|| self.shared.broker.spawn(&spawn)).await
    }

    async fn children(&self) -> Result<Vec<Child>, JournalError> {
        self.persist(|| self.shared.broker.children(&self.held.claimed.job.id))
            .await
    }

    async fn end_of(&self, child: &Child) -> Result<ChildResult, JournalError> {
        let kept = self.persist(|| self.shared.broker.get(&child.id)).await?;
        Ok(ended(child, kept))
    }

    async fn cancel(&self, child: &JobId) -> Result<(), JournalError> {
        self.persist(|| self.shared.broker.cancel(child)).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use lovage_core::lifecycle;

    use super::*;

    #[test]
    fn a_child_that_is_no_longer_kept_is_a_failure() {
        let id = JobId::at(Timestamp::UNIX_EPOCH);
        let child = Child {
            id,
            group: "all".to_owned(),
            ended: Some(Status::Succeeded),
        };
        let new = NewJob::new(id, "page.read".parse().unwrap(), Payload::null());
        let forgotten = Job {
            status: Status::Succeeded,
            ..lifecycle::enqueue(&new, Timestamp::UNIX_EPOCH)
        };
        for kept in [None, Some(forgotten)] {
            let failure = ended(&child, kept).unwrap_err();
            assert_eq!(failure.error.code, "result_expired");
            assert_eq!((failure.id, failure.status), (id, Status::Succeeded));
        }
    }
}
