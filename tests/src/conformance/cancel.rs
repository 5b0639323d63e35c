//! Asking a job to stop.

use std::sync::Arc;
use std::time::Duration;

use lovage_core::attempt::JobError;
use lovage_core::broker::{CancelReply, RedriveReply, Settled, Wake};
use lovage_core::clock;
use lovage_core::id::{JobId, QueueName, WorkerId};
use lovage_core::job::NewJob;
use lovage_core::outcome::Outcome;
use lovage_core::payload::Payload;
use lovage_core::status::{Status, WaitReason};

use crate::harness::{Harness, SOON};

const WAIT: Duration = Duration::from_secs(4);

async fn cancel(h: &Harness, id: JobId) -> CancelReply {
    h.broker.cancel(&id).await.unwrap()
}

async fn is_cancelled(h: &Harness, id: JobId) {
    let job = h.get(id).await;
    assert_eq!(job.status, Status::Cancelled);
    assert_eq!(job.error.unwrap().code, "cancelled");
    assert_eq!((job.finished_at, job.waiting), (Some(h.now()), None));
}

/// K1. A queued job is cancelled at once and never given.
pub(crate) async fn a_queued_job_is_cancelled_at_once(h: Harness) {
    let ids = h.enqueue_plain(3).await;
    assert_eq!(cancel(&h, ids[1]).await, CancelReply::Cancelled);
    is_cancelled(&h, ids[1]).await;
    let stats = h.stats().await;
    assert_eq!((stats.queued, stats.cancelled_total), (2, 1));
    let worker = h.worker().await;
    let mut given = h.claim_ids(worker, 1).await;
    given.extend(h.claim_ids(worker, 1).await);
    given.extend(h.claim_ids(worker, 10).await);
    assert_eq!(given, [ids[0], ids[2]]);
    let stats = h.stats().await;
    assert_eq!(
        (stats.queued, stats.running, stats.cancelled_total),
        (0, 2, 1)
    );
}

/// K1. A scheduled job is cancelled at once and its time passes without it.
pub(crate) async fn a_scheduled_job_is_cancelled_at_once(h: Harness) {
    let run_at = Some(clock::after(h.now(), WAIT));
    let id = h.enqueue(NewJob { run_at, ..h.job() }).await;
    assert_eq!(cancel(&h, id).await, CancelReply::Cancelled);
    is_cancelled(&h, id).await;
    h.advance(WAIT);
    let worker = h.worker().await;
    let claims = h.claims(worker, 1).await.unwrap();
    assert_eq!((claims.claimed.len(), claims.next_due), (0, None));
    let stats = h.stats().await;
    assert_eq!(
        (stats.scheduled, stats.queued, stats.cancelled_total),
        (0, 0, 1)
    );
}

/// K1. A waiting job is cancelled at once.
pub(crate) async fn a_waiting_job_is_cancelled_at_once(h: Harness) {
    let (worker, claimed) = h.running(h.job()).await;
    let reason = WaitReason::Limit;
    h.settle(
        &claimed,
        Outcome::Park {
            reason,
            after: WAIT,
        },
    )
    .await;
    assert_eq!(cancel(&h, claimed.job.id).await, CancelReply::Cancelled);
    is_cancelled(&h, claimed.job.id).await;
    h.advance(WAIT);
    assert!(h.claim(worker, 1).await.is_empty());
    assert_eq!(h.stats().await.waiting, 0);
    assert_eq!(
        h.event_kinds(claimed.job.id).await,
        ["waiting", "cancelled"]
    );
}

/// K1. A running job goes on until its worker, who is told, stops it.
pub(crate) async fn a_running_job_is_asked_to_stop(h: Harness) {
    let (worker, claimed) = h.running(h.job()).await;
    let id = claimed.job.id;
    assert!(!h.get(id).await.cancel_requested);
    assert_eq!(cancel(&h, id).await, CancelReply::Requested);
    let job = h.get(id).await;
    assert_eq!((job.status, job.cancel_requested), (Status::Running, true));
    for _ in 0..2 {
        assert_eq!(h.extend(worker).await.unwrap(), [id]);
    }
    assert_eq!(h.settle(&claimed, Outcome::Cancelled).await, Settled::Done);
    is_cancelled(&h, id).await;
    assert_eq!(h.extend(worker).await.unwrap(), []);
    assert_eq!(h.event_kinds(id).await, ["cancel_requested", "cancelled"]);
    assert_eq!(h.stats().await.cancelled_total, 1);
}

