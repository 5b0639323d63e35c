//! What a worker is given, and in which order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lovage_core::broker::{Claim, Wake};
use lovage_core::clock;
use lovage_core::error::BrokerError;
use lovage_core::id::{JobId, QueueName, Tenant, WorkerId};
use lovage_core::job::NewJob;
use lovage_core::lifecycle;
use lovage_core::limits;
use lovage_core::outcome::Outcome;
use lovage_core::payload::Payload;
use lovage_core::status::Status;

use crate::harness::{Harness, MOMENT};

const DELAY: Duration = Duration::from_secs(5);

fn delayed(h: &Harness, by: Duration) -> NewJob {
    NewJob {
        run_at: Some(clock::after(h.now(), by)),
        ..h.job()
    }
}

fn of_tenant(h: &Harness, tenant: &str) -> NewJob {
    NewJob {
        tenant: tenant.parse().unwrap(),
        ..h.job()
    }
}

async fn enqueue_for(h: &Harness, tenant: &str, count: usize) {
    let jobs = (0..count).map(|_| of_tenant(h, tenant)).collect();
    h.enqueue_all(jobs).await;
}

/// How many of the next `want` jobs each tenant gets, claimed `step` at a time.
async fn shares(
    h: &Harness,
    worker: WorkerId,
    want: usize,
    step: usize,
) -> BTreeMap<Tenant, usize> {
    let mut shares = BTreeMap::new();
    for _ in 0..want / step {
        for claimed in h.claim(worker, step).await {
            *shares.entry(claimed.job.asked.tenant).or_default() += 1;
        }
    }
    shares
}

fn share(shares: &BTreeMap<Tenant, usize>, tenant: &str) -> usize {
    let tenant: Tenant = tenant.parse().unwrap();
    shares.get(&tenant).copied().unwrap_or(0)
}

/// C1. A claimed job is running under its worker's first attempt, and its
/// token names all three.
pub(crate) async fn a_claimed_job_is_running_under_its_token(h: Harness) {
    let (worker, claimed) = h.running(h.job()).await;
    let (job, token) = (&claimed.job, claimed.lease.token);
    assert_eq!((token.worker, token.attempt), (worker, 1));
    assert_eq!(token.claimed_at, h.now());
    assert_eq!(
        (&claimed.lease.job, &claimed.lease.queue),
        (&job.id, &job.queue)
    );
    assert_eq!(*job, lifecycle::claim(job, &token));
    assert_eq!(h.get(job.id).await, *job);
    assert_eq!(h.stats().await.running, 1);
}

/// C1. Eight workers that drain a queue together get every job exactly once.
pub(crate) async fn concurrent_workers_get_every_job_exactly_once(h: Harness) {
    const JOBS: usize = 500;
    let ids = h.enqueue_plain(JOBS).await;
    let h = Arc::new(h);
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let h = Arc::clone(&h);
        workers.spawn(async move {
            let worker = h.worker().await;
            let mut done = Vec::new();
            loop {
                let claimed = h.claim(worker, 3).await;
                if claimed.is_empty() {
                    return done;
                }
                let outcome = Outcome::Done(Payload::null());
                let settles: Vec<_> = claimed.iter().map(|one| h.ended(one, &outcome)).collect();
                h.broker.settle(&settles).await.unwrap();
                done.extend(claimed.iter().map(|one| one.job.id));
            }
        });
    }
    let done: Vec<JobId> = workers.join_all().await.concat();
    assert_eq!(done.len(), JOBS);
    assert_eq!(BTreeSet::from_iter(done), BTreeSet::from_iter(ids));
    let stats = h.stats().await;
    assert_eq!(stats.succeeded_total, JOBS as u64);
    assert_eq!((stats.queued, stats.running), (0, 0));
}

