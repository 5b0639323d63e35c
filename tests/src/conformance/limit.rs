//! How many jobs a queue gives: at once, per time, and to whom.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lovage_core::broker::{Claim, Enqueued, Settled};
use lovage_core::clock;
use lovage_core::id::{JobId, QueueName, Tenant, WorkerId};
use lovage_core::job::NewJob;
use lovage_core::outcome::Outcome;
use lovage_core::queue::{QueueLimits, Rate, Weight};
use lovage_core::status::{Status, WaitReason};

use crate::harness::Harness;

/// One job every 100 ms, three at once after a pause.
const RATE: Rate = Rate {
    jobs: 10,
    per_ms: 1_000,
    burst: 3,
};
const INTERVAL: Duration = Duration::from_millis(100);
const BEFORE: Duration = Duration::from_millis(1);

fn at_once(jobs: u32) -> QueueLimits {
    QueueLimits {
        concurrency: Some(jobs),
        ..QueueLimits::default()
    }
}

fn per_time(rate: Rate) -> QueueLimits {
    QueueLimits {
        rate: Some(rate),
        ..QueueLimits::default()
    }
}

fn weighted(weights: &[(&str, u8)]) -> QueueLimits {
    let weights = weights.iter().map(|(tenant, weight)| {
        let weight = Weight::try_from(*weight).unwrap();
        (tenant.parse().unwrap(), weight)
    });
    QueueLimits {
        weights: weights.collect(),
        ..QueueLimits::default()
    }
}

async fn enqueue_for(h: &Harness, tenant: &str, count: usize) {
    let tenant: Tenant = tenant.parse().unwrap();
    let job = || NewJob {
        tenant: tenant.clone(),
        ..h.job()
    };
    h.enqueue_all((0..count).map(|_| job()).collect()).await;
}

/// Whose jobs the next `count` claims of one job give.
async fn turns(h: &Harness, worker: WorkerId, count: usize) -> Vec<String> {
    let mut turns = Vec::new();
    for _ in 0..count {
        let claimed = h.claim_one(worker).await;
        turns.push(claimed.job.tenant.to_string());
    }
    turns
}

fn counted(turns: &[String]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for tenant in turns {
        *counts.entry(tenant.as_str()).or_default() += 1;
    }
    counts
}

/// C3. Lanes of one priority share by weight: of those furthest behind, the
/// first tenant by name goes first.
pub(crate) async fn lanes_share_by_weight(h: Harness) {
    h.limit(weighted(&[("a", 2)])).await;
    enqueue_for(&h, "a", 10).await;
    enqueue_for(&h, "b", 10).await;
    let worker = h.worker().await;
    let order = turns(&h, worker, 9).await;
    assert_eq!(order, ["a", "b", "a", "a", "b", "a", "a", "b", "a"]);
}

/// C3. One claim of many shares by weight as many claims of one do.
pub(crate) async fn one_claim_shares_by_weight(h: Harness) {
    h.limit(weighted(&[("a", 3), ("b", 1)])).await;
    enqueue_for(&h, "a", 30).await;
    enqueue_for(&h, "b", 30).await;
    let worker = h.worker().await;
    let claimed = h.claim(worker, 16).await;
    let tenants: Vec<String> = claimed
        .iter()
        .map(|claimed| claimed.job.tenant.to_string())
        .collect();
    assert_eq!(counted(&tenants), BTreeMap::from([("a", 12), ("b", 4)]));
}

/// C3. The least weight beside the largest gets its hundredth and no less.
pub(crate) async fn a_light_tenant_is_not_starved(h: Harness) {
    h.limit(weighted(&[("heavy", Weight::MAX), ("light", 1)]))
        .await;
    enqueue_for(&h, "heavy", 300).await;
    enqueue_for(&h, "light", 5).await;
    let worker = h.worker().await;
    let order = turns(&h, worker, 202).await;
    let counts = counted(&order);
    assert_eq!(counts, BTreeMap::from([("heavy", 200), ("light", 2)]));
}

/// C3. New weights hold from now on, also for lanes that stand already.
pub(crate) async fn new_weights_hold_from_now_on(h: Harness) {
    enqueue_for(&h, "a", 40).await;
    enqueue_for(&h, "b", 40).await;
    let worker = h.worker().await;
    let order = turns(&h, worker, 8).await;
    assert_eq!(counted(&order), BTreeMap::from([("a", 4), ("b", 4)]));
    h.limit(weighted(&[("b", 4)])).await;
    let order = turns(&h, worker, 20).await;
    assert_eq!(counted(&order), BTreeMap::from([("a", 4), ("b", 16)]));
    h.limit(QueueLimits::default()).await;
    let order = turns(&h, worker, 8).await;
    assert_eq!(counted(&order), BTreeMap::from([("a", 4), ("b", 4)]));
}

