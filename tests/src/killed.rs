//! Every verb that writes, killed before and after it took effect, and sent again.
//!
//! [`CASES`] is a table: a verb, what comes before it, and what its caller does.
//! A store's test plays each case once for every command or commit of the verb,
//! loses that one, and compares what is left with the model, to which nothing
//! happened: at once, and again after everything has run to its end, so that
//! what a kill leaves inside a store shows too.

mod cache;
mod limiter;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use lovage_core::attempt::JobError;
use lovage_core::broker::{
    Broker, CancelReply, Claim, Claimed, Enqueued, RedriveReply, Settle, Settled, SignalReply,
    Spawn, Swept,
};
use lovage_core::cache::{Cache, Hold};
use lovage_core::checkpoint::Checkpoint;
use lovage_core::clock::{self, Clock};
use lovage_core::event::{NewEvent, kind};
use lovage_core::id::{JobId, QueueName, WorkerId};
use lovage_core::job::{Idempotency, NewJob, Progress, Unique};
use lovage_core::lifecycle;
use lovage_core::limiter::{Limiter, MemoryLimiter};
use lovage_core::limits;
use lovage_core::outcome::Outcome;
use lovage_core::payload::Payload;
use lovage_core::queue::QueueLimits;
use lovage_core::status::{Join, Status, WaitReason};
use uuid::Uuid;

use crate::cache::MemoryCache;
use crate::clock::ManualClock;
use crate::faults::ResendingBroker;
use crate::model::ModelBroker;
use crate::sim;

use self::cache::{
    abandon, all_kept, forget, one_held, one_kept, one_past_keeping, put, renew, take,
};
use self::limiter::{
    acquire, all_admitted, observe, one_admitted, set_limits, settle_call, settle_refused,
};

/// Rounds of claims after which everything has run to its end.
const ROUNDS: u128 = 4;
/// Jobs and workers that a case may use: their numbers are below this.
const NUMBERS: u128 = 5;
/// Bytes that the cache of a store under test may hold.
pub const CACHE_BYTES: u64 = 30;
/// How long it takes until the last trace of a finished job is gone.
const FORGOTTEN: Duration = Duration::from_secs(8 * 24 * 3_600);

/// A step of a case.
pub type Step = for<'a> fn(&'a World) -> BoxFuture<'a, ()>;

/// A verb in a state in which it changes something.
pub struct Case {
    /// The verb and the state.
    pub name: &'static str,
    /// Brings the state about.
    pub before: Step,
    /// Calls the verb as a caller does, who cannot know whether it took effect
    /// before: what it answers must fit both.
    pub verb: Step,
    /// Sending the verb again after a lost answer does it twice, as its trait says.
    pub repeats: bool,
}

macro_rules! repeats {
    () => {
        false
    };
    (repeats) => {
        true
    };
}

