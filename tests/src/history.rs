//! Random histories: what callers, workers and time may do to a store.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use lovage_core::attempt::JobError;
use lovage_core::broker::{Broker, Claim, Claimed, Settle, Settled, Spawn};
use lovage_core::checkpoint::Checkpoint;
use lovage_core::clock::{self, Clock};
use lovage_core::event::{NewEvent, kind};
use lovage_core::id::{JobId, QueueName, WorkerId};
use lovage_core::job::{Idempotency, NewJob, Unique};
use lovage_core::lease::Lease;
use lovage_core::lifecycle;
use lovage_core::outcome::Outcome;
use lovage_core::payload::Payload;
use lovage_core::query::Filter;
use lovage_core::queue::{QueueLimits, Rate, Weight};
use lovage_core::status::{Join, Status, WaitReason};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use uuid::{Builder, Uuid};

use crate::clock::ManualClock;
use crate::model::ModelBroker;

/// Something that happens to a store.
#[derive(Debug, Clone)]
pub enum Operation {
    /// Jobs are handed in.
    Enqueue {
        /// The jobs.
        jobs: Vec<NewJob>,
        /// All or none.
        atomic: bool,
    },
    /// A worker starts.
    Register(QueueName, WorkerId),
    /// A worker leaves.
    Deregister(QueueName, WorkerId),
    /// A worker extends its lease and asks for jobs.
    Claim(Claim),
    /// A worker extends its lease.
    Extend(QueueName, WorkerId),
    /// A worker, or one that was, stores a step.
    Checkpoint(Lease, Checkpoint, Vec<NewEvent>),
    /// A worker, or one that was, reports.
    Emit(Lease, Vec<NewEvent>),
    /// A worker, or one that was, spawns children.
    Spawn(Spawn),
    /// Someone gives a job a value.
    Signal(JobId, String, Payload),
    /// Attempts end; some may have been lost, or ended before.
    Settle(Vec<Settle>),
    /// Someone wants a job stopped.
    Cancel(JobId),
    /// Someone wants a job run again.
    Redrive(JobId),
    /// A queue is stopped or started.
    Pause(QueueName, bool),
    /// A queue is limited, or not any more.
    Limit(QueueName, QueueLimits),
    /// Time passes.
    Advance(Duration),
    /// Somebody sweeps.
    Reclaim,
    /// Somebody prunes.
    Prune,
    /// Somebody lists.
    List(Filter),
}

/// A worker as the history knows it.
type Worker = (QueueName, WorkerId);

/// Draws one operation after the other from a seed.
///
/// Where the meaning of the trait leaves a store free, the history does not go:
/// nothing at exactly the millisecond a lease or key ends, no redrive of a job
/// that left its lane by a cancel (its place in line is free), holds its key
/// for a window, or has a key and children (these may be queued again although
/// the key is taken). Whose turn it is among lanes of one priority is left to the
/// store: clocks of lanes without jobs may be forgotten.
pub struct History {
    rng: StdRng,
    clock: ManualClock,
    lease: Duration,
    queues: Vec<QueueName>,
    ids: Vec<JobId>,
    accepted: Vec<NewJob>,
    workers: Vec<Worker>,
    given: Vec<Claimed>,
    ended: Vec<Settle>,
    ended_under: HashSet<Lease>,
    not_to_redrive: BTreeSet<JobId>,
}

/// Workers of all queues alive at once.
const WORKERS_MAX: usize = 4;
/// Keys drawn from, few enough to meet again.
const KEYS: u32 = 6;
/// Whose jobs there are.
const TENANTS: [&str; 3] = ["anna", "ben", "carla"];

impl History {
    /// The history of `seed` on a store that reads `clock` and gives leases of `lease`.
    pub fn new(seed: u64, clock: ManualClock, lease: Duration) -> Self {
        let queue = |name: &str| name.parse().expect("a valid queue name");
        Self {
            rng: StdRng::seed_from_u64(seed),
            clock,
            lease,
            queues: vec![queue("films"), queue("default")],
            ids: Vec::new(),
            accepted: Vec::new(),
            workers: Vec::new(),
            given: Vec::new(),
            ended: Vec::new(),
            ended_under: HashSet::new(),
            not_to_redrive: BTreeSet::new(),
        }
    }