/// C1. A worker is told all it holds, also what a lost answer gave it.
pub(crate) async fn a_worker_can_ask_what_it_holds(h: Harness) {
    h.enqueue_plain(4).await;
    let (worker, other) = (h.worker().await, h.worker().await);
    let mut given = h.claim(worker, 3).await;
    h.claim_one(other).await;
    h.settle(&given.remove(0), Outcome::Done(Payload::null()))
        .await;
    let queue = QueueName::default();
    let mut held = h.broker.held(&queue, &worker).await.unwrap();
    held.sort_by_key(|held| held.job.id);
    given.sort_by_key(|given| given.job.id);
    assert_eq!(held, given);
    h.outlast_lease();
    h.sweep().await;
    let lost = h.broker.held(&queue, &worker).await;
    assert!(matches!(lost, Err(BrokerError::WorkerUnknown)));
}

/// C2. Jobs of one lane are given in the order they came, also those of one millisecond.
pub(crate) async fn a_lane_is_first_in_first_out(h: Harness) {
    let mut ids = h.enqueue_plain(5).await;
    for _ in 0..5 {
        ids.push(h.enqueue(h.job()).await);
    }
    let worker = h.worker().await;
    let mut given = h.claim_ids(worker, 3).await;
    given.extend(h.claim_ids(worker, 100).await);
    assert_eq!(given, ids);
}

/// C2. Each of several claims at once gets jobs in their order.
pub(crate) async fn concurrent_claims_keep_the_order_of_the_lane(h: Harness) {
    let ids = h.enqueue_plain(100).await;
    let workers = [h.worker().await, h.worker().await, h.worker().await];
    let mut order: BTreeMap<JobId, usize> = BTreeMap::new();
    order.extend(ids.iter().enumerate().map(|(place, id)| (*id, place)));
    for _ in 0..5 {
        let [a, b, c] = workers.map(|worker| h.claim_ids(worker, 4));
        for given in <[_; 3]>::from(tokio::join!(a, b, c)) {
            let places: Vec<usize> = given.iter().map(|id| order[id]).collect();
            assert!(places.is_sorted(), "{places:?}");
        }
    }
    let worker = workers[0];
    assert_eq!(h.claim_ids(worker, 100).await, ids[60..]);
}

/// C2. Due jobs join the back of their lane in the order of their times.
pub(crate) async fn due_jobs_join_the_lane_in_order_of_time(h: Harness) {
    let mut in_time = [h.job().id; 5];
    for place in [3_usize, 1, 4, 0, 2] {
        let by = DELAY + Duration::from_millis(place as u64);
        in_time[place] = h.enqueue(delayed(&h, by)).await;
    }
    let queued = h.enqueue(h.job()).await;
    let worker = h.worker().await;
    h.advance(DELAY * 2);
    assert_eq!(h.claim_ids(worker, 1).await, [queued]);
    assert_eq!(h.claim_ids(worker, 10).await, in_time);
}

/// C3. More urgent jobs go first, whenever they came.
pub(crate) async fn a_higher_priority_is_claimed_first(h: Harness) {
    let mut ids = Vec::new();
    for priority in [5_u8, 0, 9, 5, 1] {
        let priority = priority.try_into().unwrap();
        ids.push(
            h.enqueue(NewJob {
                priority,
                ..h.job()
            })
            .await,
        );
    }
    let worker = h.worker().await;
    let mut given = h.claim_ids(worker, 2).await;
    given.extend(h.claim_ids(worker, 10).await);
    assert_eq!(given, [ids[2], ids[0], ids[3], ids[4], ids[1]]);
}

/// C3. A priority beats any imbalance between tenants.
pub(crate) async fn a_higher_priority_goes_before_a_tenants_share(h: Harness) {
    enqueue_for(&h, "busy", 40).await;
    enqueue_for(&h, "calm", 40).await;
    let worker = h.worker().await;
    h.claim(worker, 30).await;
    let urgent: Vec<NewJob> = (0..20)
        .map(|_| NewJob {
            priority: 6.try_into().unwrap(),
            ..of_tenant(&h, "busy")
        })
        .collect();
    let ids: Vec<JobId> = urgent.iter().map(|job| job.id).collect();
    h.enqueue_all(urgent).await;
    assert_eq!(h.claim_ids(worker, 20).await, ids);
}

