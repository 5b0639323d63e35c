//! Stopping jobs, and running finished ones again.

use lovage_core::broker::{CancelReply, RedriveReply};
use lovage_core::error::BrokerError;
use lovage_core::event::{self, NewEvent};
use lovage_core::id::{JobId, QueueName};
use lovage_core::job::Job;
use lovage_core::lifecycle::{self, Cancel};
use lovage_core::payload::Payload;
use lovage_core::record;
use lovage_core::status::Status;

use crate::connect::Store;
use crate::keys;
use crate::ops::extend::job_id;
use crate::ops::settle::gone_millis;
use crate::script;
use crate::time::millis;

/// Tries at a job that changes between being read and being written.
pub(crate) const TRIES: usize = 16;
/// First bytes of a record that tell one state from another: up to the attempts used.
const HEAD_BYTES: usize = 12;

/// What became of a record that was to be replaced.
pub(crate) enum Replaced {
    Done,
    Changed,
    Duplicate(JobId),
}

impl Store {
    /// Cancels a job, its unfinished children first.
    pub(crate) async fn cancel(&self, id: &JobId) -> Result<CancelReply, BrokerError> {
        for child in self.children(id).await? {
            if child.ended.is_none() {
                Box::pin(self.cancel(&child.id)).await?;
            }
        }
        self.cancel_alone(id).await
    }

    async fn cancel_alone(&self, id: &JobId) -> Result<CancelReply, BrokerError> {
        let Some(queue) = self.locate(id).await? else {
            return Ok(CancelReply::NotFound);
        };
        for _ in 0..TRIES {
            if self.ask_to_stop(&queue, id).await? {
                return Ok(CancelReply::Requested);
            }
            let Some(job) = self.current(&queue, id, true).await? else {
                return Ok(CancelReply::NotFound);
            };
            let next = match lifecycle::cancel(&job) {
                Cancel::Now(next) => next,
                Cancel::TooLate => return Ok(CancelReply::TooLate(job.status)),
                Cancel::Ask => continue,
            };
            let after = lifecycle::apply(&job, &next, self.time.now());
            if let Replaced::Done = self.replace(&job, &after, &[]).await? {
                return Ok(CancelReply::Cancelled);
            }
        }
        Err(restless(id))
    }

    /// Queues a job again, its failed and cancelled children first.
    pub(crate) async fn redrive(&self, id: &JobId) -> Result<RedriveReply, BrokerError> {
        if let Some(queue) = self.locate(id).await? {
            let job = self.current(&queue, id, false).await?;
            if job.as_ref().and_then(lifecycle::redrive).is_none() {
                return Ok(job.map_or(RedriveReply::NotFound, |job| {
                    RedriveReply::Refused(job.status)
                }));
            }
        }
        for child in self.children(id).await? {
            if matches!(child.ended, Some(Status::Failed | Status::Cancelled)) {
                Box::pin(self.redrive(&child.id)).await?;
            }
        }
        self.redrive_alone(id).await
    }

    async fn redrive_alone(&self, id: &JobId) -> Result<RedriveReply, BrokerError> {
        let Some(queue) = self.locate(id).await? else {
            return Ok(RedriveReply::NotFound);
        };
        for _ in 0..TRIES {
            let Some(job) = self.current(&queue, id, true).await? else {
                return Ok(RedriveReply::NotFound);
            };
            let Some(again) = lifecycle::redrive(&job) else {
                return Ok(RedriveReply::Refused(job.status));
            };
            let end = job.final_event().map(|event| {
                let at = job.finished_at.unwrap_or(job.created_at);
                (at.as_millisecond(), event)
            });
            let redriven = NewEvent {
                kind: event::kind::REDRIVEN.to_owned(),
                step: None,
                data: Payload::null(),
            };
            let now = self.time.now().as_millisecond();
            let events: Vec<_> = end.into_iter().chain([(now, redriven)]).collect();
            match self.replace(&job, &again, &events).await? {
                Replaced::Done => return Ok(RedriveReply::Queued),
                Replaced::Duplicate(other) => return Ok(RedriveReply::Duplicate(other)),
                Replaced::Changed => {}
            }
        }
        Err(restless(id))
    }

    async fn ask_to_stop(&self, queue: &QueueName, id: &JobId) -> Result<bool, BrokerError> {
        self.call_kept(
            script::CANCEL
                .key(self.keys.queue(queue))
                .arg(self.time.argument())
                .arg(id.to_string())
                .arg(event::kind::CANCEL_REQUESTED)
                .arg(Payload::null().as_str()),
        )
        .await
    }

    /// Writes `after` over a job nobody runs, if it still is as it was read.
    pub(crate) async fn replace(
        &self,
        before: &Job,
        after: &Job,
        events: &[(i64, NewEvent)],
    ) -> Result<Replaced, BrokerError> {
        let window = after.unique.as_ref().and_then(|unique| unique.window);
        let unique = match &after.unique {
            Some(unique) if !after.status.is_final() => keys::scoped(&after.tenant, &unique.key),
            _ => keys::freed_unique(after),
        };
        let mut call = script::REPLACE.prepare_invoke();
        call.key(self.keys.queue(&before.queue))
            .arg(self.time.argument())
            .arg(before.id.to_string())
            .arg(&record::encode(before)[..HEAD_BYTES])
            .arg(record::encode(after))
            .arg(keys::lane_of(after))
            .arg(gone_millis(before).max(gone_millis(after)))
            .arg(unique)
            .arg(window.map_or(0, millis))
            .arg(events.len());
        for (at, event) in events {
            call.arg(*at).arg(&event.kind).arg(event.data.as_str());
        }
        let answer: String = self.call_kept(&call).await?;
        match answer.as_str() {
            "1" => Ok(Replaced::Done),
            "0" => Ok(Replaced::Changed),
            holder => job_id(holder).map(Replaced::Duplicate),
        }
    }
}

/// A job that changed under every try; the same call may succeed later.
pub(crate) fn restless(id: &JobId) -> BrokerError {
    BrokerError::Unavailable(format!("job {id} changes all the time").into())
}
