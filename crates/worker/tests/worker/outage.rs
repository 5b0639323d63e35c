//! A store that does not answer, or whose answers are lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lovage_core::broker::{Broker, Claim};
use lovage_core::clock::{self, Clock};
use lovage_core::id::QueueName;
use lovage_core::job::NewJob;
use lovage_core::lifecycle::Next;
use lovage_core::limits;
use lovage_core::status::Status;
use lovage_tests::faults::{Faults, FaultyBroker};
use lovage_workflow::{Handler, Handlers};
use tokio::time::sleep;

use crate::gate::{Gate, Stubborn};
use crate::link::{Fault, Verb};
use crate::world::{Running, World, config, handler, quick};

/// How old a worker's last answer may be for it to be ready.
const WITHIN: Duration = Duration::from_secs(5);

/// Much longer than a lease.
const OUTAGE: Duration = Duration::from_secs(60);

/// A handler with one step, and how often the step ran.
fn counting() -> (Arc<AtomicUsize>, impl Handler) {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = runs.clone();
    let counting = handler(move |context| {
        let runs = counted.clone();
        async move {
            let run = async || Ok(runs.fetch_add(1, Ordering::SeqCst));
            let _: usize = context.step("count", &(), run).await?;
            context.done(&())
        }
    });
    (runs, counting)
}

