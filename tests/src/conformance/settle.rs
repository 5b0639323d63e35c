//! How attempts end.

use std::time::Duration;

use lovage_core::attempt::JobError;
use lovage_core::broker::{CancelReply, Enqueued, RedriveReply, Settled};
use lovage_core::clock;
use lovage_core::job::{NewJob, Unique};
use lovage_core::lifecycle;
use lovage_core::limits;
use lovage_core::outcome::Outcome;
use lovage_core::payload::Payload;
use lovage_core::status::{Status, WaitReason};

use crate::harness::Harness;

const WAIT: Duration = Duration::from_secs(4);

fn done(result: &str) -> Outcome {
    Outcome::Done(Payload::parse(result).unwrap())
}

fn retry(after: Option<Duration>) -> Outcome {
    let error = JobError::transient("flaky", "try again");
    Outcome::Retry { error, after }
}

fn park(after: Duration) -> Outcome {
    let reason = WaitReason::Limit;
    Outcome::Park { reason, after }
}

fn give_up() -> Outcome {
    Outcome::GiveUp(JobError::permanent("hopeless", "never"))
}

fn holding_key(h: &Harness) -> NewJob {
    let (key, window) = ("u".to_owned(), None);
    NewJob {
        unique: Some(Unique { key, window }),
        ..h.job()
    }
}

/// S1. State, result, final event, counter and unique key change together.
pub(crate) async fn a_finish_changes_everything_together(h: Harness) {
    let (_, claimed) = h.running(holding_key(&h)).await;
    let id = claimed.job.id;
    h.advance(Duration::from_secs(1));
    assert_eq!(
        h.settle(&claimed, done("{\"ok\": true}")).await,
        Settled::Done
    );
    let job = h.get(id).await;
    let next = h.ended(&claimed, &done("{\"ok\": true}")).next;
    assert_eq!(job, lifecycle::apply(&claimed.job, &next, h.now()));
    assert_eq!(job.keep_until, Some(clock::after(h.now(), limits::KEEP)));
    assert_eq!(h.event_kinds(id).await, ["succeeded"]);
    let stats = h.stats().await;
    assert_eq!((stats.running, stats.succeeded_total), (0, 1));
    h.enqueue(holding_key(&h)).await;
}

/// S1. A fenced settle changes none of them.
pub(crate) async fn a_fenced_settle_changes_nothing(h: Harness) {
    let (_, lost) = h.running(holding_key(&h)).await;
    h.outlast_lease();
    h.sweep().await;
    let before = (h.get(lost.job.id).await, h.stats().await);
    for outcome in [done("1"), give_up(), retry(None), Outcome::Release] {
        assert_eq!(h.settle(&lost, outcome).await, Settled::Fenced);
    }
    assert_eq!((h.get(lost.job.id).await, h.stats().await), before);
    let refused = h.enqueue_all(vec![holding_key(&h)]).await;
    assert_eq!(refused, [Enqueued::Duplicate(lost.job.id)]);
}

/// S1. Settles of one call answer in their order, each for itself.
pub(crate) async fn settles_of_one_call_are_judged_alone(h: Harness) {
    h.enqueue_plain(2).await;
    let worker = h.worker().await;
    let lost = h.claim_one(worker).await;
    h.outlast_lease();
    h.sweep().await;
    let worker = h.worker().await;
    let held = h.claim(worker, 2).await;
    let settles = [
        h.ended(&held[0], &done("1")),
        h.ended(&lost, &done("2")),
        h.ended(&held[1], &give_up()),
    ];
    let answers = h.broker.settle(&settles).await.unwrap();
    assert_eq!(answers, [Settled::Done, Settled::Fenced, Settled::Done]);
    assert_eq!(h.status(held[0].job.id).await, Status::Succeeded);
    assert_eq!(h.status(held[1].job.id).await, Status::Failed);
    assert_eq!(h.broker.settle(&[]).await.unwrap(), []);
}

/// S1. The largest batch settles in one call.
pub(crate) async fn the_largest_batch_settles_in_one_call(h: Harness) {
    h.enqueue_plain(limits::BATCH_MAX).await;
    let worker = h.worker().await;
    let mut claimed = Vec::new();
    while claimed.len() < limits::BATCH_MAX {
        let more = h.claim(worker, limits::BATCH_MAX).await;
        assert!(!more.is_empty(), "only {} were given", claimed.len());
        claimed.extend(more);
    }
    let settles: Vec<_> = claimed.iter().map(|one| h.ended(one, &done("1"))).collect();
    let answers = h.broker.settle(&settles).await.unwrap();
    assert_eq!(answers, vec![Settled::Done; limits::BATCH_MAX]);
    assert_eq!(h.stats().await.succeeded_total, limits::BATCH_MAX as u64);
}

