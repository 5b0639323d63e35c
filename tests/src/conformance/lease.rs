//! Who may write about a job, and for how long.

use std::time::Duration;

use lovage_core::attempt::JobError;
use lovage_core::broker::{RedriveReply, Settled};
use lovage_core::checkpoint::Checkpoint;
use lovage_core::error::BrokerError;
use lovage_core::event::NewEvent;
use lovage_core::id::QueueName;
use lovage_core::job::NewJob;
use lovage_core::lease::Lease;
use lovage_core::outcome::Outcome;
use lovage_core::payload::Payload;
use lovage_core::status::{Status, WaitReason};

use crate::harness::Harness;

fn note() -> NewEvent {
    NewEvent {
        kind: "note".into(),
        step: None,
        data: Payload::null(),
    }
}

fn plan() -> Checkpoint {
    Checkpoint {
        step: "plan".into(),
        occurrence: 0,
        fingerprint: "f".into(),
        value: Payload::parse("1").unwrap(),
    }
}

async fn cannot_write(h: &Harness, lease: &Lease) {
    let refused = h.broker.checkpoint(lease, &plan(), &[note()]).await;
    assert!(
        matches!(refused, Err(BrokerError::LeaseLost)),
        "{refused:?}"
    );
    let refused = h.broker.emit(lease, &[note()]).await;
    assert!(
        matches!(refused, Err(BrokerError::LeaseLost)),
        "{refused:?}"
    );
}

/// L1. A worker that extends in time keeps its jobs for many leases.
pub(crate) async fn a_worker_that_extends_keeps_its_jobs(h: Harness) {
    let (worker, claimed) = h.running(h.job()).await;
    for _ in 0..20 {
        h.advance(h.lease * 2 / 3);
        assert_eq!(h.extend(worker).await.unwrap(), []);
        assert_eq!(h.sweep().await, Default::default());
    }
    h.emit(&claimed, &[note()]).await;
    let done = h.settle(&claimed, Outcome::Done(Payload::null())).await;
    assert_eq!(done, Settled::Done);
}

/// L1. After an outage longer than a lease, a worker that nobody swept yet goes on.
pub(crate) async fn a_late_worker_that_was_not_swept_goes_on(h: Harness) {
    let (worker, claimed) = h.running(h.job()).await;
    h.advance(h.lease * 3);
    h.extend(worker).await.unwrap();
    assert_eq!(h.sweep().await, Default::default());
    let done = h.settle(&claimed, Outcome::Done(Payload::null())).await;
    assert_eq!(done, Settled::Done);
}

/// L1. A sweep leaves alone whose lease has not run out.
pub(crate) async fn a_sweep_takes_nothing_from_a_live_worker(h: Harness) {
    h.enqueue_plain(2).await;
    let dead = h.worker().await;
    let lost = h.claim_one(dead).await;
    h.advance(h.lease / 2);
    let live = h.worker().await;
    let kept = h.claim_one(live).await;
    h.advance(h.lease / 2 + Duration::from_millis(1));
    let swept = h.sweep().await;
    assert_eq!(swept.reclaimed, [(lost.job.id, Status::Queued)]);
    assert_eq!(h.status(kept.job.id).await, Status::Running);
}

/// L2. A worker that does not extend loses all its jobs: they are queued again,
/// the lost attempt counted and remembered.
pub(crate) async fn a_silent_worker_loses_all_its_jobs(h: Harness) {
    let ids = h.enqueue_plain(3).await;
    let worker = h.worker().await;
    h.claim(worker, 3).await;
    h.advance(h.lease - Duration::from_millis(1));
    assert_eq!(h.sweep().await, Default::default());
    h.advance(Duration::from_millis(2));
    let mut swept = h.sweep().await.reclaimed;
    swept.sort();
    let mut expected: Vec<_> = ids.iter().map(|id| (*id, Status::Queued)).collect();
    expected.sort();
    assert_eq!(swept, expected);
    for id in ids {
        let job = h.get(id).await;
        assert_eq!(
            (job.status, job.attempt, job.worker),
            (Status::Queued, 1, None)
        );
        assert_eq!(job.history.len(), 1);
        assert_eq!(job.history[0].worker, worker);
        assert_eq!(job.history[0].error.code, "lease_lost");
        assert_eq!(h.event_kinds(id).await, ["requeued"]);
    }
    let stats = h.stats().await;
    assert_eq!((stats.queued, stats.running), (3, 0));
}

/// L2. Once swept, a worker is told so for ever, and its id gets nothing more.
pub(crate) async fn a_swept_worker_stays_lost(h: Harness) {
    let (worker, _) = h.running(h.job()).await;
    h.outlast_lease();
    h.sweep().await;
    for _ in 0..2 {
        let refused = h.extend(worker).await;
        assert!(matches!(refused, Err(BrokerError::WorkerUnknown)));
        let refused = h.claims(worker, 1).await;
        assert!(matches!(refused, Err(BrokerError::WorkerUnknown)));
        h.sweep().await;
    }
}