/// C3. One claim of many takes about as much from each tenant.
pub(crate) async fn one_claim_shares_between_tenants(h: Harness) {
    for tenant in ["a", "b", "c"] {
        enqueue_for(&h, tenant, 30).await;
    }
    let worker = h.worker().await;
    let shares = shares(&h, worker, 30, 30).await;
    for tenant in ["a", "b", "c"] {
        let share = share(&shares, tenant);
        assert!((8..=12).contains(&share), "{tenant} got {share} of 30");
    }
}

/// C3. Many claims of one take about as much from each tenant.
pub(crate) async fn many_claims_share_between_tenants(h: Harness) {
    for tenant in ["a", "b", "c"] {
        enqueue_for(&h, tenant, 12).await;
    }
    let worker = h.worker().await;
    let shares = shares(&h, worker, 18, 1).await;
    for tenant in ["a", "b", "c"] {
        let share = share(&shares, tenant);
        assert!((5..=7).contains(&share), "{tenant} got {share} of 18");
    }
}

/// C3. Who comes late to a long lane gets its share at once, and no more.
pub(crate) async fn a_late_tenant_is_not_starved_and_does_not_starve(h: Harness) {
    enqueue_for(&h, "first", 100).await;
    let worker = h.worker().await;
    shares(&h, worker, 30, 1).await;
    enqueue_for(&h, "late", 50).await;
    let shares = shares(&h, worker, 20, 1).await;
    let late = share(&shares, "late");
    assert!((8..=12).contains(&late), "the late tenant got {late} of 20");
}

/// C3. Inside a tenant's share the order holds.
pub(crate) async fn a_tenants_jobs_keep_their_order_inside_its_share(h: Harness) {
    let mut ids: BTreeMap<Tenant, Vec<JobId>> = BTreeMap::new();
    for tenant in ["a", "b", "a", "a", "b", "b"] {
        let job = of_tenant(&h, tenant);
        let jobs = ids.entry(job.tenant.clone()).or_default();
        jobs.push(h.enqueue(job).await);
    }
    let worker = h.worker().await;
    let mut given: BTreeMap<Tenant, Vec<JobId>> = BTreeMap::new();
    for claimed in h.claim(worker, 6).await {
        given
            .entry(claimed.job.asked.tenant.clone())
            .or_default()
            .push(claimed.job.id);
    }
    assert_eq!(given, ids);
}

/// C4. A paused queue gives nothing, takes jobs, and gives them when resumed.
pub(crate) async fn a_paused_queue_gives_nothing_and_loses_nothing(h: Harness) {
    let queue = QueueName::default();
    let mut ids = h.enqueue_plain(2).await;
    let worker = h.worker().await;
    h.broker.pause(&queue, true).await.unwrap();
    ids.extend(h.enqueue_plain(2).await);
    assert!(h.claim(worker, 10).await.is_empty());
    let stats = h.stats().await;
    assert!(stats.paused);
    assert_eq!(stats.queued, 4);
    h.broker.pause(&queue, false).await.unwrap();
    assert!(!h.stats().await.paused);
    assert_eq!(h.claim_ids(worker, 10).await, ids);
}

/// C4. What runs when a queue is paused can still settle.
pub(crate) async fn a_paused_queue_lets_running_jobs_end(h: Harness) {
    let (_, claimed) = h.running(h.job()).await;
    let queue = QueueName::default();
    h.broker.pause(&queue, true).await.unwrap();
    h.settle(&claimed, Outcome::Done(Payload::null())).await;
    assert_eq!(h.status(claimed.job.id).await, Status::Succeeded);
}

/// C4. Another process, and a restarted one, finds the queue paused.
pub(crate) async fn a_pause_lasts_over_restarts(h: Harness) {
    h.enqueue_plain(1).await;
    let queue = QueueName::default();
    h.broker.pause(&queue, true).await.unwrap();
    let Some(other) = h.reopen().await else {
        return;
    };
    let worker = WorkerId::at(h.now());
    other.register(&queue, &worker).await.unwrap();
    let ask = Claim {
        worker,
        queue,
        want: 1,
    };
    assert!(other.claim(&ask).await.unwrap().claimed.is_empty());
}