    /// What happens next, given what the model holds.
    pub async fn next(&mut self, model: &ModelBroker) -> Operation {
        if self.workers.len() < WORKERS_MAX && self.rng.random_bool(0.2) {
            return self.register();
        }
        loop {
            let drawn = match self.rng.random_range(0..100) {
                0..18 => Some(self.enqueue()),
                18..42 => self.claim(model).await,
                42..59 => self.settle(model),
                59..62 => self.checkpoint(),
                62..65 => self.emit(),
                65..69 => self.spawn(model),
                69..73 => self.signal(),
                73..75 => self.extend(),
                75..83 => Some(Operation::Advance(self.time(model))),
                83..87 => Some(Operation::Reclaim),
                87..90 => self.id().map(Operation::Cancel),
                90..93 => self.redrive(model).await,
                93 => Some(self.pause()),
                94..96 => Some(self.limit()),
                96 => self.leave(),
                97 => Some(Operation::Prune),
                _ => Some(Operation::List(self.filter())),
            };
            if let Some(operation) = drawn {
                return operation;
            }
        }
    }

    /// Takes note of a job that is in the store after an enqueue.
    pub fn enqueued(&mut self, job: &NewJob) {
        if !self.ids.contains(&job.id) {
            self.ids.push(job.id);
            self.accepted.push(job.clone());
        }
    }

    /// Takes note of children that are in the store after a spawn.
    pub fn spawned(&mut self, children: &[NewJob]) {
        for child in children {
            if !self.ids.contains(&child.id) {
                self.ids.push(child.id);
            }
        }
    }

    /// Takes note of what a claim gave.
    pub fn claimed(&mut self, claimed: &[Claimed]) {
        self.given.extend_from_slice(claimed);
    }

    /// Takes note of which settles took effect.
    pub fn settled(&mut self, settles: &[Settle], answers: &[Settled]) {
        for (settle, answer) in settles.iter().zip(answers) {
            if *answer == Settled::Done {
                self.ended_under.insert(settle.lease.clone());
                self.ended.push(settle.clone());
            }
        }
    }

    /// Takes note of a job that was cancelled while nobody ran it.
    pub fn cancelled(&mut self, id: JobId) {
        self.not_to_redrive.insert(id);
    }

    /// Takes note of a worker that was told it is lost.
    pub fn lost(&mut self, worker: &WorkerId) {
        self.workers.retain(|(_, id)| id != worker);
    }

    /// Every job that was ever accepted.
    pub fn ids(&self) -> &[JobId] {
        &self.ids
    }

    fn register(&mut self) -> Operation {
        let queue = self.queue();
        let worker = self.uuid().to_string().parse();
        let worker: WorkerId = worker.expect("a UUID is a worker id");
        self.workers.push((queue.clone(), worker));
        Operation::Register(queue, worker)
    }

    /// A worker that leaves, or that dies: it is not heard of again.
    fn leave(&mut self) -> Option<Operation> {
        let place = self.place(self.workers.len())?;
        let (queue, worker) = self.workers.swap_remove(place);
        let leaves = self.rng.random_bool(0.5);
        leaves.then_some(Operation::Deregister(queue, worker))
    }

    fn enqueue(&mut self) -> Operation {
        let jobs = match self.rng.random_range(0..10) {
            0 => self.sent_again().into_iter().collect(),
            1..7 => vec![self.job()],
            _ => (0..3).map(|_| self.job()).collect(),
        };
        let atomic = self.rng.random_bool(0.3);
        Operation::Enqueue { jobs, atomic }
    }

    /// A job that was accepted before: the same, or another under its id.
    fn sent_again(&mut self) -> Option<NewJob> {
        let place = self.place(self.accepted.len())?;
        let mut job = self.accepted[place].clone();
        if self.rng.random_bool(0.3) {
            job.input = number(self.rng.random());
        }
        // With a key, a store may answer by the key or by the id.
        job.idempotency.is_none().then_some(job)
    }