macro_rules! cases {
    ($(#[$doc:meta])+ $table:ident {
        $($name:literal: $before:ident, $verb:ident $($repeats:ident)?;)+
    }) => {
        $(#[$doc])+
        pub const $table: &[Case] = &[$(Case {
            name: $name,
            before: |world| Box::pin($before(world)),
            verb: |world| Box::pin($verb(world)),
            repeats: repeats!($($repeats)?),
        }),+];
    };
}

cases! {
    /// Every verb of jobs and calls that writes, in every state that makes a
    /// difference to how.
    CASES {
        "enqueue": nothing, enqueue;
        "enqueue all or none": nothing, enqueue_atomic;
        "register": nothing, register;
        "deregister": two_running, deregister;
        "claim": two_queued, claim;
        "claim what is due": one_due, claim;
        "claim what is too late": one_late, claim_late;
        "extend": two_running, extend;
        "checkpoint": two_running, checkpoint;
        "emit": two_running, emit repeats;
        "spawn": two_running, spawn;
        "signal running": two_running, signal;
        "signal waiting": one_waits_for_signal, signal;
        "settle done": two_running, settle_done;
        "settle retry": two_running, settle_retry;
        "settle release": two_running, settle_release;
        "settle after cancel": one_asked_to_stop, settle_retry_stopped;
        "settle parent": one_with_children, settle_parent;
        "settle child": children_running, settle_child;
        "settle last child": last_child_running, settle_last_child;
        "settle failed child": children_running, settle_failed_child;
        "cancel queued": two_queued, cancel_queued;
        "cancel scheduled": one_scheduled, cancel_scheduled;
        "cancel running": two_running, cancel_running;
        "cancel parent": one_waits_for_children, cancel_parent;
        "redrive failed": one_failed, redrive;
        "redrive cancelled": one_cancelled, redrive;
        "redrive parent": parent_cancelled, redrive;
        "limit": two_queued, limit;
        "pause": two_queued, pause;
        "pause off": paused, resume;
        "reclaim lost": two_lost, reclaim;
        "reclaim overdue cancel": one_overdue, reclaim;
        "reclaim unstarted": one_late, reclaim;
        "reclaim parent": parent_waits_for_long, reclaim;
        "reclaim child": last_child_lost, reclaim;
        "prune": one_past_its_time, prune;
        "limiter acquire": nothing, acquire;
        "limiter acquire without a place": all_admitted, acquire;
        "limiter settle": one_admitted, settle_call;
        "limiter settle refused": one_admitted, settle_refused;
        "limiter observe": one_admitted, observe;
        "limiter set_limits": one_admitted, set_limits;
    }
}

cases! {
    /// Every verb of the cache that writes, likewise. A hold is known to its maker
    /// alone and does not outlive the process, so these are for connections that are lost.
    CACHE_CASES {
        "cache take": nothing, take repeats;
        "cache take kept": one_kept, take repeats;
        "cache take past its time": one_past_keeping, take repeats;
        "cache renew": one_held, renew;
        "cache put": one_held, put;
        "cache put in place of others": all_kept, put;
        "cache abandon": one_held, abandon;
        "cache forget": one_kept, forget;
    }
}

/// A store by its contracts, each as its caller uses it: a call is sent again
/// until it is answered.
pub struct Caller {
    broker: Arc<dyn Broker>,
    cache: Arc<dyn Cache>,
    limiter: Arc<dyn Limiter>,
}

impl Caller {
    /// The caller of `store`.
    pub fn of(store: impl Broker + Cache + Limiter) -> Self {
        let store = Arc::new(store);
        Self {
            broker: Arc::new(ResendingBroker::new(store.clone())),
            cache: store.clone(),
            limiter: store,
        }
    }

    /// The caller of the models, which answer at once.
    fn of_models(broker: &ModelBroker, clock: &ManualClock) -> Self {
        Self {
            broker: Arc::new(broker.clone()),
            cache: Arc::new(MemoryCache::new(clock.clone(), CACHE_BYTES)),
            limiter: Arc::new(MemoryLimiter::new(Arc::new(clock.clone()))),
        }
    }
}

/// One side of a comparison: a store, its clock, and what it has given.
pub struct World {
    broker: Arc<dyn Broker>,
    cache: Arc<dyn Cache>,
    limiter: Arc<dyn Limiter>,
    clock: ManualClock,
    given: Mutex<Vec<Claimed>>,
    hold: Mutex<Option<Hold>>,
}

/// A case being played on a fresh store, and on the model.
pub struct Play {
    case: &'static Case,
    world: World,
    expected: World,
    model: ModelBroker,
}

impl Play {
    /// Brings about the state before the verb, on `store`, which reads `clock`
    /// and gives leases of [`limits::LEASE`], and on the model.
    pub async fn begin(case: &'static Case, store: Caller, clock: ManualClock) -> Self {
        let mut play = Self::on_model(case, &clock).await;
        play.world = World::new(store, clock);
        (case.before)(&play.world).await;
        play
    }

    /// Goes on with a store on which the state was brought about by another
    /// process that began at this time of `clock`.
    pub async fn resume(case: &'static Case, store: Caller, clock: ManualClock) -> Self {
        let mut play = Self::on_model(case, &clock).await;
        let passed = play.expected.clock.now().duration_since(clock.now());
        clock.advance(passed.unsigned_abs());
        play.world = World {
            given: Mutex::new(play.expected.all_given()),
            ..World::new(store, clock)
        };
        play
    }

    async fn on_model(case: &'static Case, clock: &ManualClock) -> Self {
        let clock = ManualClock::at(clock.now());
        let model = ModelBroker::new(clock.clone(), limits::LEASE);
        let side = || World::new(Caller::of_models(&model, &clock), clock.clone());
        let play = Self {
            case,
            world: side(),
            expected: side(),
            model: model.clone(),
        };
        (case.before)(&play.expected).await;
        play
    }

    /// Sends the verb to the store.
    pub async fn verb(&self) {
        (self.case.verb)(&self.world).await;
    }

    /// Compares the store with the model, to which the verb was sent once.
    /// `sent_twice` says that the store carried it out and got it again.
    ///
    /// # Panics
    /// When the store differs.
    pub async fn end(self, sent_twice: bool) {
        let Self {
            case,
            world,
            expected,
            model,
        } = self;
        (case.verb)(&expected).await;
        if sent_twice && case.repeats {
            (case.verb)(&expected).await;
        }
        compare(&world, &expected, &model).await;
        assert_eq!(world.run_out().await, expected.run_out().await);
        compare(&world, &expected, &model).await;
        for side in [&world, &expected] {
            side.clock.advance(FORGOTTEN);
            side.prune().await;
        }
        compare(&world, &expected, &model).await;
    }
}

async fn compare(world: &World, expected: &World, model: &ModelBroker) {
    for number in 0..NUMBERS {
        sim::look_at(world.broker.as_ref(), model, id(number)).await;
    }
    sim::look_at_stats(world.broker.as_ref(), model).await;
    assert_eq!(limiter::look(world).await, limiter::look(expected).await);
    assert_eq!(cache::look(world).await, cache::look(expected).await);
}

fn id(number: u128) -> JobId {
    Uuid::from_u128(number).into()
}

fn worker(number: u128) -> WorkerId {
    let text = Uuid::from_u128(number).to_string();
    text.parse().expect("a UUID is a worker id")
}

fn queue() -> QueueName {
    QueueName::default()
}

impl World {
    fn new(store: Caller, clock: ManualClock) -> Self {
        Self {
            broker: store.broker,
            cache: store.cache,
            limiter: store.limiter,
            clock,
            given: Mutex::default(),
            hold: Mutex::default(),
        }
    }

    fn job(&self, number: u128) -> NewJob {
        let kind = "test.noop".parse().expect("a valid kind");
        let input = Payload::of(&number.to_string()).expect("a text has a JSON form");
        NewJob::new(id(number), kind, input)
    }

    /// A job that holds a key of each kind and stands in indexes.
    fn keyed(&self, number: u128) -> NewJob {
        NewJob {
            unique: Some(Unique {
                key: format!("unique-{number}"),
                window: None,
            }),
            idempotency: Some(Idempotency {
                key: format!("key-{number}"),
                fingerprint: "print".to_owned(),
            }),
            session: Some("session".to_owned()),
            tags: vec!["tag".to_owned()],
            ..self.job(number)
        }
    }

    async fn enqueue(&self, jobs: Vec<NewJob>, atomic: bool) {
        let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
        let answers = self.broker.enqueue(jobs, atomic).await;
        for (id, answer) in ids.iter().zip(answers.expect("the store takes jobs")) {
            // Sent again, it may be known by its key.
            let known = [Enqueued::Accepted(*id), Enqueued::Replayed(*id)].contains(&answer);
            assert!(known, "{id}: {answer:?}");
        }
    }

    async fn register(&self, number: u128) {
        let registered = self.broker.register(&queue(), &worker(number)).await;
        registered.expect("a new worker can register");
    }

    /// As a worker claims: a claim that was not answered may have given jobs.
    async fn claim(&self, number: u128, want: usize) -> Vec<Claimed> {
        let held = self.broker.held(&queue(), &worker(number)).await;
        let mut claimed = held.expect("a registered worker may ask");
        if claimed.is_empty() {
            claimed = self.claim_more(number, want).await;
        }
        claimed.sort_by_key(|claimed| claimed.job.id);
        *self.given.lock().expect("no panic while locked") = claimed.clone();
        claimed
    }

    async fn claim_more(&self, number: u128, want: usize) -> Vec<Claimed> {
        let ask = Claim {
            worker: worker(number),
            queue: queue(),
            want,
        };
        let claims = self.broker.claim(&ask).await;
        claims.expect("a registered worker may claim").claimed
    }

    /// What the last claim gave, by number.
    fn given(&self, place: usize) -> Claimed {
        self.all_given().swap_remove(place)
    }

    fn all_given(&self) -> Vec<Claimed> {
        self.given.lock().expect("no panic while locked").clone()
    }

    async fn settle(&self, all: Vec<(Claimed, Outcome)>) {
        let now = self.clock.now();
        let settle = |(claimed, outcome): (Claimed, Outcome)| Settle {
            next: lifecycle::settle(&claimed.job, &outcome, now, 1.0),
            lease: claimed.lease,
            job: claimed.job,
        };
        self.settle_as(all.into_iter().map(settle).collect()).await;
    }

    async fn settle_as(&self, settles: Vec<Settle>) {
        let answers = self.broker.settle(&settles).await;
        let answers = answers.expect("the store settles");
        assert_eq!(answers, vec![Settled::Done; settles.len()]);
    }

    async fn reclaim(&self) {
        loop {
            let swept = self.broker.reclaim().await.expect("the store sweeps");
            if swept == Swept::default() {
                return;
            }
        }
    }

    async fn prune(&self) {
        while self.broker.prune().await.expect("the store prunes") > 0 {}
    }

    /// Runs everything to its end; which jobs each round ran.
    async fn run_out(&self) -> Vec<Vec<JobId>> {
        let resumed = self.broker.pause(&queue(), false).await;
        resumed.expect("the store can be resumed");
        let mut rounds = Vec::new();
        for round in 0..ROUNDS {
            self.clock.advance(limits::LEASE + Duration::from_millis(1));
            self.reclaim().await;
            self.register(NUMBERS + round).await;
            let claimed = self.claim(NUMBERS + round, limits::BATCH_MAX).await;
            let ids: Vec<JobId> = claimed.iter().map(|claimed| claimed.job.id).collect();
            let once: BTreeSet<&JobId> = ids.iter().collect();
            assert_eq!(once.len(), ids.len(), "a job was given twice: {ids:?}");
            let ends = claimed.into_iter().map(|claimed| (claimed, done()));
            self.settle(ends.collect()).await;
            rounds.push(ids);
        }
        rounds
    }
}

fn done() -> Outcome {
    Outcome::Done(Payload::of(&"done").expect("a text has a JSON form"))
}

fn retry() -> Outcome {
    Outcome::Retry {
        error: JobError::transient("flaky", "try again"),
        after: None,
    }
}

fn event(kind: &str, data: Payload) -> NewEvent {
    NewEvent {
        kind: kind.to_owned(),
        step: None,
        data,
    }
}

// What comes before.

async fn nothing(_: &World) {}

async fn two_queued(world: &World) {
    world
        .enqueue(vec![world.keyed(1), world.job(2)], false)
        .await;
    world.register(1).await;
}

async fn two_running(world: &World) {
    two_queued(world).await;
    assert_eq!(world.claim(1, 2).await.len(), 2);
}

async fn one_scheduled(world: &World) {
    let run_at = Some(clock::after(world.clock.now(), Duration::from_secs(5)));
    let job = NewJob {
        run_at,
        ..world.keyed(1)
    };
    world.enqueue(vec![job], false).await;
    world.register(1).await;
}

async fn one_due(world: &World) {
    one_scheduled(world).await;
    world.clock.advance(Duration::from_secs(5));
}

async fn one_late(world: &World) {
    let expires_at = Some(clock::after(world.clock.now(), Duration::from_secs(5)));
    let job = NewJob {
        expires_at,
        ..world.keyed(1)
    };
    world.enqueue(vec![job], false).await;
    world.register(1).await;
    world.clock.advance(Duration::from_secs(6));
}

async fn one_asked_to_stop(world: &World) {
    two_running(world).await;
    cancel_running(world).await;
}

async fn one_overdue(world: &World) {
    one_asked_to_stop(world).await;
    world.clock.advance(limits::LEASE - Duration::from_secs(1));
    extend(world).await;
    world.clock.advance(Duration::from_secs(2));
}

async fn one_failed(world: &World) {
    two_running(world).await;
    let outcome = Outcome::GiveUp(JobError::permanent("broken", "it is broken"));
    world.settle(vec![(world.given(0), outcome)]).await;
}

async fn one_cancelled(world: &World) {
    two_running(world).await;
    world
        .settle(vec![(world.given(0), Outcome::Cancelled)])
        .await;
}

async fn paused(world: &World) {
    two_queued(world).await;
    pause(world).await;
}

async fn two_lost(world: &World) {
    two_running(world).await;
    world
        .clock
        .advance(limits::LEASE + Duration::from_millis(1));
}

async fn one_past_its_time(world: &World) {
    two_running(world).await;
    settle_done(world).await;
    world.clock.advance(FORGOTTEN);
}

async fn one_with_children(world: &World) {
    two_running(world).await;
    spawn(world).await;
}

async fn one_waits_for_children(world: &World) {
    one_with_children(world).await;
    settle_parent(world).await;
}

/// Long enough that somebody looks after it.
async fn parent_waits_for_long(world: &World) {
    one_waits_for_children(world).await;
    world.clock.advance(Duration::from_secs(60));
}

/// The parent waits, and a worker holds both children.
async fn children_running(world: &World) {
    one_waits_for_children(world).await;
    world.register(2).await;
    assert_eq!(world.claim(2, 2).await.len(), 2);
}

/// One child is over.
async fn last_child_running(world: &World) {
    children_running(world).await;
    settle_child(world).await;
}

async fn last_child_lost(world: &World) {
    last_child_running(world).await;
    world
        .clock
        .advance(limits::LEASE + Duration::from_millis(1));
}

async fn parent_cancelled(world: &World) {
    one_waits_for_children(world).await;
    cancel_parent(world).await;
}

async fn one_waits_for_signal(world: &World) {
    two_running(world).await;
    park(world, WaitReason::Signal("approved".to_owned())).await;
}

// The verbs.

async fn enqueue(world: &World) {
    let run_at = Some(clock::after(world.clock.now(), Duration::from_secs(5)));
    let later = NewJob {
        run_at,
        ..world.job(2)
    };
    let jobs = vec![world.keyed(1), later, world.job(3)];
    world.enqueue(jobs, false).await;
}

async fn enqueue_atomic(world: &World) {
    world
        .enqueue(vec![world.keyed(1), world.keyed(2)], true)
        .await;
}

async fn register(world: &World) {
    world.register(1).await;
}

async fn deregister(world: &World) {
    let left = world.broker.deregister(&queue(), &worker(1)).await;
    left.expect("a worker can leave");
}

async fn claim(world: &World) {
    let claimed = world.claim(1, 1).await;
    assert_eq!(claimed.len(), 1, "one job was to be had");
}

/// A claim whose answer was lost may give what it was about to end: its worker ends it.
async fn claim_late(world: &World) {
    let late = world.claim(1, 1).await;
    let end = |claimed: Claimed| Settle {
        next: lifecycle::expire(&claimed.job, world.clock.now()).expect("its time is over"),
        lease: claimed.lease,
        job: claimed.job,
    };
    world.settle_as(late.into_iter().map(end).collect()).await;
}

async fn extend(world: &World) {
    let extended = world.broker.extend(&queue(), &worker(1)).await;
    extended.expect("the worker is known");
}

async fn checkpoint(world: &World) {
    let step = Checkpoint {
        step: "step".to_owned(),
        occurrence: 0,
        fingerprint: "print".to_owned(),
        value: Payload::of(&7).expect("a number has a JSON form"),
    };
    let events = [
        event("step_finished", Payload::null()),
        event("noted", Payload::null()),
    ];
    let lease = world.given(0).lease;
    let stored = world.broker.checkpoint(&lease, &step, &events).await;
    stored.expect("the lease is held");
}

async fn emit(world: &World) {
    let progress = Progress {
        step: "step".to_owned(),
        current: 1,
        total: 2,
        message: None,
    };
    let progress = Payload::of(&progress).expect("progress has a JSON form");
    let events = [
        event("noted", Payload::null()),
        event(kind::PROGRESS, progress),
    ];
    let emitted = world.broker.emit(&world.given(0).lease, &events).await;
    emitted.expect("the lease is held");
}

async fn spawn(world: &World) {
    let spawn = Spawn {
        lease: world.given(0).lease,
        group: "parts".to_owned(),
        children: vec![world.job(3), world.job(4)],
    };
    let spawned = world.broker.spawn(&spawn).await;
    spawned.expect("the lease is held");
}

async fn signal(world: &World) {
    let data = Payload::of(&"yes").expect("a text has a JSON form");
    let answer = world.broker.signal(&id(1), "approved", &data).await;
    assert_eq!(answer.expect("the store answers"), SignalReply::Delivered);
}

async fn limit(world: &World) {
    let one = QueueLimits {
        concurrency: Some(1),
        ..QueueLimits::default()
    };
    let limited = world.broker.limit(&queue(), &one).await;
    limited.expect("the queue can be limited");
}

async fn park(world: &World, reason: WaitReason) {
    let after = Duration::from_secs(3_600);
    let outcome = Outcome::Park { reason, after };
    world.settle(vec![(world.given(0), outcome)]).await;
}

async fn settle_parent(world: &World) {
    park(world, WaitReason::Children(Join::FirstFailure)).await;
}

async fn settle_child(world: &World) {
    world.settle(vec![(world.given(0), done())]).await;
}

async fn settle_last_child(world: &World) {
    world.settle(vec![(world.given(1), done())]).await;
}

async fn settle_failed_child(world: &World) {
    let outcome = Outcome::GiveUp(JobError::permanent("broken", "it is broken"));
    world.settle(vec![(world.given(0), outcome)]).await;
}

async fn cancel_parent(world: &World) {
    cancel_queued(world).await;
}

async fn settle_done(world: &World) {
    let ends = vec![(world.given(0), done()), (world.given(1), done())];
    world.settle(ends).await;
}

async fn settle_retry(world: &World) {
    world.settle(vec![(world.given(0), retry())]).await;
}

/// The job was asked to stop meanwhile: it ends instead.
async fn settle_retry_stopped(world: &World) {
    settle_retry(world).await;
}

async fn settle_release(world: &World) {
    let ends = vec![(world.given(0), Outcome::Release)];
    world.settle(ends).await;
}

async fn cancel(world: &World, first: CancelReply, again: CancelReply) {
    let answer = world.broker.cancel(&id(1)).await;
    let answer = answer.expect("the store cancels");
    assert!([first, again].contains(&answer), "{answer:?}");
}

async fn cancel_queued(world: &World) {
    let cancelled = Status::Cancelled;
    let again = CancelReply::TooLate(cancelled);
    cancel(world, CancelReply::Cancelled, again).await;
}

async fn cancel_scheduled(world: &World) {
    cancel_queued(world).await;
}

async fn cancel_running(world: &World) {
    cancel(world, CancelReply::Requested, CancelReply::Requested).await;
}

async fn redrive(world: &World) {
    let queued = Status::Queued;
    let answer = world.broker.redrive(&id(1)).await;
    let answer = answer.expect("the store redrives");
    let both = [RedriveReply::Queued, RedriveReply::Refused(queued)];
    assert!(both.contains(&answer), "{answer:?}");
}

async fn pause(world: &World) {
    let paused = world.broker.pause(&queue(), true).await;
    paused.expect("the store can be paused");
}

async fn resume(world: &World) {
    let resumed = world.broker.pause(&queue(), false).await;
    resumed.expect("the store can be resumed");
}

async fn reclaim(world: &World) {
    world.reclaim().await;
}

async fn prune(world: &World) {
    world.prune().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The contracts: the file, what names of its cases begin with, and its verbs
    /// that change nothing that lasts.
    const CONTRACTS: [(&str, &str, &[&str]); 3] = [
        (
            include_str!("../../crates/core/src/broker.rs"),
            "",
            &[
                "held",
                "wake",
                "get",
                "checkpoints",
                "children",
                "list",
                "events",
                "stats",
                "ping",
            ],
        ),
        (
            include_str!("../../crates/core/src/limiter.rs"),
            "limiter ",
            &["limits"],
        ),
        (
            include_str!("../../crates/core/src/cache.rs"),
            "cache ",
            &["counts"],
        ),
    ];

    #[test]
    fn every_verb_that_writes_has_a_case() {
        let all = CASES.iter().chain(CACHE_CASES);
        let mut names: Vec<&str> = all.map(|case| case.name).collect();
        // Names of the first contract begin with nothing: its turn is the last.
        for (contract, prefix, reads) in CONTRACTS.into_iter().rev() {
            let (_, verbs) = contract.split_once("#[async_trait]\npub trait ").unwrap();
            let (verbs, _) = verbs.split_once("\n}\n").unwrap_or((verbs, ""));
            let verbs = verbs.split("async fn ").skip(1);
            let verbs: BTreeSet<&str> = verbs.map(|rest| rest.split('(').next().unwrap()).collect();
            let own = names.extract_if(.., |name| name.starts_with(prefix));
            let cased = own.map(|name| name[prefix.len()..].split(' ').next().unwrap());
            let known: BTreeSet<&str> = cased.chain(reads.iter().copied()).collect();
            assert_eq!(
                verbs, known,
                "verbs of the contract, and cases with those that only read"
            );
        }
    }
}