/// C6. A queue runs as many jobs at once as its limit says, over all its
/// workers, and each that ends lets another begin.
pub(crate) async fn a_queue_runs_no_more_at_once_than_its_limit(h: Harness) {
    h.enqueue_plain(10).await;
    h.limit(at_once(3)).await;
    let (one, other) = (h.worker().await, h.worker().await);
    let mut held = h.claim(one, 2).await;
    held.extend(h.claim(other, 10).await);
    assert_eq!(held.len(), 3);
    assert!(h.claim(one, 10).await.is_empty());
    for _ in 0..7 {
        h.finish(&held.remove(0)).await;
        let more = h.claim(other, 10).await;
        assert_eq!(more.len(), 1);
        held.extend(more);
        assert_eq!(h.stats().await.running, 3);
    }
    assert_eq!(h.stats().await.queued, 0);
}

/// C6. However an attempt ends, its place is free.
pub(crate) async fn every_end_of_an_attempt_frees_its_place(h: Harness) {
    h.limit(at_once(1)).await;
    let jobs = h.enqueue_plain(4).await;
    let worker = h.worker().await;
    let first = h.claim_one(worker).await;
    h.settle(&first, Outcome::Release).await;
    let first = h.claim_one(worker).await;
    h.park(&first, WaitReason::Limit).await;
    let second = h.claim_one(worker).await;
    h.broker.cancel(&second.job.id).await.unwrap();
    assert!(h.claim(worker, 1).await.is_empty());
    h.advance(h.lease - BEFORE);
    h.extend(worker).await.unwrap();
    h.advance(BEFORE * 2);
    assert_eq!(h.sweep().await.cancelled, [jobs[1]]);
    h.claim_one(worker).await;
    h.outlast_lease();
    h.sweep().await;
    let worker = h.worker().await;
    assert_eq!(h.claim_ids(worker, 10).await, [jobs[2]]);
}

/// C6. A limit below what runs stops nothing that runs; a limit of none gives nothing.
pub(crate) async fn a_lower_limit_lets_running_jobs_go_on(h: Harness) {
    h.enqueue_plain(6).await;
    let worker = h.worker().await;
    let mut held = h.claim(worker, 4).await;
    h.limit(at_once(2)).await;
    for _ in 0..2 {
        h.finish(&held.remove(0)).await;
        assert!(h.claim(worker, 10).await.is_empty());
    }
    h.finish(&held.remove(0)).await;
    assert_eq!(h.claim(worker, 10).await.len(), 1);
    h.limit(at_once(0)).await;
    h.finish(&held.remove(0)).await;
    assert!(h.claim(worker, 10).await.is_empty());
    h.limit(QueueLimits::default()).await;
    assert_eq!(h.claim(worker, 10).await.len(), 1);
    assert_eq!(h.stats().await.running, 2);
}

/// C6. Claims at the same time, of many workers, get no more together.
pub(crate) async fn concurrent_claims_stay_within_the_limits(h: Harness) {
    h.enqueue_plain(40).await;
    let limits = QueueLimits {
        rate: Some(Rate { burst: 12, ..RATE }),
        ..at_once(7)
    };
    h.limit(limits).await;
    let h = Arc::new(h);
    for expected in [7, 5] {
        let mut claims = Vec::new();
        for _ in 0..6 {
            let (h, worker) = (Arc::clone(&h), h.worker().await);
            claims.push(tokio::spawn(async move { h.claim(worker, 5).await }));
        }
        let mut held = Vec::new();
        for claim in claims {
            held.extend(claim.await.unwrap());
        }
        assert_eq!(held.len(), expected);
        for claimed in held {
            h.finish(&claimed).await;
        }
    }
}

/// C6. After a burst a queue starts one job per interval, and saves up no
/// more than a burst.
pub(crate) async fn a_queue_starts_no_more_per_time_than_its_rate(h: Harness) {
    h.enqueue_plain(20).await;
    h.limit(per_time(RATE)).await;
    let (one, other) = (h.worker().await, h.worker().await);
    assert_eq!(h.claim(one, 2).await.len(), 2);
    assert_eq!(h.claim(other, 10).await.len(), 1);
    for _ in 0..5 {
        h.advance(INTERVAL - BEFORE);
        assert!(h.claim(one, 10).await.is_empty());
        h.advance(BEFORE);
        assert_eq!(h.claim(other, 10).await.len(), 1);
    }
    h.advance(INTERVAL * 30);
    assert_eq!(h.claim(one, 10).await.len(), 3);
    assert!(h.claim(one, 10).await.is_empty());
    h.advance(INTERVAL * 2);
    assert_eq!(h.claim(one, 10).await.len(), 2);
}