/// S2. Every kind of ending sent twice is done once and says so twice.
pub(crate) async fn a_settle_sent_again_happens_once(h: Harness) {
    let endings = [
        done("1"),
        give_up(),
        retry(None),
        park(WAIT),
        Outcome::Release,
        Outcome::Cancelled,
    ];
    for outcome in endings {
        let (_, claimed) = h.running(h.job()).await;
        let id = claimed.job.id;
        let settle = h.ended(&claimed, &outcome);
        assert_eq!(h.settle_as(settle.clone()).await, Settled::Done);
        let before = (h.get(id).await, h.events(id).await, h.stats().await);
        h.advance(Duration::from_millis(700));
        assert_eq!(h.settle_as(settle).await, Settled::Done, "{outcome:?}");
        let after = (h.get(id).await, h.events(id).await, h.stats().await);
        assert_eq!(after, before, "{outcome:?}");
        h.broker.cancel(&id).await.unwrap();
    }
}

/// S2. Sent again after the job went on to its next attempt, it disturbs nothing.
pub(crate) async fn a_settle_sent_again_late_does_not_disturb_the_next_attempt(h: Harness) {
    let (worker, first) = h.running(h.job()).await;
    let settle = h.ended(&first, &retry(Some(WAIT)));
    h.settle_as(settle.clone()).await;
    h.advance(WAIT);
    let second = h.claim_one(worker).await;
    assert_eq!(h.settle_as(settle).await, Settled::Done);
    assert_eq!(h.get(first.job.id).await, second.job);
    assert_eq!(h.settle(&second, done("2")).await, Settled::Done);
}

/// S2. A second settle that says something else does not change the first.
pub(crate) async fn the_first_settle_under_a_token_stands(h: Harness) {
    let (_, claimed) = h.running(h.job()).await;
    h.settle(&claimed, done("1")).await;
    let before = (h.get(claimed.job.id).await, h.stats().await);
    for outcome in [done("2"), give_up(), Outcome::Release, retry(None)] {
        h.settle(&claimed, outcome).await;
    }
    assert_eq!((h.get(claimed.job.id).await, h.stats().await), before);
}

/// S3. What is over stays as it is, whatever is asked.
pub(crate) async fn a_final_job_never_changes(h: Harness) {
    let (worker, claimed) = h.running(h.job()).await;
    let id = claimed.job.id;
    h.settle(&claimed, done("1")).await;
    let before = (h.get(id).await, h.events(id).await, h.stats().await);
    let late = h.broker.cancel(&id).await.unwrap();
    assert_eq!(late, CancelReply::TooLate(Status::Succeeded));
    let refused = h.broker.redrive(&id).await.unwrap();
    assert_eq!(refused, RedriveReply::Refused(Status::Succeeded));
    assert!(h.claim(worker, 10).await.is_empty());
    h.outlast_lease();
    assert_eq!(h.sweep().await, Default::default());
    h.prune().await;
    let after = (h.get(id).await, h.events(id).await, h.stats().await);
    assert_eq!(after, before);
}

/// S3. A failed job can be queued again with all its attempts, once.
pub(crate) async fn a_failed_job_is_redriven_with_all_its_attempts(h: Harness) {
    let (worker, claimed) = h
        .running(NewJob {
            attempts_max: 1,
            ..h.job()
        })
        .await;
    let id = claimed.job.id;
    h.settle(&claimed, retry(None)).await;
    assert_eq!(h.status(id).await, Status::Failed);
    let behind = h.enqueue(h.job()).await;
    assert_eq!(h.broker.redrive(&id).await.unwrap(), RedriveReply::Queued);
    let job = h.get(id).await;
    assert_eq!((job.status, job.attempt), (Status::Queued, 0));
    assert_eq!((job.finished_at, job.keep_until), (None, None));
    let refused = h.broker.redrive(&id).await.unwrap();
    assert_eq!(refused, RedriveReply::Refused(Status::Queued));
    let stats = h.stats().await;
    assert_eq!((stats.queued, stats.failed_total), (2, 1));
    assert_eq!(h.claim_ids(worker, 10).await, [behind, id]);
}

/// S3. A redriven job takes its unique key back, or is refused while another has it.
pub(crate) async fn a_redriven_job_needs_its_unique_key(h: Harness) {
    let (worker, failed) = h.running(holding_key(&h)).await;
    let id = failed.job.id;
    h.settle(&failed, give_up()).await;
    let holder = h.enqueue(holding_key(&h)).await;
    let refused = h.broker.redrive(&id).await.unwrap();
    assert_eq!(refused, RedriveReply::Duplicate(holder));
    assert_eq!(h.status(id).await, Status::Failed);
    let other = h.claim_one(worker).await;
    h.settle(&other, done("1")).await;
    assert_eq!(h.broker.redrive(&id).await.unwrap(), RedriveReply::Queued);
    let taken = h.enqueue_all(vec![holding_key(&h)]).await;
    assert_eq!(taken, [Enqueued::Duplicate(id)]);
}

/// S3. A job nobody knows cannot be redriven.
pub(crate) async fn redrive_of_an_unknown_job_finds_nothing(h: Harness) {
    let unknown = h.broker.redrive(&h.job().id).await.unwrap();
    assert_eq!(unknown, RedriveReply::NotFound);
}