#[tokio::test(start_paused = true)]
async fn a_worker_outlives_an_outage_and_says_meanwhile_that_it_is_not_ready() {
    let world = World::new();
    let worker = world.worker(2, quick());
    world.succeeded(world.add("quick").await).await;
    world.link.more(Verb::Extend, 2).await;
    assert_eq!(worker.health.ready(WITHIN), Ok(()));
    world.link.cut();
    let id = world.add("quick").await;
    sleep(OUTAGE).await;
    assert!(worker.is_running());
    assert!(worker.health.ready(WITHIN).is_err());
    assert_eq!(world.get(id).await.status, Status::Queued);
    world.link.mend();
    world.succeeded(id).await;
    world.link.more(Verb::Extend, 2).await;
    assert_eq!(worker.health.ready(WITHIN), Ok(()));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_with_all_slots_taken_for_long_is_ready() {
    let world = World::new();
    let (mut gate, gated) = Gate::new(Stubborn::No);
    let worker = world.worker(1, Handlers::new().with("gated", gated));
    let id = world.add("gated").await;
    gate.begun().await;
    world.link.more(Verb::Extend, 60).await;
    assert_eq!(worker.health.ready(WITHIN), Ok(()));
    world.link.cut();
    sleep(WITHIN * 2).await;
    assert!(worker.health.ready(WITHIN).is_err());
    world.link.mend();
    gate.open(1);
    world.succeeded(id).await;
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_running_job_outlives_an_outage_longer_than_its_lease() {
    let world = World::new();
    let (mut gate, gated) = Gate::new(Stubborn::No);
    let worker = world.worker(1, Handlers::new().with("gated", gated));
    let id = world.add("gated").await;
    gate.begun().await;
    world.link.cut();
    sleep(OUTAGE).await;
    world.link.mend();
    world.link.more(Verb::Reclaim, 3).await;
    gate.open(1);
    let job = world.succeeded(id).await;
    assert_eq!((job.attempt, job.history.len()), (1, 0));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_job_that_ends_during_an_outage_is_settled_after_it() {
    let world = World::new();
    let (mut gate, gated) = Gate::new(Stubborn::No);
    let worker = world.worker(1, Handlers::new().with("gated", gated));
    let id = world.add("gated").await;
    gate.begun().await;
    world.link.cut();
    gate.open(1);
    gate.ended().await;
    sleep(OUTAGE).await;
    assert_eq!(world.get(id).await.status, Status::Running);
    world.link.mend();
    assert_eq!(world.succeeded(id).await.attempt, 1);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_settle_whose_answer_was_lost_is_sent_again_and_happens_once() {
    let world = World::new();
    let worker = world.worker(1, quick());
    world.link.next(Verb::Settle, Fault::AnswerLost);
    let id = world.add("quick").await;
    world.link.more(Verb::Settle, 2).await;
    assert_eq!(world.succeeded(id).await.attempt, 1);
    world.succeeded(world.add("quick").await).await;
    assert_eq!(world.stats().await.succeeded_total, 2);
    assert_eq!(world.link.calls(Verb::Settle), 3);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_step_whose_answer_was_lost_is_stored_again_and_once() {
    let world = World::new();
    let (runs, counting) = counting();
    let worker = world.worker(1, Handlers::new().with("counting", counting));
    world.link.next(Verb::Checkpoint, Fault::AnswerLost);
    world.link.next(Verb::Checkpoints, Fault::RequestLost);
    let id = world.add("counting").await;
    assert_eq!(world.succeeded(id).await.attempt, 1);
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    assert_eq!(world.store.checkpoints(&id).await.unwrap().len(), 1);
    assert_eq!(world.link.calls(Verb::Checkpoint), 2);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn jobs_of_a_claim_whose_answer_was_lost_are_adopted() {
    let world = World::new();
    world.link.next(Verb::Claim, Fault::AnswerLost);
    world.link.next(Verb::Held, Fault::RequestLost);
    let ids = world.add_many("quick", 3).await;
    let worker = world.worker(4, quick());
    for id in ids {
        assert_eq!(world.succeeded(id).await.attempt, 1);
    }
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_job_the_store_counts_as_ours_again_is_found_without_any_error() {
    let world = World::new();
    let worker = world.worker(4, quick());
    world.link.more(Verb::Claim, 1).await;
    world.link.always(Verb::Wake, Fault::AnswerLost);
    let id = world.add("quick").await;
    // As after a crash that forgot a settle: held under this worker's id, run by nobody.
    let ask = Claim {
        worker: world.link.claimer(),
        queue: QueueName::default(),
        want: 1,
    };
    let claims = world.store.claim(&ask).await.unwrap();
    assert_eq!(claims.claimed.len(), 1);
    assert_eq!(world.succeeded(id).await.attempt, 1);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_adopted_job_past_its_time_to_be_started_is_ended_and_not_run() {
    let world = World::new();
    let (runs, counted) = counting();
    world.link.next(Verb::Claim, Fault::AnswerLost);
    let slow = Fault::Slow(Duration::from_secs(2));
    world.link.next(Verb::Held, slow);
    let expires_at = Some(clock::after(world.clock.now(), Duration::from_secs(1)));
    let job = NewJob {
        expires_at,
        ..world.job("counted")
    };
    let id = world.enqueue(job).await;
    let worker = world.worker(4, Handlers::new().with("counted", counted));
    let job = world.ended(id).await;
    assert_eq!(job.status, Status::Cancelled);
    assert_eq!(
        job.error.map(|error| error.code).as_deref(),
        Some("expired")
    );
    assert_eq!(runs.load(Ordering::SeqCst), 0);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn jobs_of_a_claim_that_took_effect_late_are_adopted() {
    let world = World::new();
    // Between two claims of the worker: it is deaf, so it looks once a second.
    let late = Fault::Late(Duration::from_millis(500));
    world.link.next(Verb::Claim, late);
    world.link.always(Verb::Wake, Fault::AnswerLost);
    let worker = world.worker(4, quick());
    world.link.more(Verb::Claim, 2).await;
    let id = world.add("quick").await;
    assert_eq!(world.succeeded(id).await.attempt, 1);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn after_a_doubtful_claim_held_is_asked_for_a_few_seconds_only() {
    let world = World::new();
    world.link.next(Verb::Claim, Fault::RequestLost);
    let worker = world.worker(4, quick());
    world.link.more(Verb::Extend, 10).await;
    let asked = world.link.calls(Verb::Held);
    assert!((1..=10).contains(&asked), "{asked}");
    world.link.more(Verb::Extend, 10).await;
    assert_eq!(world.link.calls(Verb::Held), asked);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_settled_while_held_answers_is_not_run_again() {
    let world = World::new();
    let (mut gate, gated) = Gate::new(Stubborn::No);
    let worker = world.worker(2, quick().with("gated", gated));
    let id = world.add("gated").await;
    gate.begun().await;
    let slow = Fault::Slow(Duration::from_secs(1));
    world.link.next(Verb::Held, slow);
    world.link.next(Verb::Claim, Fault::RequestLost);
    let other = world.add("quick").await;
    world.link.more(Verb::Held, 1).await;
    gate.open(2);
    world.succeeded(id).await;
    world.succeeded(other).await;
    assert!(!gate.has_begun());
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_end_that_the_store_refuses_fails_its_job_and_keeps_no_other_from_its_end() {
    let world = World::new();
    let (mut gate, gated) = Gate::new(Stubborn::No);
    let worker = world.worker(3, Handlers::new().with("gated", gated));
    let ids = world.add_many("gated", 3).await;
    for _ in 0..3 {
        gate.begun().await;
    }
    let refused = ids[0];
    world.link.refuse(move |settle| {
        let succeeded =
            matches!(&settle.next, Next::Finish { status, .. } if *status == Status::Succeeded);
        settle.lease.job == refused && succeeded
    });
    gate.open(3);
    world.succeeded(ids[1]).await;
    world.succeeded(ids[2]).await;
    let job = world.ended(refused).await;
    assert_eq!(job.status, Status::Failed);
    assert_eq!(job.error.unwrap().code, "settle_refused");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_job_that_cannot_be_ended_at_all_frees_its_slot_and_can_be_cancelled() {
    let world = World::new();
    let (mut gate, gated) = Gate::new(Stubborn::No);
    let worker = world.worker(1, quick().with("gated", gated));
    let id = world.add("gated").await;
    gate.begun().await;
    world.link.refuse(move |settle| settle.lease.job == id);
    gate.open(1);
    world.succeeded(world.add("quick").await).await;
    assert_eq!(world.get(id).await.status, Status::Running);
    world.store.cancel(&id).await.unwrap();
    assert_eq!(world.ended(id).await.status, Status::Cancelled);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn over_a_bad_connection_every_job_is_done_and_every_step_runs_once() {
    const JOBS: usize = 100;
    let world = World::new();
    let faults = Faults {
        request_lost: 0.1,
        answer_lost: 0.1,
        delay_max: Duration::from_millis(50),
    };
    let (runs, counting) = counting();
    // The seed lets the worker register; a worker that cannot does not begin.
    let broker = FaultyBroker::new(Arc::new(world.store.clone()), faults, 1);
    let handlers = Handlers::new().with("counting", counting);
    let worker = Running::start(Arc::new(broker), handlers, world.clock.clone(), config(8));
    for id in world.add_many("counting", JOBS).await {
        assert_eq!(world.succeeded(id).await.attempt, 1);
    }
    assert_eq!(runs.load(Ordering::SeqCst), JOBS);
    assert!(worker.is_running());
    worker.drain();
    worker.ended().await;
    tokio::time::sleep(limits::LEASE).await;
    assert_eq!(world.stats().await.running, 0);
}