/// L2. A worker that leaves gives back what it held at the next sweep.
pub(crate) async fn a_deregistered_worker_loses_its_jobs_at_the_next_sweep(h: Harness) {
    let (worker, claimed) = h.running(h.job()).await;
    let queue = QueueName::default();
    for _ in 0..2 {
        h.broker.deregister(&queue, &worker).await.unwrap();
    }
    let swept = h.sweep().await;
    assert_eq!(swept.reclaimed, [(claimed.job.id, Status::Queued)]);
    let refused = h.extend(worker).await;
    assert!(matches!(refused, Err(BrokerError::WorkerUnknown)));
}

/// L2. A reclaimed job goes ahead of the jobs that waited behind it.
pub(crate) async fn a_reclaimed_job_goes_to_the_front_of_its_lane(h: Harness) {
    let ids = h.enqueue_plain(4).await;
    let dead = h.worker().await;
    h.claim(dead, 2).await;
    h.outlast_lease();
    h.sweep().await;
    let worker = h.worker().await;
    let mut front = h.claim_ids(worker, 2).await;
    front.sort();
    let mut expected = ids[..2].to_vec();
    expected.sort();
    assert_eq!(front, expected);
    assert_eq!(h.claim_ids(worker, 2).await, ids[2..]);
}

/// L2. A job that takes every worker down with it is dead after its attempts.
pub(crate) async fn a_job_that_kills_its_workers_runs_out_of_attempts(h: Harness) {
    let id = h
        .enqueue(NewJob {
            attempts_max: 2,
            ..h.job()
        })
        .await;
    for attempt in 1..=2 {
        let worker = h.worker().await;
        assert_eq!(h.claim_one(worker).await.lease.token.attempt, attempt);
        h.outlast_lease();
        let swept = h.sweep().await.reclaimed;
        let status = [Status::Queued, Status::Failed][attempt as usize - 1];
        assert_eq!(swept, [(id, status)]);
    }
    let worker = h.worker().await;
    assert!(h.claim(worker, 1).await.is_empty());
    let job = h.get(id).await;
    assert_eq!((job.attempt, job.history.len()), (2, 2));
    assert_eq!(job.error.unwrap().code, "lease_lost");
    assert_eq!(h.stats().await.failed_total, 1);
}

/// L2. However many workers die at once, every job comes back.
pub(crate) async fn many_dead_workers_are_all_swept(h: Harness) {
    let ids = h.enqueue_plain(60).await;
    for _ in 0..30 {
        let worker = h.worker().await;
        assert_eq!(h.claim(worker, 2).await.len(), 2);
    }
    h.outlast_lease();
    assert_eq!(h.sweep().await.reclaimed.len(), ids.len());
    let stats = h.stats().await;
    assert_eq!((stats.queued, stats.running), (60, 0));
}

/// L3. After the sweep, nothing of the loser is written: no settle, no
/// checkpoint, no event.
pub(crate) async fn whoever_lost_a_job_cannot_write_about_it(h: Harness) {
    let (_, lost) = h.running(h.job()).await;
    let id = lost.job.id;
    h.outlast_lease();
    h.sweep().await;
    let before = (h.get(id).await, h.events(id).await, h.stats().await);
    cannot_write(&h, &lost.lease).await;
    let refused = h.settle(&lost, Outcome::Done(Payload::null())).await;
    assert_eq!(refused, Settled::Fenced);
    assert_eq!(h.broker.checkpoints(&id).await.unwrap(), []);
    assert_eq!(
        (h.get(id).await, h.events(id).await, h.stats().await),
        before
    );
}

/// L3. A zombie cannot touch the attempt of the worker that has its job now.
pub(crate) async fn a_zombie_cannot_touch_the_next_attempt(h: Harness) {
    let (_, lost) = h.running(h.job()).await;
    h.outlast_lease();
    h.sweep().await;
    let worker = h.worker().await;
    let next = h.claim_one(worker).await;
    assert_eq!((next.job.id, next.lease.token.attempt), (lost.job.id, 2));
    for outcome in [Outcome::Release, Outcome::Done(Payload::null())] {
        assert_eq!(h.settle(&lost, outcome).await, Settled::Fenced);
    }
    cannot_write(&h, &lost.lease).await;
    assert_eq!(h.get(lost.job.id).await, next.job);
    h.emit(&next, &[note()]).await;
    let result = Payload::parse("\"second\"").unwrap();
    let done = h.settle(&next, Outcome::Done(result.clone())).await;
    assert_eq!(done, Settled::Done);
    assert_eq!(h.get(lost.job.id).await.result, Some(result));
}