/// K1. Asked twice is asked once.
pub(crate) async fn a_second_request_to_stop_changes_nothing(h: Harness) {
    let (_, claimed) = h.running(h.job()).await;
    let id = claimed.job.id;
    cancel(&h, id).await;
    h.advance(h.lease / 2);
    assert_eq!(cancel(&h, id).await, CancelReply::Requested);
    assert_eq!(h.event_kinds(id).await, ["cancel_requested"]);
}

/// K1. Only the worker that runs the job is told.
pub(crate) async fn other_workers_are_not_told_to_stop(h: Harness) {
    h.enqueue_plain(2).await;
    let (worker, other) = (h.worker().await, h.worker().await);
    let claimed = h.claim_one(worker).await;
    h.claim_one(other).await;
    cancel(&h, claimed.job.id).await;
    assert_eq!(h.extend(other).await.unwrap(), []);
    assert_eq!(h.extend(worker).await.unwrap(), [claimed.job.id]);
}

/// K1. A worker that waits for a wake-up is woken by the cancel.
pub(crate) async fn a_cancel_wakes_the_worker(h: Harness) {
    let (worker, claimed) = h.running(h.job()).await;
    let waiting = {
        let broker = Arc::clone(&h.broker);
        let queue = QueueName::default();
        tokio::spawn(async move { broker.wake(&queue, &worker, false, SOON * 2).await })
    };
    tokio::task::yield_now().await;
    cancel(&h, claimed.job.id).await;
    let woken = tokio::time::timeout(SOON, waiting).await;
    let woken = woken.expect("the worker is woken").unwrap().unwrap();
    assert_eq!(woken, Wake::Cancel(vec![claimed.job.id]));
}

/// K1. A cancel that came before the wait wakes at once, also among work.
pub(crate) async fn a_cancel_from_before_the_wait_wakes_at_once(h: Harness) {
    let (worker, claimed) = h.running(h.job()).await;
    cancel(&h, claimed.job.id).await;
    h.enqueue(h.job()).await;
    assert_eq!(first_cancel(&h, worker).await, [claimed.job.id]);
}

/// The first wake-up for a cancel; work may come before it.
async fn first_cancel(h: &Harness, worker: WorkerId) -> Vec<JobId> {
    let queue = QueueName::default();
    for work in [true, false] {
        let woken = h.broker.wake(&queue, &worker, work, SOON).await.unwrap();
        match woken {
            Wake::Cancel(ids) => return ids,
            Wake::Work => {}
            Wake::Timeout => break,
        }
    }
    panic!("the worker was not told to stop");
}

/// K1. A job that succeeds before it hears of the cancel has succeeded.
pub(crate) async fn a_job_that_settles_before_it_stops_has_settled(h: Harness) {
    let (_, claimed) = h.running(h.job()).await;
    cancel(&h, claimed.job.id).await;
    let done = h.settle(&claimed, Outcome::Done(Payload::null())).await;
    assert_eq!(done, Settled::Done);
    assert_eq!(h.status(claimed.job.id).await, Status::Succeeded);
    h.outlast_lease();
    h.broker
        .deregister(&QueueName::default(), &claimed.lease.token.worker)
        .await
        .unwrap();
    assert_eq!(h.sweep().await, Default::default());
}

/// K1. Asked to stop, a job that fails, parks or is handed back does not go on.
pub(crate) async fn a_job_asked_to_stop_never_goes_back_to_its_lane(h: Harness) {
    let error = JobError::transient("x", "y");
    let reason = WaitReason::Limit;
    let endings = [
        Outcome::Retry { error, after: None },
        Outcome::Park {
            reason,
            after: WAIT,
        },
        Outcome::Release,
    ];
    for outcome in endings {
        let (worker, claimed) = h.running(h.job()).await;
        cancel(&h, claimed.job.id).await;
        for _ in 0..2 {
            let settle = h.ended(&claimed, &outcome);
            assert_eq!(h.settle_as(settle).await, Settled::Done);
            is_cancelled(&h, claimed.job.id).await;
        }
        assert!(h.claim(worker, 1).await.is_empty());
    }
    let stats = h.stats().await;
    assert_eq!(
        (stats.queued, stats.waiting, stats.cancelled_total),
        (0, 0, 3)
    );
}