/// P1. A failed attempt waits for its back-off, charged and remembered.
pub(crate) async fn a_retry_waits_and_uses_the_attempt(h: Harness) {
    let (worker, claimed) = h.running(h.job()).await;
    let id = claimed.job.id;
    h.settle(&claimed, retry(Some(WAIT))).await;
    let job = h.get(id).await;
    assert_eq!(
        (job.status, job.attempt, job.worker),
        (Status::Waiting, 1, None)
    );
    let waiting = job.waiting.unwrap();
    assert_eq!(waiting.reason, WaitReason::Backoff);
    assert_eq!(waiting.until, clock::after(h.now(), WAIT));
    assert_eq!(job.history.len(), 1);
    assert_eq!(h.event_kinds(id).await, ["waiting"]);
    assert!(h.claim(worker, 1).await.is_empty());
    assert_eq!(h.stats().await.waiting, 1);
    h.advance(WAIT);
    let again = h.claim_one(worker).await;
    assert_eq!((again.job.id, again.lease.token.attempt), (id, 2));
    assert_eq!((again.job.waiting, again.job.history.len()), (None, 1));
    assert_eq!(h.stats().await.waiting, 0);
}

/// P1. A failure on the last attempt ends the job in the dead list.
pub(crate) async fn the_last_failed_attempt_ends_the_job(h: Harness) {
    let (_, claimed) = h
        .running(NewJob {
            attempts_max: 1,
            ..h.job()
        })
        .await;
    h.settle(&claimed, retry(None)).await;
    let job = h.get(claimed.job.id).await;
    assert_eq!(job.status, Status::Failed);
    assert_eq!(job.error.as_ref().unwrap().code, "flaky");
    assert_eq!(
        job.keep_until,
        Some(clock::after(h.now(), limits::KEEP_DEAD))
    );
    assert_eq!(h.event_kinds(job.id).await, ["failed"]);
    assert_eq!(h.stats().await.failed_total, 1);
}

/// P1. A parked job gives its slot back and does not use the attempt, however often.
pub(crate) async fn parking_does_not_use_an_attempt(h: Harness) {
    let (worker, first) = h
        .running(NewJob {
            attempts_max: 1,
            ..h.job()
        })
        .await;
    let mut claimed = first;
    for _ in 0..5 {
        h.settle(&claimed, park(WAIT)).await;
        let job = h.get(claimed.job.id).await;
        assert_eq!((job.status, job.attempt), (Status::Waiting, 0));
        assert_eq!(job.waiting.unwrap().reason, WaitReason::Limit);
        assert_eq!(h.stats().await.running, 0);
        h.advance(WAIT);
        h.extend(worker).await.unwrap();
        claimed = h.claim_one(worker).await;
        assert_eq!(claimed.lease.token.attempt, 1);
    }
    assert_eq!(h.settle(&claimed, done("1")).await, Settled::Done);
}

/// P1. Another process finds a waiting job, and gives it when its time has come.
pub(crate) async fn a_waiting_job_survives_a_restart(h: Harness) {
    let (_, claimed) = h.running(h.job()).await;
    h.settle(&claimed, park(WAIT)).await;
    let Some(other) = h.reopen().await else {
        return;
    };
    let h = h.decorated(|_| other);
    assert_eq!(h.status(claimed.job.id).await, Status::Waiting);
    h.advance(WAIT);
    let worker = h.worker().await;
    assert_eq!(h.claim_ids(worker, 1).await, [claimed.job.id]);
}

/// P1. A job handed back is first again, its attempt not used.
pub(crate) async fn a_released_job_is_first_again_and_not_charged(h: Harness) {
    let ids = h.enqueue_plain(2).await;
    let worker = h.worker().await;
    let claimed = h.claim_one(worker).await;
    h.settle(&claimed, Outcome::Release).await;
    let job = h.get(ids[0]).await;
    assert_eq!((job.status, job.attempt), (Status::Queued, 0));
    assert_eq!(job.history, []);
    assert_eq!(h.event_kinds(ids[0]).await, ["requeued"]);
    let again = h.claim(worker, 2).await;
    assert_eq!((again[0].job.id, again[1].job.id), (ids[0], ids[1]));
    assert_eq!(again[0].lease.token.attempt, 1);
}

/// S1. What a job went through is counted where it ended.
pub(crate) async fn every_ending_is_counted(h: Harness) {
    let endings = [done("1"), done("2"), give_up(), Outcome::Cancelled];
    for outcome in endings {
        let (_, claimed) = h.running(h.job()).await;
        h.settle(&claimed, outcome).await;
    }
    let stats = h.stats().await;
    assert_eq!(
        (
            stats.succeeded_total,
            stats.failed_total,
            stats.cancelled_total
        ),
        (2, 1, 1)
    );
    assert_eq!((stats.queued, stats.running), (0, 0));
}