/// C6. Every start counts for the rate, also that of a job queued again.
pub(crate) async fn a_job_started_again_counts_again(h: Harness) {
    h.limit(per_time(RATE)).await;
    h.enqueue(h.job()).await;
    let worker = h.worker().await;
    for _ in 0..3 {
        let claimed = h.claim_one(worker).await;
        h.settle(&claimed, Outcome::Release).await;
    }
    assert!(h.claim(worker, 1).await.is_empty());
    h.advance(INTERVAL);
    h.claim_one(worker).await;
}

/// C6. A claim says when the rate lets go the next job, unless another is due
/// before; and nothing when no job is queued or the rate is not what holds it.
pub(crate) async fn a_claim_says_when_the_rate_allows_the_next(h: Harness) {
    h.limit(per_time(RATE)).await;
    h.enqueue_plain(4).await;
    let worker = h.worker().await;
    let next = async |want| h.claims(worker, want).await.unwrap().next_due;
    assert_eq!(next(2).await, None);
    assert_eq!(next(10).await, Some(INTERVAL));
    h.advance(INTERVAL / 4);
    assert_eq!(next(10).await, Some(INTERVAL * 3 / 4));
    let run_at = Some(clock::after(h.now(), INTERVAL / 2));
    h.enqueue(NewJob { run_at, ..h.job() }).await;
    assert_eq!(next(10).await, Some(INTERVAL / 2));
    h.advance(INTERVAL);
    assert_eq!(next(10).await, Some(INTERVAL * 3 / 4));
    h.advance(INTERVAL);
    assert_eq!(next(10).await, None);
    assert_eq!(h.stats().await.running, 5);
}

/// C6. A worker of a queue that is full is not told to come back at once.
pub(crate) async fn a_full_queue_names_no_time(h: Harness) {
    let limits = QueueLimits {
        rate: Some(RATE),
        ..at_once(1)
    };
    h.limit(limits).await;
    h.enqueue_plain(3).await;
    let worker = h.worker().await;
    assert_eq!(h.claims(worker, 10).await.unwrap().next_due, None);
    assert_eq!(h.claims(worker, 10).await.unwrap().next_due, None);
    assert_eq!(h.stats().await.running, 1);
}

/// C6. Another rate starts anew; the same one sent again changes nothing.
pub(crate) async fn only_another_rate_starts_anew(h: Harness) {
    h.enqueue_plain(20).await;
    h.limit(per_time(RATE)).await;
    let worker = h.worker().await;
    assert_eq!(h.claim(worker, 10).await.len(), 3);
    h.limit(per_time(RATE)).await;
    assert!(h.claim(worker, 10).await.is_empty());
    let more = QueueLimits {
        concurrency: Some(100),
        ..per_time(RATE)
    };
    h.limit(more).await;
    assert!(h.claim(worker, 10).await.is_empty());
    h.limit(per_time(Rate { burst: 4, ..RATE })).await;
    assert_eq!(h.claim(worker, 10).await.len(), 4);
    h.limit(QueueLimits::default()).await;
    h.limit(per_time(RATE)).await;
    assert_eq!(h.claim(worker, 10).await.len(), 3);
}

/// C6. Limits are shown, and another process and a restarted one keep to them.
pub(crate) async fn limits_last_over_restarts(h: Harness) {
    h.enqueue_plain(10).await;
    let limits = QueueLimits {
        concurrency: Some(4),
        rate: Some(RATE),
        ..weighted(&[("a", 2), ("studio-1", Weight::MAX)])
    };
    h.limit(limits.clone()).await;
    let worker = h.worker().await;
    assert_eq!(h.claim(worker, 2).await.len(), 2);
    let Some(other) = h.reopen().await else {
        return;
    };
    let h = h.decorated(|_| other);
    assert_eq!(h.stats().await.limits, limits);
    assert_eq!(h.claim(worker, 10).await.len(), 1);
    h.advance(INTERVAL * 10);
    h.extend(worker).await.unwrap();
    assert_eq!(h.claim(worker, 10).await.len(), 1);
    h.limit(QueueLimits::default()).await;
    assert_eq!(h.stats().await.limits, QueueLimits::default());
}

/// C6. The limits of one queue are no other's.
pub(crate) async fn limits_belong_to_one_queue(h: Harness) {
    h.limit(at_once(0)).await;
    let queue: QueueName = "films".parse().unwrap();
    let film = NewJob {
        queue: queue.clone(),
        ..h.job()
    };
    let film = h.enqueue(film).await;
    let plain = h.enqueue(h.job()).await;
    let worker = h.worker_of(&queue).await;
    let ask = Claim {
        worker,
        queue,
        want: 5,
    };
    let claims = h.broker.claim(&ask).await.unwrap();
    assert_eq!(claims.claimed.len(), 1);
    assert_eq!(claims.claimed[0].job.id, film);
    assert_eq!(h.status(plain).await, Status::Queued);
}