    fn job(&mut self) -> NewJob {
        let now = self.clock.now();
        let queue = self.queue();
        let input = number(self.rng.random());
        let kind = "test.random".parse().expect("a valid kind");
        let (unique, idempotency) = self.keys();
        NewJob {
            tenant: TENANTS[self.rng.random_range(0..TENANTS.len())]
                .parse()
                .expect("a valid tenant"),
            queue,
            priority: [1, 5, 9][self.rng.random_range(0..3)]
                .try_into()
                .expect("at most 9"),
            run_at: self.maybe(0.2).map(|after| clock::after(now, after)),
            expires_at: self.maybe(0.1).map(|after| clock::after(now, after)),
            attempts_max: self.rng.random_range(1..4),
            unique,
            idempotency,
            session: self.rng.random_bool(0.1).then(|| "대화".to_owned()),
            tags: vec![format!("t{}", self.rng.random_range(0..3))],
            keep: Duration::from_secs(self.rng.random_range(1..4_000)),
            keep_dead: Duration::from_secs(self.rng.random_range(1..8_000)),
            ..NewJob::new(JobId::from(self.uuid()), kind, input)
        }
    }

    /// Keys with a window and keys without one are other keys.
    fn keys(&mut self) -> (Option<Unique>, Option<Idempotency>) {
        let key = self.rng.random_range(0..KEYS);
        match self.rng.random_range(0..10) {
            0 => {
                let window = Some(self.span());
                let key = format!("windowed {key}");
                (Some(Unique { key, window }), None)
            }
            1 => {
                let key = format!("unique {key}");
                (Some(Unique { key, window: None }), None)
            }
            2 => {
                let fingerprint = format!("body {}", self.rng.random_range(0..2));
                let key = format!("key {key}");
                (None, Some(Idempotency { key, fingerprint }))
            }
            _ => (None, None),
        }
    }

    /// A group of children, of which one may be a job that is there already.
    fn spawn(&mut self, model: &ModelBroker) -> Option<Operation> {
        let lease = self.lease()?;
        let count = self.rng.random_range(0..4);
        let mut children: Vec<NewJob> = (0..count).map(|_| self.job()).collect();
        if let Some(child) = children.last_mut().filter(|_| self.rng.random_bool(0.1)) {
            child.id = self.orphan(model, &lease).unwrap_or(child.id);
        }
        Some(Operation::Spawn(Spawn {
            group: format!("group {}", self.rng.random_range(0..3)),
            lease,
            children,
        }))
    }

    /// A job of the lease's queue to stand for a child of the lease's job. It
    /// came later than that one (nobody is its own ancestor), nobody's child.
    fn orphan(&mut self, model: &ModelBroker, lease: &Lease) -> Option<JobId> {
        let place = self.place(self.accepted.len())?;
        let (id, queue) = (self.accepted[place].id, &self.accepted[place].queue);
        let came = |id: JobId| self.ids.iter().position(|known| *known == id);
        let later = came(id) > came(lease.job);
        let free = later && *queue == lease.queue && model.is_orphan(&id);
        // It is not sent again: once it is forgotten its id would be another job's.
        free.then(|| self.accepted.remove(place).id)
    }

    fn signal(&mut self) -> Option<Operation> {
        let id = self.id()?;
        let name = self.signal_name();
        let data = number(self.rng.random_range(0..3));
        Some(Operation::Signal(id, name, data))
    }

    fn signal_name(&mut self) -> String {
        format!("signal {}", self.rng.random_range(0..3))
    }

    /// A claim, unless the worker is lost or a paused queue has something due:
    /// whether that is promoted is free.
    async fn claim(&mut self, model: &ModelBroker) -> Option<Operation> {
        let place = self.place(self.workers.len())?;
        let (queue, worker) = self.workers[place].clone();
        let rows = model.stats().await.ok()?;
        let row = rows.into_iter().find(|row| row.queue == queue);
        if row.is_some_and(|row| row.paused && row.scheduled + row.waiting > 0) {
            return None;
        }
        let want = self.rng.random_range(0..6);
        Some(Operation::Claim(Claim {
            worker,
            queue,
            want,
        }))
    }

