//! One job of the model and what belongs to it.

use std::collections::VecDeque;

use jiff::Timestamp;
use lovage_core::broker::Claimed;
use lovage_core::checkpoint::{Checkpoint, signal_step};
use lovage_core::event::{Event, EventPage, NewEvent, kind};
use lovage_core::job::{Child, Idempotency, Job, Progress};
use lovage_core::lease::{Lease, LeaseToken};
use lovage_core::lifecycle;
use lovage_core::limits;
use lovage_core::payload::Payload;
use lovage_core::status::{Status, WaitReason};

use super::state::Lane;

/// One job and what belongs to it.
#[derive(Clone)]
pub(super) struct Stored {
    /// As stored: never `Running`.
    pub(super) job: Job,
    pub(super) idempotency: Option<Idempotency>,
    /// Its place among the queued jobs of its lane, lowest first.
    pub(super) place: i64,
    pub(super) running: Option<LeaseToken>,
    pub(super) progress: Option<Progress>,
    pub(super) cancel_asked: Option<Timestamp>,
    /// The worker has been woken for the cancel.
    pub(super) cancel_told: bool,
    /// The token of the settle that was the last thing to end an attempt.
    pub(super) settled: Option<LeaseToken>,
    /// When it was claimed last or redriven since, where the next claim has to be later.
    pub(super) claimed_before: Option<Timestamp>,
    pub(super) checkpoints: Vec<Checkpoint>,
    /// Names of the groups that were spawned.
    pub(super) groups: Vec<String>,
    pub(super) children: Vec<Child>,
    pub(super) events: VecDeque<Event>,
    pub(super) seq: u64,
}

impl Stored {
    pub(super) fn new(job: Job, idempotency: Option<Idempotency>) -> Self {
        Self {
            job,
            idempotency,
            place: 0,
            running: None,
            progress: None,
            cancel_asked: None,
            cancel_told: false,
            settled: None,
            claimed_before: None,
            checkpoints: Vec::new(),
            groups: Vec::new(),
            children: Vec::new(),
            events: VecDeque::new(),
            seq: 0,
        }
    }

    /// The job as it is shown: a running one is what was claimed, and its token.
    pub(super) fn shown(&self) -> Job {
        let Some(token) = &self.running else {
            return self.job.clone();
        };
        Job {
            cancel_requested: self.cancel_asked.is_some(),
            progress: self.progress.clone(),
            ..lifecycle::claim(&self.job, token)
        }
    }

    /// The job and the right to write about it, while it runs.
    pub(super) fn given(&self) -> Option<Claimed> {
        self.running.map(|token| Claimed {
            job: self.shown(),
            lease: Lease {
                job: self.job.id,
                queue: self.job.queue.clone(),
                token,
            },
        })
    }

    pub(super) fn status(&self) -> Status {
        match self.running {
            Some(_) => Status::Running,
            None => self.job.status,
        }
    }

    pub(super) fn is_queued(&self) -> bool {
        self.status() == Status::Queued
    }

    /// When it is to be promoted.
    pub(super) fn due(&self) -> Option<Timestamp> {
        match self.job.status {
            Status::Scheduled => self.job.run_at,
            Status::Waiting => self.job.waiting.as_ref().map(|waiting| waiting.until),
            _ => None,
        }
    }

    /// Whether it was not started in time.
    pub(super) fn is_late(&self, now: Timestamp) -> bool {
        let over = self.job.status.is_final() || self.running.is_some();
        !over && lifecycle::expire(&self.job, now).is_some()
    }

    /// Whether what it waits for is there, before its time.
    pub(super) fn may_go_on(&self) -> bool {
        let Some(waiting) = &self.job.waiting else {
            return false;
        };
        match &waiting.reason {
            WaitReason::Backoff | WaitReason::Limit | WaitReason::LimitOf(_) => false,
            WaitReason::Signal(name) => self.signal(name).is_some(),
            WaitReason::Children(join) => {
                let ended = |test: fn(&Child) -> bool| {
                    self.children.iter().filter(|child| test(child)).count() as u64
                };
                let unfinished = ended(|child| child.ended.is_none());
                lifecycle::joined(*join, unfinished, ended(has_failed))
            }
        }
    }

    /// The value of a signal that came.
    pub(super) fn signal(&self, name: &str) -> Option<&Payload> {
        let step = signal_step(name);
        let mut kept = self.checkpoints.iter();
        let kept = kept.find(|kept| kept.occurrence == 0 && kept.step == step);
        kept.map(|kept| &kept.value)
    }

    pub(super) fn lane(&self) -> Lane {
        let job = &self.job;
        (job.queue.clone(), job.priority, job.tenant.clone())
    }

    pub(super) fn append(&mut self, events: &[NewEvent], now: Timestamp) {
        for event in events {
            self.seq += 1;
            self.events.push_back(Event {
                seq: self.seq,
                at: now,
                job: self.job.id,
                kind: event.kind.clone(),
                step: event.step.clone(),
                data: event.data.clone(),
            });
        }
        let excess = self.events.len().saturating_sub(limits::EVENTS_MAX);
        self.events.drain(..excess);
    }

    /// Events of the handler; the last progress among them is the job's.
    pub(super) fn report(&mut self, events: &[NewEvent], now: Timestamp) {
        self.append(events, now);
        let mut steps = events.iter().rev();
        if let Some(last) = steps.find(|event| event.kind == kind::PROGRESS) {
            self.progress = last.data.read().ok();
        }
    }

    /// Kept events, then the final one of a finished job.
    fn all_events(&self) -> Vec<Event> {
        let mut events: Vec<Event> = self.events.iter().cloned().collect();
        if let Some((last, at)) = self.job.final_event().zip(self.job.finished_at) {
            events.push(Event {
                seq: self.seq + 1,
                at,
                job: self.job.id,
                kind: last.kind,
                step: last.step,
                data: last.data,
            });
        }
        events
    }

    pub(super) fn page(&self, after: u64, limit: usize) -> EventPage {
        let all = self.all_events();
        let last = all.last().map_or(0, |event| event.seq);
        let oldest = self.events.front().map_or(self.seq + 1, |event| event.seq);
        let events: Vec<Event> = all
            .into_iter()
            .filter(|event| event.seq > after)
            .take(limit.min(limits::EVENT_PAGE_MAX))
            .collect();
        let reached = events.last().map_or(after, |event| event.seq);
        EventPage {
            events,
            missed: after + 1 < oldest,
            ended: self.job.status.is_final() && reached >= last,
        }
    }
}

/// Whether a child failed or was cancelled.
pub(super) fn has_failed(child: &Child) -> bool {
    matches!(child.ended, Some(Status::Failed | Status::Cancelled))
}

/// An event of the engine that says all by its type.
pub(super) fn plain_event(kind: &str) -> NewEvent {
    NewEvent {
        kind: kind.to_owned(),
        step: None,
        data: Payload::null(),
    }
}
