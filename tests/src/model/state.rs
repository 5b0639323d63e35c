//! Everything the model holds, and how it is looked up.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use lovage_core::error::BrokerError;
use lovage_core::id::{JobId, Priority, QueueName, Tenant, WorkerId};
use lovage_core::job::Job;
use lovage_core::lease::{Lease, LeaseToken};
use lovage_core::query::QueueStats;

use super::stored::Stored;

/// Everything the model holds.
#[derive(Clone, Default)]
pub(super) struct State {
    pub(super) jobs: BTreeMap<JobId, Stored>,
    pub(super) queues: BTreeMap<QueueName, QueueStats>,
    /// Deadline of every registered worker; a lost one is not in it.
    pub(super) workers: BTreeMap<(QueueName, WorkerId), Timestamp>,
    pub(super) unique: HashMap<Key, UniqueHold>,
    pub(super) idempotency: HashMap<Key, Remembered>,
    /// Virtual time of a lane: it moves with every job given.
    pub(super) served: HashMap<Lane, i64>,
    /// Virtual time of the last served lane of a band: where a lane that was empty starts.
    pub(super) band_time: HashMap<(QueueName, Priority), i64>,
    /// When a queue's rate expects its next job, in microseconds.
    pub(super) next_us: HashMap<QueueName, i64>,
    /// Next place at the back and at the front of the lanes.
    pub(super) back: i64,
    pub(super) front: i64,
}

/// Keys belong to one tenant of one queue.
pub(super) type Key = (QueueName, Tenant, String);
/// Jobs of one tenant and priority share a lane.
pub(super) type Lane = (QueueName, Priority, Tenant);

#[derive(Clone)]
pub(super) struct UniqueHold {
    pub(super) job: JobId,
    /// End of the window; without one the job's end ends it.
    pub(super) until: Option<Timestamp>,
}

#[derive(Clone)]
pub(super) struct Remembered {
    pub(super) job: JobId,
    pub(super) fingerprint: String,
    pub(super) until: Timestamp,
}

impl State {
    /// What is put to the front from now on goes ahead of what was put there before.
    pub(super) fn new_front(&mut self) {
        self.front -= 1;
    }

    /// The queue's pause, limits and totals; its live counts stay 0, they are counted when asked for.
    pub(super) fn queue(&mut self, queue: &QueueName) -> &mut QueueStats {
        self.queues
            .entry(queue.clone())
            .or_insert_with(|| QueueStats {
                queue: queue.clone(),
                ..QueueStats::default()
            })
    }

    /// The job, unless it is gone.
    pub(super) fn live(&self, id: &JobId, now: Timestamp) -> Option<&Stored> {
        self.jobs.get(id).filter(|stored| !stored.job.is_gone(now))
    }

    pub(super) fn live_mut(&mut self, id: &JobId, now: Timestamp) -> Option<&mut Stored> {
        self.jobs
            .get_mut(id)
            .filter(|stored| !stored.job.is_gone(now))
    }

    /// The running job that `lease` gives the right to write about.
    pub(super) fn leased(&mut self, lease: &Lease) -> Option<&mut Stored> {
        self.jobs
            .get_mut(&lease.job)
            .filter(|stored| stored.running == Some(lease.token) && stored.job.queue == lease.queue)
    }

    /// Whether the worker is registered and was not lost.
    pub(super) fn known(&self, queue: &QueueName, worker: &WorkerId) -> Result<(), BrokerError> {
        let worker = (queue.clone(), *worker);
        let found = self.workers.get(&worker);
        found.map(drop).ok_or(BrokerError::WorkerUnknown)
    }

    /// The running jobs of a worker.
    pub(super) fn held_by(
        &self,
        queue: &QueueName,
        worker: &WorkerId,
    ) -> impl Iterator<Item = &Stored> {
        self.jobs.values().filter(move |stored| {
            let ours = |token: LeaseToken| token.worker == *worker;
            stored.job.queue == *queue && stored.running.is_some_and(ours)
        })
    }
}

/// The key of a job under a name of its caller.
pub(super) fn key(job: &Job, key: &str) -> Key {
    (job.queue.clone(), job.tenant.clone(), key.to_owned())
}