/// C6. A place that becomes free wakes a waiting worker: by settle, by a
/// sweep, and by a higher limit.
pub(crate) async fn a_freed_place_wakes_a_waiting_worker(h: Harness) {
    h.limit(at_once(1)).await;
    h.enqueue_plain(4).await;
    let holder = h.worker().await;
    let claimed = h.claim_one(holder).await;
    let waiting = h.worker().await;
    h.stays_quiet(waiting).await;
    h.woken_by(waiting, async { h.finish(&claimed).await })
        .await;
    h.claim_one(waiting).await;
    h.outlast_lease();
    let waiting = h.worker().await;
    h.stays_quiet(waiting).await;
    h.woken_by(waiting, async {
        h.sweep().await;
    })
    .await;
    h.claim_one(waiting).await;
    h.stays_quiet(waiting).await;
    h.woken_by(waiting, async { h.limit(at_once(2)).await })
        .await;
    h.claim_one(waiting).await;
}

/// C6. A worker is not woken over and over for jobs that limits hold back.
pub(crate) async fn jobs_held_back_wake_nobody(h: Harness) {
    h.enqueue_plain(5).await;
    h.limit(per_time(Rate { burst: 1, ..RATE })).await;
    let worker = h.worker().await;
    h.claim_one(worker).await;
    h.stays_quiet(worker).await;
    h.limit(at_once(1)).await;
    h.stays_quiet(worker).await;
}

/// C6. What a limit holds back waits in its lane and can be cancelled there.
pub(crate) async fn jobs_held_back_keep_their_order(h: Harness) {
    let ids = h.enqueue_plain(5).await;
    h.limit(at_once(1)).await;
    let worker = h.worker().await;
    let first = h.claim_one(worker).await;
    h.broker.cancel(&ids[2]).await.unwrap();
    h.finish(&first).await;
    h.limit(QueueLimits::default()).await;
    assert_eq!(h.claim_ids(worker, 10).await, [ids[1], ids[3], ids[4]]);
}

/// C4. A paused queue gives nothing, whatever its limits, and keeps them.
pub(crate) async fn a_paused_queue_keeps_its_limits(h: Harness) {
    let queue = QueueName::default();
    h.limit(at_once(2)).await;
    h.enqueue_plain(3).await;
    h.broker.pause(&queue, true).await.unwrap();
    let worker = h.worker().await;
    assert!(h.claim(worker, 10).await.is_empty());
    let stats = h.stats().await;
    assert_eq!((stats.paused, stats.limits), (true, at_once(2)));
    h.broker.pause(&queue, false).await.unwrap();
    assert_eq!(h.claim(worker, 10).await.len(), 2);
}

/// C6. A queue with as many jobs waiting as its limits allow refuses more, each
/// for itself, until one is started or ends; what it has goes on.
pub(crate) async fn a_queue_takes_no_more_than_its_length(h: Harness) {
    let limits = QueueLimits {
        length: Some(3),
        ..QueueLimits::default()
    };
    h.limit(limits.clone()).await;
    let later = NewJob {
        run_at: Some(clock::after(h.now(), Duration::from_secs(60))),
        ..h.job()
    };
    let jobs = vec![later, h.job(), h.job(), h.job()];
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    let kept = jobs.clone();
    let answers = h.enqueue_all(jobs).await;
    let taken = |id: &JobId| Enqueued::Accepted(*id);
    assert_eq!(answers[..3], ids[..3].iter().map(taken).collect::<Vec<_>>());
    assert_eq!(answers[3], Enqueued::QueueFull);
    assert!(h.broker.get(&ids[3]).await.unwrap().is_none());
    // Sent again, those that were taken still are.
    assert_eq!(h.enqueue_all(kept).await, answers);
    let all = h.broker.enqueue(vec![h.job()], true).await.unwrap();
    assert_eq!(all, [Enqueued::QueueFull]);
    let worker = h.worker().await;
    let running = h.claim_one(worker).await;
    h.enqueue(h.job()).await;
    let full = h.enqueue_all(vec![h.job()]).await;
    assert_eq!(full, [Enqueued::QueueFull]);
    // A job that goes back to its lane and children are not new.
    h.spawn(&running, "more", vec![h.job(), h.job()]).await;
    assert_eq!(h.settle(&running, Outcome::Release).await, Settled::Done);
    assert_eq!(h.stats().await.queued, 5);
    assert_eq!(h.stats().await.limits, limits);
}
