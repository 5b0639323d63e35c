//! Comparing all that can be seen of a store and of the model.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use lovage_core::broker::Broker;
use lovage_core::error::BrokerError;
use lovage_core::event::{Event, kind};
use lovage_core::id::JobId;
use lovage_core::job::Job;
use lovage_core::payload::Payload;
use lovage_core::query::{Filter, QueueStats};
use lovage_core::status::Status;

use super::Sim;
use crate::harness::Harness;
use crate::model::ModelBroker;

/// Jobs on one page of a listing.
const LISTED_MAX: usize = 200;
/// Stands for any worker.
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";
/// About how many jobs are looked at at the end though nothing was heard of them.
const LOOKED_AT_LAST: usize = 100;

impl Sim {
    pub(super) async fn list(&self, filter: &Filter) {
        let brief = |jobs: Vec<Job>| -> BTreeSet<(JobId, Status, bool)> {
            let brief = |job: &Job| (job.id, job.status, job.result.is_some());
            let set: BTreeSet<_> = jobs.iter().map(brief).collect();
            assert_eq!(set.len(), jobs.len(), "a listing shows a job once");
            set
        };
        let listed = brief(self.store.list(filter, 40).await);
        let model = Harness::new(
            Arc::new(self.model.clone()),
            self.clock.clone(),
            self.store.lease,
        );
        assert_eq!(
            listed,
            brief(model.list(filter, 200).await),
            "store, model: list"
        );
    }

    pub(super) async fn look_at_touched(&mut self) {
        for id in std::mem::take(&mut self.touched) {
            self.look_at(id).await;
        }
        self.look_at_stats().await;
    }

    /// What was touched was looked at: of the rest every job as a listing shows
    /// it, and some with all that belongs to them.
    pub(super) async fn look_at_everything(&mut self) {
        self.look_at_touched().await;
        let jobs = self.store.list(&Filter::default(), LISTED_MAX).await;
        for job in jobs {
            let expected = self.model.get(&job.id).await.expect("the model answers");
            let expected = expected.map(|job| Job {
                result: None,
                ..comparable(job.clone(), Some(&job))
            });
            let id = job.id;
            let found = Some(comparable(job, expected.as_ref()));
            assert_eq!(found, expected, "store, model: {id} in the list");
        }
        self.list(&Filter::default()).await;
        let ids = self.history.ids();
        let some = ids.iter().step_by(ids.len() / LOOKED_AT_LAST + 1);
        for id in some.copied().collect::<Vec<_>>() {
            self.look_at(id).await;
        }
    }

    async fn look_at(&self, id: JobId) {
        look_at(self.store.broker.as_ref(), &self.model, id).await;
    }

    async fn look_at_stats(&self) {
        look_at_stats(self.store.broker.as_ref(), &self.model).await;
    }
}

/// Compares all that can be seen of a job, in a store and in the model.
///
/// # Panics
/// When it differs, or the store errs.
pub async fn look_at(store: &dyn Broker, model: &ModelBroker, id: JobId) {
    let expected = model.get(&id).await.expect("the model answers");
    let found = store.get(&id).await.expect("get answers");
    let found = found.map(|job| comparable(job, expected.as_ref()));
    let expected = expected.map(|job| comparable(job.clone(), Some(&job)));
    assert_eq!(found, expected, "store, model: get {id}");
    let steps = store.checkpoints(&id).await.expect("checkpoints answer");
    let expected = model.checkpoints(&id).await.expect("the model answers");
    assert_eq!(steps, expected, "store, model: checkpoints of {id}");
    let events = all_events(store, id).await;
    let expected = all_events(model, id).await;
    assert_eq!(events, expected, "store, model: events of {id}");
    let expected = model.children(&id).await.expect("the model answers");
    if !expected.is_empty() {
        let children = store.children(&id).await.expect("children answer");
        assert_eq!(children, expected, "store, model: children of {id}");
    }
}

/// Compares what queues hold, in a store and in the model.
///
/// # Panics
/// When it differs, or the store errs.
pub async fn look_at_stats(store: &dyn Broker, model: &ModelBroker) {
    let used = |row: &QueueStats| {
        let untouched = QueueStats {
            queue: row.queue.clone(),
            paused: row.paused,
            limits: row.limits.clone(),
            ..QueueStats::default()
        };
        *row != untouched
    };
    let rows = |rows: Result<Vec<QueueStats>, BrokerError>| {
        let mut rows: Vec<_> = rows
            .expect("stats answer")
            .into_iter()
            .filter(used)
            .collect();
        rows.sort_by(|a, b| a.queue.cmp(&b.queue));
        rows
    };
    let found = rows(store.stats().await);
    assert_eq!(found, rows(model.stats().await), "store, model: stats");
}

/// A job without what a store is free in: progress that this attempt did not
/// report, whether a job that is over had been asked to stop, and whose claim
/// came upon one that had expired.
fn comparable(job: Job, model: Option<&Job>) -> Job {
    let running = job.status == Status::Running;
    let reported = model.is_some_and(|model| model.progress.is_some());
    let mut history = job.history;
    // A claim that is sent again comes upon more of them than the model's did.
    for expired in history.iter_mut().filter(|one| one.error.code == "expired") {
        expired.worker = NOBODY.parse().expect("a UUID is a worker id");
    }
    Job {
        cancel_requested: running && job.cancel_requested,
        progress: job.progress.filter(|_| running && reported),
        history,
        ..job
    }
}

/// An event without its time, and without data where its data is free.
type Brief = (u64, String, Option<String>, Option<Payload>);

fn brief(event: Event) -> Brief {
    let free = [kind::CANCEL_REQUESTED, kind::REDRIVEN].contains(&event.kind.as_str());
    let data = (!free).then_some(event.data);
    (event.seq, event.kind, event.step, data)
}

/// Every event of a job, whether it ended; nothing where it is unknown.
async fn all_events(broker: &dyn Broker, id: JobId) -> Option<(Vec<Brief>, bool)> {
    let mut events: Vec<Brief> = Vec::new();
    loop {
        let after = events.last().map_or(0, |(seq, ..)| *seq);
        let page = broker.events(&id, after, 100, Duration::ZERO).await;
        let page = page.expect("events answer")?;
        let ended = page.ended;
        if page.events.is_empty() {
            return Some((events, ended));
        }
        events.extend(page.events.into_iter().map(brief));
    }
}
