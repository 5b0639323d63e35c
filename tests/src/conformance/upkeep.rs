//! What happens to jobs that are over, and to the store between processes.

use std::time::Duration;

use lovage_core::broker::{CancelReply, RedriveReply};
use lovage_core::checkpoint::Checkpoint;
use lovage_core::event::NewEvent;
use lovage_core::id::JobId;
use lovage_core::job::NewJob;
use lovage_core::limits;
use lovage_core::outcome::Outcome;
use lovage_core::payload::Payload;
use lovage_core::query::Filter;
use lovage_core::status::Status;

use crate::harness::Harness;

const KEEP: Duration = Duration::from_secs(60);
const BEYOND: Duration = Duration::from_millis(1);

/// A finished job with a checkpoint and an event, kept for `KEEP`.
async fn finished(h: &Harness) -> JobId {
    let (_, claimed) = h
        .running(NewJob {
            keep: KEEP,
            ..h.job()
        })
        .await;
    let plan = Checkpoint {
        step: "plan".into(),
        occurrence: 0,
        fingerprint: "f".into(),
        value: Payload::null(),
    };
    let note = NewEvent {
        kind: "note".into(),
        step: None,
        data: Payload::null(),
    };
    h.checkpoint(&claimed, &plan, &[note]).await;
    h.settle(&claimed, Outcome::Done(Payload::null())).await;
    claimed.job.id
}

async fn is_gone(h: &Harness, id: JobId) {
    assert_eq!(h.broker.get(&id).await.unwrap(), None);
    let events = h.broker.events(&id, 0, 10, Duration::ZERO).await;
    assert_eq!(events.unwrap(), None);
    assert_eq!(h.broker.checkpoints(&id).await.unwrap(), []);
    assert_eq!(h.list(&Filter::default(), 10).await, []);
    assert_eq!(h.broker.cancel(&id).await.unwrap(), CancelReply::NotFound);
    assert_eq!(h.broker.redrive(&id).await.unwrap(), RedriveReply::NotFound);
}

/// S3. Past its time to live a job is still known, until its tombstone is gone too.
pub(crate) async fn a_job_is_known_until_its_tombstone_is_gone(h: Harness) {
    let id = finished(&h).await;
    h.advance(KEEP + limits::TOMBSTONE - BEYOND);
    h.prune().await;
    assert_eq!(h.status(id).await, Status::Succeeded);
    assert_eq!(h.broker.checkpoints(&id).await.unwrap().len(), 1);
    h.advance(BEYOND);
    is_gone(&h, id).await;
    h.prune().await;
    is_gone(&h, id).await;
}

/// S3. Pruning forgets what is gone, nothing else, and leaves the totals.
pub(crate) async fn prune_forgets_only_what_is_gone(h: Harness) {
    let old = finished(&h).await;
    h.advance(KEEP + limits::TOMBSTONE);
    let young = finished(&h).await;
    let queued = h.enqueue(h.job()).await;
    h.prune().await;
    assert_eq!(h.broker.get(&old).await.unwrap(), None);
    assert_eq!(h.status(young).await, Status::Succeeded);
    assert_eq!(h.status(queued).await, Status::Queued);
    let stats = h.stats().await;
    assert_eq!((stats.succeeded_total, stats.queued), (2, 1));
}

/// S3. A dead job is kept for its own, longer time.
pub(crate) async fn a_dead_job_is_kept_longer(h: Harness) {
    let new = NewJob {
        keep: KEEP,
        keep_dead: KEEP * 100,
        ..h.job()
    };
    let (_, claimed) = h.running(new).await;
    let error = lovage_core::attempt::JobError::permanent("x", "y");
    h.settle(&claimed, Outcome::GiveUp(error)).await;
    h.advance(KEEP + limits::TOMBSTONE + BEYOND);
    h.prune().await;
    assert_eq!(h.status(claimed.job.id).await, Status::Failed);
    h.advance(KEEP * 99);
    h.prune().await;
    assert_eq!(h.broker.get(&claimed.job.id).await.unwrap(), None);
}

/// S3. A job that was redriven is not forgotten with its first end.
pub(crate) async fn a_redriven_job_is_not_pruned(h: Harness) {
    let id = h
        .enqueue(NewJob {
            keep: KEEP,
            ..h.job()
        })
        .await;
    h.broker.cancel(&id).await.unwrap();
    h.broker.redrive(&id).await.unwrap();
    h.advance(KEEP + limits::TOMBSTONE + BEYOND);
    h.prune().await;
    assert_eq!(h.status(id).await, Status::Queued);
    assert_eq!(h.event_kinds(id).await, ["cancelled", "redriven"]);
    let worker = h.worker().await;
    assert_eq!(h.claim_ids(worker, 1).await, [id]);
}

/// S3. An unfinished job is kept, however old it is.
pub(crate) async fn an_unfinished_job_is_never_forgotten(h: Harness) {
    let id = h
        .enqueue(NewJob {
            keep: KEEP,
            ..h.job()
        })
        .await;
    h.advance(Duration::from_secs(90 * 24 * 3_600));
    h.prune().await;
    assert_eq!(h.status(id).await, Status::Queued);
    let worker = h.worker().await;
    assert_eq!(h.claim_ids(worker, 1).await, [id]);
}

/// R1. Another process finds everything as it was: jobs, counts, events, results.
pub(crate) async fn another_process_finds_everything_as_it_was(h: Harness) {
    let done = finished(&h).await;
    let queued = h.enqueue(h.job()).await;
    let (_, running) = h
        .running(NewJob {
            priority: 9.try_into().unwrap(),
            ..h.job()
        })
        .await;
    let mut before = Vec::new();
    for id in [done, queued, running.job.id] {
        before.push((h.get(id).await, h.events(id).await));
    }
    let stats = h.stats().await;
    let Some(other) = h.reopen().await else {
        return;
    };
    let h = h.decorated(|_| other);
    for (job, events) in before {
        assert_eq!(h.events(job.id).await, events);
        assert_eq!(h.get(job.id).await, job);
    }
    assert_eq!(h.stats().await, stats);
    let settled = h.settle(&running, Outcome::Done(Payload::null())).await;
    assert_eq!(settled, lovage_core::broker::Settled::Done);
}

/// R1. A store that is there says so.
pub(crate) async fn a_store_answers_a_ping(h: Harness) {
    h.broker.ping().await.unwrap();
    assert!(!h.broker.name().is_empty());
}