/// C4. Pausing one queue leaves the others alone.
pub(crate) async fn a_claim_gives_jobs_of_its_own_queue_only(h: Harness) {
    let queue: QueueName = "films".parse().unwrap();
    let film = h
        .enqueue(NewJob {
            queue: queue.clone(),
            ..h.job()
        })
        .await;
    let plain = h.enqueue(h.job()).await;
    h.broker.pause(&QueueName::default(), true).await.unwrap();
    let worker = h.worker_of(&queue).await;
    let ask = Claim {
        worker,
        queue,
        want: 10,
    };
    let claims = h.broker.claim(&ask).await.unwrap();
    assert_eq!(claims.claimed.len(), 1);
    assert_eq!(claims.claimed[0].job.id, film);
    assert_eq!(h.status(plain).await, Status::Queued);
}

/// C5. A claim gives what was asked for and no more; nothing when nothing was.
pub(crate) async fn a_claim_never_gives_more_than_was_asked_for(h: Harness) {
    h.enqueue_plain(10).await;
    let worker = h.worker().await;
    assert_eq!(h.claim(worker, 0).await.len(), 0);
    assert_eq!(h.claim(worker, 4).await.len(), 4);
    assert_eq!(h.claim(worker, 100).await.len(), 6);
    assert_eq!(h.claim(worker, 1).await.len(), 0);
}

/// C5. However much is asked for, one claim is bounded.
pub(crate) async fn a_claim_is_bounded(h: Harness) {
    h.enqueue_plain(limits::BATCH_MAX + 10).await;
    let worker = h.worker().await;
    let first = h.claim(worker, 10_000).await.len();
    assert!((1..=limits::BATCH_MAX).contains(&first), "{first}");
    let mut all = first;
    for _ in 0..20 {
        all += h.claim(worker, 10_000).await.len();
    }
    assert_eq!(all, limits::BATCH_MAX + 10);
}

/// L2. Who never registered gets nothing, and is told why.
pub(crate) async fn an_unknown_worker_gets_nothing(h: Harness) {
    let id = h.enqueue(h.job()).await;
    let stranger = WorkerId::at(h.now());
    let refused = h.claims(stranger, 1).await;
    assert!(matches!(refused, Err(BrokerError::WorkerUnknown)));
    let elsewhere = h.worker_of(&"other".parse().unwrap()).await;
    let refused = h.claims(elsewhere, 1).await;
    assert!(matches!(refused, Err(BrokerError::WorkerUnknown)));
    assert_eq!(h.status(id).await, Status::Queued);
}

/// P1. A job is not given before its time, and is given at it.
pub(crate) async fn a_delayed_job_is_given_at_its_time(h: Harness) {
    let id = h.enqueue(delayed(&h, DELAY)).await;
    let worker = h.worker().await;
    assert_eq!(h.status(id).await, Status::Scheduled);
    h.advance(DELAY - Duration::from_millis(1));
    assert!(h.claim(worker, 1).await.is_empty());
    assert_eq!(h.stats().await.scheduled, 1);
    h.advance(Duration::from_millis(1));
    assert_eq!(h.claim_ids(worker, 1).await, [id]);
    let stats = h.stats().await;
    assert_eq!((stats.scheduled, stats.running), (0, 1));
}

/// P1. A claim says when the next job is due; nothing when none waits.
pub(crate) async fn a_claim_says_when_the_next_job_is_due(h: Harness) {
    let worker = h.worker().await;
    assert_eq!(h.claims(worker, 1).await.unwrap().next_due, None);
    h.enqueue(delayed(&h, DELAY * 2)).await;
    h.enqueue(delayed(&h, DELAY)).await;
    h.enqueue(h.job()).await;
    h.advance(Duration::from_secs(1));
    let claims = h.claims(worker, 10).await.unwrap();
    assert_eq!(claims.claimed.len(), 1);
    assert_eq!(claims.next_due, Some(DELAY - Duration::from_secs(1)));
}

