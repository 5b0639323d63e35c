//! One run against a store that writes to disk in one way.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lovage_broker_redis::RedisBroker;
use lovage_core::broker::Broker;
use lovage_core::error::chain;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::audit::{Audit, Losses};
use super::bill::Bill;
use super::crew::Crew;
use super::disturbance::{self, Log};
use super::pair::Pair;
use super::producer::{self, Orders};
use super::report::Phase;
use super::{ledger, worker};
use crate::args::{Chaos, Fsync};
use crate::command::bench::say;
use crate::exit::{self, Exit};

/// Pause between two disturbances, in ms.
const GAP_MS: std::ops::Range<u64> = 100..1_000;
/// How long the jobs may take to end once nothing disturbs them.
const SETTLE: Duration = Duration::from_secs(60);

/// Pause between two looks at what is unfinished.
const LOOK: Duration = Duration::from_millis(100);

/// What a phase is to be.
pub(super) struct Plan {
    /// When Redis writes to disk; not both.
    pub(super) fsync: Fsync,
    /// How long to disturb.
    pub(super) time: Duration,
    /// What the disturbances are drawn from.
    pub(super) seed: u64,
}

/// Starts everything, breaks it for a while, lets it settle and looks at what is left.
pub(super) async fn run(
    args: &Chaos,
    plan: &Plan,
    folder: &Path,
    stop: &CancellationToken,
) -> Result<Phase, Exit> {
    let mut pair = Pair::start(folder, plan.fsync.as_str()).await?;
    let mut crew = Crew::start(args, pair.url(), folder)?;
    let outcome = tokio::select! {
        outcome = play(args, plan, &mut pair, &mut crew) => outcome,
        () = stop.cancelled() => Err(Exit::silent(exit::INTERRUPTED)),
    };
    crew.end().await;
    pair.end().await;
    outcome
}

async fn play(args: &Chaos, plan: &Plan, pair: &mut Pair, crew: &mut Crew) -> Result<Phase, Exit> {
    let broker = Arc::new(worker::connect(&pair.url(), args.wait_replicas).await?);
    let no_more = CancellationToken::new();
    let producing = producer::run(broker.clone(), args.rate, no_more.clone(), SETTLE);
    let producing = AbortOnDropHandle::new(tokio::spawn(producing));

    let begun = Instant::now();
    let log = disturb(plan, pair, crew).await?;
    let disturbed = begun.elapsed();
    crew.wake_all();
    say("no more disturbances: letting everything settle");
    no_more.cancel();
    let orders = producing
        .await
        .map_err(|error| Exit::because("the producer broke", &error))?;
    // A job whose end the store forgot is over for its producer, and not for the store.
    let quiet = timeout_at(begun + disturbed + SETTLE, until_quiet(&broker)).await;
    if quiet.is_err() {
        tracing::error!("not everything has settled in time");
    }
    let mut phase = Phase {
        fsync: plan.fsync.as_str(),
        disturbed_s: seconds(disturbed),
        settled_s: seconds(begun.elapsed() - disturbed),
        ..Phase::default()
    };
    count(&orders, crew, &mut phase);
    say("comparing what was promised, what is stored and what was called");
    audit(broker, &log, crew, &orders, &mut phase).await?;
    phase.disturbances = log.counts;
    Ok(phase)
}

/// One disturbance after the other until the time is over and each kind was done:
/// a busy machine does few in a short time.
async fn disturb(plan: &Plan, pair: &mut Pair, crew: &mut Crew) -> Result<Log, Exit> {
    let mut rng = StdRng::seed_from_u64(plan.seed);
    let mut log = Log::default();
    let end = Instant::now() + plan.time;
    loop {
        let gap = sleep(Duration::from_millis(rng.random_range(GAP_MS)));
        tokio::select! {
            () = gap => {}
            () = sleep_until(end), if log.has_all(plan.fsync) => return Ok(log),
        }
        crew.wake_due();
        let kind = disturbance::draw(&mut rng, plan.fsync, &log);
        say(kind.name());
        kind.cause(&mut rng, plan.fsync, crew, pair, &mut log)
            .await?;
    }
}

/// Waits until no job is unfinished.
async fn until_quiet(broker: &RedisBroker) {
    loop {
        let unfinished = broker.stats().await.map(|queues| {
            let each = queues.iter();
            each.map(|queue| queue.scheduled + queue.queued + queue.running + queue.waiting)
                .sum::<u64>()
        });
        if unfinished.is_ok_and(|unfinished| unfinished == 0) {
            return;
        }
        sleep(LOOK).await;
    }
}

fn count(orders: &Orders, crew: &mut Crew, phase: &mut Phase) {
    phase.enqueued = orders.sent;
    phase.acknowledged = orders.followed.len();
    for order in &orders.followed {
        phase.resent.unanswered += order.resent.unanswered;
        phase.resent.full += order.resent.full;
        phase.resent.read_only += order.resent.read_only;
    }
    let dead = crew.dead();
    for refusal in orders.refusals.iter().chain(&dead) {
        tracing::error!(refusal, "refused, or a worker that ended by itself");
    }
    phase.broken.refusals = orders.refusals.len() + dead.len();
}

async fn audit(
    broker: Arc<RedisBroker>,
    log: &Log,
    crew: &Crew,
    orders: &Orders,
    phase: &mut Phase,
) -> Result<(), Exit> {
    let entries = ledger::read(&crew.ledger())
        .map_err(|error| Exit::because("the ledger cannot be read", &error))?;
    let audit = Audit {
        broker,
        losses: Losses(&log.losses),
        bill: Bill {
            entries: &entries,
            killed: &crew.killed,
        },
        phase,
    };
    audit.run(&orders.followed).await.map_err(|error| {
        let why = format!("the store does not answer at the end: {}", chain(&error));
        Exit::new(exit::ERROR, why)
    })
}

fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 10.0).round() / 10.0
}