    fn extend(&mut self) -> Option<Operation> {
        let place = self.place(self.workers.len())?;
        let (queue, worker) = self.workers[place].clone();
        Some(Operation::Extend(queue, worker))
    }

    /// Attempts of some jobs end; now and then a settle is sent again.
    fn settle(&mut self, model: &ModelBroker) -> Option<Operation> {
        let mut settles: Vec<Settle> = Vec::new();
        for _ in 0..self.rng.random_range(1..4) {
            let settle = match self.rng.random_range(0..6) {
                0 => self.settled_before(model),
                _ => self.attempt_end(model),
            };
            let known =
                |settle: &Settle| settles.iter().any(|one| one.lease.job == settle.lease.job);
            settles.extend(settle.filter(|settle| !known(settle)));
        }
        (!settles.is_empty()).then_some(Operation::Settle(settles))
    }

    fn settled_before(&mut self, model: &ModelBroker) -> Option<Settle> {
        let place = self.place(self.ended.len())?;
        let settle = self.ended[place].clone();
        model.was_settled_under(&settle.lease).then_some(settle)
    }

    /// The end of an attempt that may have been lost meanwhile, but was not
    /// settled: what another settle under its token answers is free.
    fn attempt_end(&mut self, model: &ModelBroker) -> Option<Settle> {
        let place = self.place(self.given.len())?;
        let claimed = if self.rng.random_bool(0.9) {
            self.given.swap_remove(place)
        } else {
            self.given[place].clone()
        };
        if self.ended_under.contains(&claimed.lease) && !model.holds(&claimed.lease) {
            return None;
        }
        let outcome = self.outcome();
        let chance = self.rng.random();
        let next = lifecycle::settle(&claimed.job, &outcome, self.clock.now(), chance);
        Some(Settle {
            lease: claimed.lease,
            job: claimed.job,
            next,
        })
    }

    fn outcome(&mut self) -> Outcome {
        let error = JobError::transient("flaky", "it broke");
        match self.rng.random_range(0..11) {
            0..4 => Outcome::Done(number(self.rng.random())),
            4 => Outcome::Retry {
                error,
                after: Some(self.span()),
            },
            5 => Outcome::Retry { error, after: None },
            6 => Outcome::Park {
                reason: self.wait_reason(),
                after: self.span(),
            },
            7 => Outcome::GiveUp(JobError::permanent("hopeless", "never")),
            8 => Outcome::Cancelled,
            9 => Outcome::Release,
            _ => Outcome::Park {
                reason: WaitReason::Children(self.join()),
                after: self.span() * 3,
            },
        }
    }

    fn wait_reason(&mut self) -> WaitReason {
        match self.rng.random_range(0..3) {
            0 => WaitReason::Limit,
            1 => WaitReason::Signal(self.signal_name()),
            _ => WaitReason::Children(self.join()),
        }
    }

    fn join(&mut self) -> Join {
        match self.rng.random_bool(0.5) {
            true => Join::All,
            false => Join::FirstFailure,
        }
    }

    fn checkpoint(&mut self) -> Option<Operation> {
        let lease = self.lease()?;
        let step = Checkpoint {
            step: "search".to_owned(),
            occurrence: self.rng.random_range(0..4),
            fingerprint: "f".to_owned(),
            value: number(self.rng.random()),
        };
        let events = self.events();
        Some(Operation::Checkpoint(lease, step, events))
    }

    fn emit(&mut self) -> Option<Operation> {
        let lease = self.lease()?;
        let events = self.events();
        Some(Operation::Emit(lease, events))
    }