/// C1. However often and fast a job is given back or redriven and claimed again
/// by one worker, each claim has a token of its own, and those before it are refused.
pub(crate) async fn no_token_is_given_twice(h: Harness) {
    let (worker, first) = h.running(h.job()).await;
    let id = first.job.id;
    let go_on = WaitReason::Signal("go on".to_owned());
    h.broker
        .signal(&id, "go on", &Payload::null())
        .await
        .unwrap();
    let park = Outcome::Park {
        reason: go_on,
        after: Duration::from_secs(60),
    };
    let failed = Outcome::GiveUp(JobError::permanent("hopeless", "never"));
    let (mut held, mut before) = (first, Vec::new());
    for outcome in [Outcome::Release, park.clone(), failed.clone(), park, failed] {
        let fails = matches!(outcome, Outcome::GiveUp(_));
        assert_eq!(h.settle(&held, outcome).await, Settled::Done);
        if fails {
            let redriven = h.broker.redrive(&id).await.unwrap();
            assert_eq!(redriven, RedriveReply::Queued);
        }
        before.push(std::mem::replace(&mut held, h.claim_one(worker).await));
        assert_eq!((held.job.id, held.lease.token.attempt), (id, 1));
        for old in &before {
            assert_ne!(old.lease.token, held.lease.token);
            cannot_write(&h, &old.lease).await;
        }
        let again = h.settle(&before[0], Outcome::Done(Payload::null())).await;
        assert_eq!(
            again == Settled::Done,
            before.len() == 1,
            "known, or not any more"
        );
        assert_eq!(h.get(id).await, held.job);
    }
    h.settle(&held, Outcome::Done(Payload::null())).await;
    assert_eq!(h.status(id).await, Status::Succeeded);
}

/// L3. A lease over a finished job is over too.
pub(crate) async fn a_settled_job_takes_no_more_writes(h: Harness) {
    let (_, claimed) = h.running(h.job()).await;
    h.settle(&claimed, Outcome::Done(Payload::null())).await;
    cannot_write(&h, &claimed.lease).await;
    assert_eq!(h.event_kinds(claimed.job.id).await, ["succeeded"]);
}

/// L3. A token made up for a queued job, or for no job, is refused.
pub(crate) async fn a_made_up_lease_is_refused(h: Harness) {
    let (worker, mut claimed) = h.running(h.job()).await;
    let queued = h.enqueue(h.job()).await;
    h.extend(worker).await.unwrap();
    for id in [queued, h.job().id] {
        claimed.lease.job = id;
        cannot_write(&h, &claimed.lease).await;
        let refused = h.settle(&claimed, Outcome::Done(Payload::null())).await;
        assert_eq!(refused, Settled::Fenced);
    }
    assert_eq!(h.status(queued).await, Status::Queued);
}

/// C1. Of a sweep and a settle at the same time, exactly one decides.
pub(crate) async fn a_sweep_and_a_settle_at_once_agree(h: Harness) {
    for _ in 0..20 {
        let (_, claimed) = h.running(h.job()).await;
        h.outlast_lease();
        let (swept, settled) = tokio::join!(
            h.sweep(),
            h.settle(&claimed, Outcome::Done(Payload::null()))
        );
        let status = h.status(claimed.job.id).await;
        match settled {
            Settled::Done => assert_eq!((swept.reclaimed, status), (vec![], Status::Succeeded)),
            Settled::Fenced => {
                assert_eq!(swept.reclaimed, [(claimed.job.id, Status::Queued)]);
                assert_eq!(status, Status::Queued);
                h.broker.cancel(&claimed.job.id).await.unwrap();
            }
        }
        let stats = h.stats().await;
        assert_eq!((stats.queued, stats.running), (0, 0));
    }
}

/// R1. When a process dies, another one sweeps up after it and its jobs run again.
pub(crate) async fn another_process_takes_over_the_jobs_of_a_dead_one(h: Harness) {
    let (_, lost) = h.running(h.job()).await;
    h.checkpoint(&lost, &plan(), &[]).await;
    let Some(other) = h.reopen().await else {
        return;
    };
    let h = h.decorated(|_| other);
    h.outlast_lease();
    h.sweep().await;
    let worker = h.worker().await;
    let next = h.claim_one(worker).await;
    assert_eq!((next.job.id, next.lease.token.attempt), (lost.job.id, 2));
    assert_eq!(h.broker.checkpoints(&next.job.id).await.unwrap(), [plan()]);
    let done = h.settle(&next, Outcome::Done(Payload::null())).await;
    assert_eq!(done, Settled::Done);
}
