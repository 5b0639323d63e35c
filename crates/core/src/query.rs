//! Asking a store what it holds.

use jiff::Timestamp;

use crate::id::{Kind, QueueName, Tenant};
use crate::job::Job;
use crate::queue::QueueLimits;
use crate::status::Status;

/// Which jobs to list; every set field narrows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Any of these; empty means all.
    pub states: Vec<Status>,
    /// This queue.
    pub queue: Option<QueueName>,
    /// This kind.
    pub kind: Option<Kind>,
    /// This tenant.
    pub tenant: Option<Tenant>,
    /// This session.
    pub session: Option<String>,
    /// Carrying this tag.
    pub tag: Option<String>,
    /// Enqueued at or after.
    pub created_after: Option<Timestamp>,
    /// Enqueued before.
    pub created_before: Option<Timestamp>,
}

impl Filter {
    /// Whether a job passes.
    pub fn admits(&self, job: &Job) -> bool {
        (self.states.is_empty() || self.states.contains(&job.status))
            && self.queue.as_ref().is_none_or(|queue| *queue == job.queue)
            && self.kind.as_ref().is_none_or(|kind| *kind == job.kind)
            && self
                .tenant
                .as_ref()
                .is_none_or(|tenant| *tenant == job.tenant)
            && (self.session.is_none() || self.session == job.session)
            && self.tag.as_ref().is_none_or(|tag| job.tags.contains(tag))
            && self.created_after.is_none_or(|at| job.created_at >= at)
            && self.created_before.is_none_or(|at| job.created_at < at)
    }
}

/// Where to go on, and how far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// What the page before gave as `next`; opaque, made by the store.
    pub cursor: Option<String>,
    /// Jobs wanted; at most [`crate::limits::LIST_PAGE_MAX`].
    pub limit: usize,
}

/// One page of a listing, unfinished jobs before finished ones.
///
/// A page may hold fewer jobs than asked for, even none, and still have a
/// `next`: a store looks at a bounded number of jobs per call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobPage {
    /// The jobs, without their results.
    pub jobs: Vec<Job>,
    /// Where to go on; absent at the end.
    pub next: Option<String>,
}

/// What a queue holds. The live counts are exact (Q1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueueStats {
    /// The queue.
    pub queue: QueueName,
    /// Gives no jobs until resumed.
    pub paused: bool,
    /// How many jobs it gives at once, how fast, and how tenants share them.
    pub limits: QueueLimits,
    /// Jobs not before their time.
    pub scheduled: u64,
    /// Jobs ready to be claimed.
    pub queued: u64,
    /// Jobs being run.
    pub running: u64,
    /// Jobs parked.
    pub waiting: u64,
    /// Jobs that succeeded since the queue was made.
    pub succeeded_total: u64,
    /// Jobs that failed since the queue was made.
    pub failed_total: u64,
    /// Jobs that were cancelled since the queue was made.
    pub cancelled_total: u64,
}
