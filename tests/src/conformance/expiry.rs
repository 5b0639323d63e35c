//! Jobs that were not started in time.

use std::sync::Arc;
use std::time::Duration;

use lovage_core::attempt::JobError;
use lovage_core::clock;
use lovage_core::id::QueueName;
use lovage_core::job::{NewJob, Unique};
use lovage_core::limits;
use lovage_core::outcome::Outcome;
use lovage_core::status::Status;

use crate::harness::{Harness, SOON};

const TIME: Duration = Duration::from_secs(5);
const BEFORE: Duration = Duration::from_millis(1);

fn expiring(h: &Harness) -> NewJob {
    NewJob {
        expires_at: Some(clock::after(h.now(), TIME)),
        ..h.job()
    }
}

/// E4. A job ends at its `expires_at`, not before, though nobody claims.
pub(crate) async fn an_unclaimed_job_ends_in_time(h: Harness) {
    let run_at = Some(clock::after(h.now(), TIME * 2));
    let queued = h.enqueue(expiring(&h)).await;
    let scheduled = NewJob {
        run_at,
        ..expiring(&h)
    };
    let scheduled = h.enqueue(scheduled).await;
    let fine = h.enqueue(h.job()).await;
    h.advance(TIME - BEFORE);
    assert_eq!(h.sweep().await, Default::default());
    h.advance(BEFORE);
    let mut expired = h.sweep().await.expired;
    expired.sort();
    let mut expected = [queued, scheduled];
    expected.sort();
    assert_eq!(expired, expected);
    for id in expected {
        let job = h.get(id).await;
        assert_eq!(job.status, Status::Cancelled);
        assert_eq!(job.error.unwrap().code, "expired");
        assert_eq!(job.finished_at, Some(h.now()));
        assert_eq!(h.event_kinds(id).await, ["cancelled"]);
    }
    let stats = h.stats().await;
    assert_eq!((stats.queued, stats.scheduled), (1, 0));
    assert_eq!(stats.cancelled_total, 2);
    h.advance(TIME * 2);
    let worker = h.worker().await;
    assert_eq!(h.claim_ids(worker, 10).await, [fine]);
    assert_eq!(h.sweep().await, Default::default());
}

/// E4. A paused queue, and one that gives nothing, ends its late jobs too.
pub(crate) async fn a_job_of_a_paused_queue_ends_in_time(h: Harness) {
    let id = h.enqueue(expiring(&h)).await;
    let queue = QueueName::default();
    h.broker.pause(&queue, true).await.unwrap();
    h.advance(TIME);
    assert_eq!(h.sweep().await.expired, [id]);
    h.broker.pause(&queue, false).await.unwrap();
    let worker = h.worker().await;
    assert!(h.claim(worker, 10).await.is_empty());
}

/// E4. A job that was started does not expire, however it comes to wait again.
pub(crate) async fn a_started_job_does_not_expire(h: Harness) {
    let worker = h.worker().await;
    let error = JobError::transient("x", "y");
    let endings = [
        Some(Outcome::Release),
        Some(Outcome::Retry {
            error,
            after: Some(BEFORE),
        }),
        None,
    ];
    let mut ids = Vec::new();
    for ending in endings {
        let id = h.enqueue(expiring(&h)).await;
        let claimed = h.claim(worker, 10).await;
        let claimed = claimed.iter().find(|claimed| claimed.job.id == id);
        let claimed = claimed.expect("it is given");
        if let Some(ending) = ending {
            h.settle(claimed, ending).await;
        }
        ids.push(id);
    }
    h.outlast_lease();
    let swept = h.sweep().await;
    assert_eq!(swept.expired, []);
    let worker = h.worker().await;
    let mut given = h.claim_ids(worker, 10).await;
    given.sort();
    ids.sort();
    assert_eq!(given, ids);
}

/// E4. A late job frees its unique key and is told of to who watches it.
pub(crate) async fn a_late_job_lets_go_of_what_it_held(h: Harness) {
    let unique = |job| NewJob {
        unique: Some(Unique {
            key: "u".into(),
            window: None,
        }),
        ..job
    };
    let id = h.enqueue(unique(expiring(&h))).await;
    let watching = {
        let broker = Arc::clone(&h.broker);
        tokio::spawn(async move { broker.events(&id, 0, 10, SOON * 2).await })
    };
    tokio::task::yield_now().await;
    h.advance(TIME);
    h.sweep().await;
    let page = tokio::time::timeout(SOON, watching).await;
    let page = page.expect("the watcher is woken").unwrap();
    assert!(page.unwrap().unwrap().ended);
    h.enqueue(unique(h.job())).await;
}

/// E4. A late job that is queued again stays: its time was for the first start.
pub(crate) async fn a_redriven_job_does_not_expire_again(h: Harness) {
    let id = h.enqueue(expiring(&h)).await;
    h.advance(TIME);
    assert_eq!(h.sweep().await.expired, [id]);
    h.broker.redrive(&id).await.unwrap();
    h.advance(TIME);
    assert_eq!(h.sweep().await.expired, []);
    let worker = h.worker().await;
    assert_eq!(h.claim_ids(worker, 10).await, [id]);
}

/// E4. Any number of late jobs is ended in bounded sweeps; what ended otherwise
/// before its time is not ended again.
pub(crate) async fn any_number_of_late_jobs_is_ended(h: Harness) {
    let count = limits::EXPIRED_JOBS_MAX + 44;
    let jobs: Vec<NewJob> = (0..count).map(|_| expiring(&h)).collect();
    let cancelled = jobs[7].id;
    h.enqueue_all(jobs).await;
    h.broker.cancel(&cancelled).await.unwrap();
    h.advance(TIME);
    let first = h.broker.reclaim().await.unwrap().expired.len();
    assert!((1..=limits::EXPIRED_JOBS_MAX).contains(&first), "{first}");
    assert_eq!(first + h.sweep().await.expired.len(), count - 1);
    let stats = h.stats().await;
    assert_eq!((stats.queued, stats.cancelled_total), (0, count as u64));
}

/// E4. Of a sweep and a claim that meet a late job, one ends it.
pub(crate) async fn a_sweep_and_a_claim_end_a_late_job_once(h: Harness) {
    let worker = h.worker().await;
    for round in 1..=10 {
        let id = h.enqueue(expiring(&h)).await;
        h.advance(TIME);
        h.extend(worker).await.unwrap();
        let (given, swept) = tokio::join!(h.claim(worker, 1), h.sweep());
        assert!(given.is_empty());
        assert!(swept.expired.len() <= 1);
        h.sweep().await;
        assert_eq!(h.status(id).await, Status::Cancelled);
        let stats = h.stats().await;
        assert_eq!((stats.queued, stats.running), (0, 0));
        assert_eq!(stats.cancelled_total, round);
        assert_eq!(h.event_kinds(id).await, ["cancelled"]);
    }
}