    fn events(&mut self) -> Vec<NewEvent> {
        let event = |kind: &str, data: String| NewEvent {
            kind: kind.to_owned(),
            step: Some("search".to_owned()),
            data: Payload::parse(&data).expect("JSON"),
        };
        (0..self.rng.random_range(0..3))
            .map(|current| match self.rng.random_bool(0.5) {
                true => event("note", current.to_string()),
                false => event(
                    kind::PROGRESS,
                    format!(r#"{{"step":"search","current":{current},"total":3,"message":null}}"#),
                ),
            })
            .collect()
    }

    async fn redrive(&mut self, model: &ModelBroker) -> Option<Operation> {
        let id = self.id()?;
        let job = model.get(&id).await;
        let unique = job.ok().flatten().and_then(|job| job.asked.unique);
        let windowed = |unique: &Unique| unique.window.is_some();
        let family = model.family(&id);
        let free = unique.is_some_and(|unique| windowed(&unique) || family.len() > 1)
            || !self.not_to_redrive.is_disjoint(&family);
        (!free).then_some(Operation::Redrive(id))
    }

    fn pause(&mut self) -> Operation {
        let queue = self.queue();
        let paused = self.rng.random_bool(0.15);
        Operation::Pause(queue, paused)
    }

    fn limit(&mut self) -> Operation {
        let queue = self.queue();
        let mut limits = QueueLimits::default();
        if self.rng.random_bool(0.4) {
            limits.concurrency = Some(self.rng.random_range(0..6));
        }
        if self.rng.random_bool(0.4) {
            limits.rate = Some(Rate {
                jobs: self.rng.random_range(1..20),
                per_ms: self.rng.random_range(100..5_000),
                burst: self.rng.random_range(1..6),
            });
        }
        for tenant in TENANTS {
            if self.rng.random_bool(0.5) {
                let tenant = tenant.parse().expect("a valid tenant");
                let weight = self.rng.random_range(1..=Weight::MAX);
                let weight = Weight::try_from(weight).expect("1 to 100");
                limits.weights.insert(tenant, weight);
            }
        }
        Operation::Limit(queue, limits)
    }

    /// A time to pass after which no lease or key ends at just this millisecond.
    fn time(&mut self, model: &ModelBroker) -> Duration {
        let mut by = match self.rng.random_range(0..100) {
            0 => Duration::from_secs(3_700),
            1..10 => self.lease + Duration::from_millis(1),
            10..60 => self.span() / 10,
            _ => Duration::from_millis(self.rng.random_range(1..50)),
        };
        let edges = model.edges();
        while edges.contains(&clock::after(self.clock.now(), by)) {
            by += Duration::from_millis(1);
        }
        by
    }

    fn filter(&mut self) -> Filter {
        let status = Status::ALL[self.rng.random_range(0..Status::ALL.len())];
        Filter {
            states: self.maybe(0.5).map(|_| status).into_iter().collect(),
            queue: self.rng.random_bool(0.3).then(|| self.queue()),
            session: self.rng.random_bool(0.1).then(|| "대화".to_owned()),
            tag: self.rng.random_bool(0.2).then(|| "t1".to_owned()),
            ..Filter::default()
        }
    }

    /// A UUID of version 7 that the seed decides.
    fn uuid(&mut self) -> Uuid {
        let millis = self.clock.now().as_millisecond();
        let millis = u64::try_from(millis).unwrap_or(0);
        Builder::from_unix_timestamp_millis(millis, &self.rng.random()).into_uuid()
    }

    fn queue(&mut self) -> QueueName {
        self.queues[self.rng.random_range(0..self.queues.len())].clone()
    }

    fn id(&mut self) -> Option<JobId> {
        let place = self.place(self.ids.len())?;
        Some(self.ids[place])
    }

    fn lease(&mut self) -> Option<Lease> {
        let place = self.place(self.given.len())?;
        Some(self.given[place].lease.clone())
    }

    /// A place among `count`, more often a late one.
    fn place(&mut self, count: usize) -> Option<usize> {
        let late = count.saturating_sub(12);
        let from = if self.rng.random_bool(0.8) { late } else { 0 };
        (count > 0).then(|| self.rng.random_range(from..count))
    }

    /// A time about as long as a lease.
    fn span(&mut self) -> Duration {
        let lease = u64::try_from(self.lease.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.rng.random_range(1..lease * 2))
    }

    fn maybe(&mut self, share: f64) -> Option<Duration> {
        self.rng.random_bool(share).then(|| self.span())
    }
}

fn number(number: u32) -> Payload {
    Payload::of(&number).expect("a number has a JSON form")
}