/// P1. More due jobs than one claim promotes are all promoted by later claims.
pub(crate) async fn any_number_of_due_jobs_is_promoted_in_time(h: Harness) {
    let count = limits::PROMOTE_MAX * 2 + 10;
    let jobs = (0..count).map(|_| delayed(&h, DELAY)).collect();
    h.enqueue_all(jobs).await;
    h.advance(DELAY);
    let worker = h.worker().await;
    let mut given = BTreeSet::new();
    for _ in 0..20 {
        given.extend(h.claim_ids(worker, limits::BATCH_MAX).await);
    }
    assert_eq!(given.len(), count);
}

/// S3. A job past its `expires_at` is not given; it ends cancelled, saying so.
pub(crate) async fn an_expired_job_is_not_given(h: Harness) {
    let expires_at = Some(clock::after(h.now(), DELAY));
    let late = h
        .enqueue(NewJob {
            expires_at,
            ..h.job()
        })
        .await;
    let fine = h.enqueue(h.job()).await;
    let worker = h.worker().await;
    h.advance(DELAY);
    let mut given = Vec::new();
    for _ in 0..3 {
        given.extend(h.claim_ids(worker, 1).await);
    }
    assert_eq!(given, [fine]);
    let job = h.get(late).await;
    assert_eq!(job.status, Status::Cancelled);
    assert_eq!(job.error.unwrap().code, "expired");
    let stats = h.stats().await;
    assert_eq!((stats.queued, stats.running), (0, 1));
    assert_eq!(stats.cancelled_total, 1);
}

/// S3. A job claimed before its `expires_at` may run past it.
pub(crate) async fn a_job_started_in_time_may_end_late(h: Harness) {
    let expires_at = Some(clock::after(h.now(), DELAY));
    let (worker, claimed) = h
        .running(NewJob {
            expires_at,
            ..h.job()
        })
        .await;
    h.advance(DELAY * 2);
    h.extend(worker).await.unwrap();
    h.settle(&claimed, Outcome::Done(Payload::null())).await;
    assert_eq!(h.status(claimed.job.id).await, Status::Succeeded);
}

/// C5. A waiting worker is woken by an enqueue, and finds the job.
pub(crate) async fn an_enqueue_wakes_a_waiting_worker(h: Harness) {
    let worker = h.worker().await;
    for _ in 0..10 {
        h.woken_by(worker, async {
            h.enqueue(h.job()).await;
        })
        .await;
        assert_eq!(h.claim(worker, 1).await.len(), 1);
    }
}

/// C5. Work that was there before the wait begins wakes at once.
pub(crate) async fn work_that_is_there_already_wakes_at_once(h: Harness) {
    let worker = h.worker().await;
    h.enqueue(h.job()).await;
    h.woken_by(worker, async {}).await;
}

/// C5. A job handed back, one queued again and a resumed queue wake too.
pub(crate) async fn whatever_makes_work_wakes_a_waiting_worker(h: Harness) {
    let (holder, claimed) = h.running(h.job()).await;
    let worker = h.worker().await;
    h.woken_by(worker, async {
        h.settle(&claimed, Outcome::Release).await;
    })
    .await;
    let claimed = h.claim_one(holder).await;
    h.settle(&claimed, Outcome::Cancelled).await;
    h.woken_by(worker, async {
        h.broker.redrive(&claimed.job.id).await.unwrap();
    })
    .await;
    let queue = QueueName::default();
    h.broker.pause(&queue, true).await.unwrap();
    h.woken_by(worker, async {
        h.broker.pause(&queue, false).await.unwrap();
    })
    .await;
}

/// C5. A worker without a free slot is not woken for work.
pub(crate) async fn a_worker_that_wants_no_work_is_not_woken_for_it(h: Harness) {
    let worker = h.worker().await;
    h.enqueue(h.job()).await;
    let queue = QueueName::default();
    let woken = h.broker.wake(&queue, &worker, false, MOMENT).await.unwrap();
    assert_eq!(woken, Wake::Timeout);
}
