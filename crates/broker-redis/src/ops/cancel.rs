//! Stopping jobs, and running finished ones again.

use std::collections::HashSet;

use lovage_core::broker::{CancelReply, RedriveReply};
use lovage_core::error::BrokerError;
use lovage_core::event::{self, NewEvent};
use lovage_core::id::{JobId, QueueName};
use lovage_core::job::{Child, Job};
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
    /// Cancels a job that is not over, its unfinished children first.
    pub(crate) async fn cancel(&self, id: &JobId) -> Result<CancelReply, BrokerError> {
        let mut open = self.below(id, |child| child.ended.is_none()).await?;
        if !open.is_empty() && self.is_over(id).await? {
            open.clear();
        }
        for child in open {
            self.cancel_alone(&child).await?;
        }
        self.cancel_alone(id).await
    }

    /// The children of a job that `pick` admits, and theirs, each after its own
    /// children. A job that stands in several places, as one whose id was taken
    /// may, is among them once.
    async fn below(
        &self,
        root: &JobId,
        pick: fn(&Child) -> bool,
    ) -> Result<Vec<JobId>, BrokerError> {
        let (mut known, mut open) = (HashSet::from([*root]), vec![*root]);
        let mut before_children = Vec::new();
        while let Some(id) = open.pop() {
            let children = self.children(&id).await?;
            let picked = children.iter().filter(|child| pick(child));
            open.extend(picked.map(|child| child.id).filter(|id| known.insert(*id)));
            before_children.push(id);
        }
        Ok(before_children.into_iter().skip(1).rev().collect())
    }

    async fn is_over(&self, id: &JobId) -> Result<bool, BrokerError> {
        let Some(queue) = self.locate(id).await? else {
            return Ok(true);
        };
        let job = self.current(&queue, id, false).await?;
        Ok(job.is_none_or(|job| job.status.is_final()))
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
        let Some(queue) = self.locate(id).await? else {
            return Ok(RedriveReply::NotFound);
        };
        let Some(job) = self.current(&queue, id, false).await? else {
            return Ok(RedriveReply::NotFound);
        };
        if lifecycle::redrive(&job).is_none() {
            return Ok(RedriveReply::Refused(job.status));
        }
        // Before its children are touched; the write of the job itself asks again.
        if let Some(holder) = self.unique_holder(&job).await? {
            return Ok(RedriveReply::Duplicate(holder));
        }
        let failed =
            |child: &Child| matches!(child.ended, Some(Status::Failed | Status::Cancelled));
        for child in self.below(id, failed).await? {
            self.redrive_alone(&child).await?;
        }
        self.redrive_alone(id).await
    }

    /// Another job that holds the unique key of this one.
    async fn unique_holder(&self, job: &Job) -> Result<Option<JobId>, BrokerError> {
        let Some(unique) = &job.unique else {
            return Ok(None);
        };
        let name = keys::scoped(&job.tenant, &unique.key);
        let mut ask = redis::pipe();
        ask.get(self.keys.unique(&job.queue, &name));
        let (held,): (Option<String>,) = self.send(&ask).await?;
        let Some((holder, until)) = held.as_deref().and_then(|held| held.split_once(' ')) else {
            return Ok(None);
        };
        let holder = job_id(holder)?;
        let holds = match until.parse::<i64>() {
            Ok(0) => !self.is_over(&holder).await?,
            Ok(until) => until > self.time.now().as_millisecond(),
            Err(_) => false,
        };
        Ok((holds && holder != job.id).then_some(holder))
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
                .on(self.keys.queue(queue))
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
        let mut call = script::REPLACE.on(self.keys.queue(&before.queue));
        call.arg(self.time.argument())
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