/// K1. A job asked to stop whose worker died is cancelled, not run again.
pub(crate) async fn a_job_asked_to_stop_is_not_reclaimed_to_run_again(h: Harness) {
    let (_, claimed) = h.running(h.job()).await;
    cancel(&h, claimed.job.id).await;
    h.outlast_lease();
    let swept = h.sweep().await;
    assert_eq!(swept.reclaimed, [(claimed.job.id, Status::Cancelled)]);
    assert_eq!(swept.cancelled, []);
    is_cancelled(&h, claimed.job.id).await;
}

/// K2. A job that does not stop within a lease is cancelled under its worker,
/// which is fenced from then on.
pub(crate) async fn a_job_that_does_not_stop_is_cancelled_anyway(h: Harness) {
    let (worker, claimed) = h.running(h.job()).await;
    let id = claimed.job.id;
    cancel(&h, id).await;
    h.advance(h.lease - Duration::from_millis(1));
    h.extend(worker).await.unwrap();
    assert_eq!(h.sweep().await, Default::default());
    h.advance(Duration::from_millis(2));
    assert_eq!(h.sweep().await.cancelled, [id]);
    is_cancelled(&h, id).await;
    let late = h.settle(&claimed, Outcome::Done(Payload::null())).await;
    assert_eq!(late, Settled::Fenced);
    is_cancelled(&h, id).await;
    let stats = h.stats().await;
    assert_eq!((stats.running, stats.cancelled_total), (0, 1));
    assert_eq!(h.extend(worker).await.unwrap(), []);
}

/// K1. Cancelling what is over, or nothing, says so.
pub(crate) async fn a_cancel_that_comes_too_late_says_so(h: Harness) {
    let id = h.enqueue(h.job()).await;
    cancel(&h, id).await;
    let before = (h.get(id).await, h.stats().await);
    let late = CancelReply::TooLate(Status::Cancelled);
    assert_eq!(cancel(&h, id).await, late);
    assert_eq!((h.get(id).await, h.stats().await), before);
    assert_eq!(cancel(&h, h.job().id).await, CancelReply::NotFound);
}

/// C1. Cancelled in its lane and queued again, a job is given once.
pub(crate) async fn a_job_cancelled_in_its_lane_and_redriven_is_given_once(h: Harness) {
    let ids = h.enqueue_plain(2).await;
    cancel(&h, ids[0]).await;
    assert_eq!(
        h.broker.redrive(&ids[0]).await.unwrap(),
        RedriveReply::Queued
    );
    assert_eq!(h.stats().await.queued, 2);
    let worker = h.worker().await;
    let mut given = Vec::new();
    for _ in 0..4 {
        given.extend(h.claim_ids(worker, 1).await);
    }
    given.sort();
    let mut expected = ids;
    expected.sort();
    assert_eq!(given, expected);
    let stats = h.stats().await;
    assert_eq!((stats.queued, stats.running), (0, 2));
}

/// C1. Cancelled before its time and queued again, a job is not promoted a second time.
pub(crate) async fn a_job_cancelled_before_its_time_and_redriven_is_given_once(h: Harness) {
    let run_at = Some(clock::after(h.now(), WAIT));
    let id = h.enqueue(NewJob { run_at, ..h.job() }).await;
    cancel(&h, id).await;
    assert_eq!(h.broker.redrive(&id).await.unwrap(), RedriveReply::Queued);
    let worker = h.worker().await;
    assert_eq!(h.claim_ids(worker, 10).await, [id]);
    h.advance(WAIT);
    assert!(h.claim(worker, 10).await.is_empty());
    let stats = h.stats().await;
    assert_eq!((stats.scheduled, stats.queued, stats.running), (0, 0, 1));
}

/// C1. Of a claim and a cancel at the same time, exactly one comes first.
pub(crate) async fn a_claim_and_a_cancel_at_once_agree(h: Harness) {
    let worker = h.worker().await;
    for _ in 0..20 {
        let id = h.enqueue(h.job()).await;
        let (claimed, reply) = tokio::join!(h.claim(worker, 1), cancel(&h, id));
        match reply {
            CancelReply::Cancelled => assert!(claimed.is_empty()),
            CancelReply::Requested => {
                h.settle(&claimed[0], Outcome::Cancelled).await;
            }
            other => panic!("{other:?}"),
        }
        is_cancelled(&h, id).await;
    }
    let stats = h.stats().await;
    assert_eq!(
        (stats.queued, stats.running, stats.cancelled_total),
        (0, 0, 20)
    );
}
