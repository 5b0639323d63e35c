//! The end of a worker.

use std::time::Duration;

use lovage_core::limits;
use lovage_core::status::Status;
use lovage_worker::{WorkerConfig, WorkerError};
use lovage_workflow::Handlers;
use tokio::time::Instant;

use crate::gate::{Gate, Stubborn};
use crate::link::{Fault, Verb};
use crate::world::{AT_ONCE, World, config, quick};

/// Longer than a lease, so that only heartbeats keep the jobs of a draining worker.
const GRACE: Duration = Duration::from_secs(25);

#[tokio::test(start_paused = true)]
async fn an_idle_worker_ends_at_once_and_deregisters() {
    let world = World::new();
    let worker = world.worker(4, quick());
    world.succeeded(world.add("quick").await).await;
    let begun = Instant::now();
    worker.stop().await;
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    assert_eq!(world.link.calls(Verb::Deregister), 1);
}

#[tokio::test(start_paused = true)]
async fn a_draining_worker_claims_nothing_and_lets_its_jobs_finish() {
    let world = World::new();
    let (mut gate, gated) = Gate::new(Stubborn::No);
    let worker = world.worker(2, Handlers::new().with("gated", gated));
    let running = world.add("gated").await;
    gate.begun().await;
    worker.drain();
    let queued = world.add("gated").await;
    let beats = limits::LEASE.as_secs() as usize * 2;
    world.link.more(Verb::Extend, beats).await;
    assert_eq!(world.get(running).await.status, Status::Running);
    let ready = worker.health.ready(Duration::from_secs(5));
    assert_eq!(ready, Err("draining".to_owned()));
    gate.open(2);
    worker.ended().await;
    assert_eq!(world.succeeded(running).await.attempt, 1);
    assert_eq!(world.get(queued).await.status, Status::Queued);
}

#[tokio::test(start_paused = true)]
async fn after_the_grace_time_jobs_are_handed_back_first_in_line_without_using_an_attempt() {
    for stubborn in [Stubborn::No, Stubborn::Yes] {
        let world = World::new();
        let (mut gate, gated) = Gate::new(stubborn);
        let config = WorkerConfig {
            grace: GRACE,
            ..config(1)
        };
        let most = GRACE + config.stop_grace + AT_ONCE;
        let worker = world.worker_as(config, Handlers::new().with("gated", gated));
        let ids = world.add_many("gated", 2).await;
        let first = gate.begun().await.id;
        let begun = Instant::now();
        worker.stop().await;
        let took = begun.elapsed();
        assert!(took >= GRACE && took <= most, "{took:?}");
        for id in ids {
            let job = world.get(id).await;
            assert_eq!((job.status, job.attempt), (Status::Queued, 0));
            assert_eq!(job.error, None);
        }
        let (mut gate, gated) = Gate::new(Stubborn::No);
        let next = world.other_worker(1, Handlers::new().with("gated", gated));
        let again = gate.begun().await;
        assert_eq!((again.id, again.attempt), (first, 1));
        gate.open(2);
        next.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_ends_though_its_store_is_gone() {
    let world = World::new();
    let (mut gate, gated) = Gate::new(Stubborn::No);
    let worker = world.worker(2, Handlers::new().with("gated", gated));
    let id = world.add("gated").await;
    gate.begun().await;
    world.link.cut();
    let begun = Instant::now();
    worker.stop().await;
    let most = config(2).grace + Duration::from_secs(10);
    assert!(begun.elapsed() <= most, "{:?}", begun.elapsed());
    let other = world.other_worker(1, Handlers::new().with("gated", Gate::new(Stubborn::No).1));
    let job = world.until(id, |job| !job.history.is_empty()).await;
    assert_eq!(job.history[0].error.code, "lease_lost");
    other.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_ends_though_its_store_never_answers() {
    let world = World::new();
    let verbs = [Verb::Claim, Verb::Extend, Verb::Reclaim, Verb::Deregister];
    for verb in verbs {
        world.link.always(verb, Fault::Hangs);
    }
    let worker = world.worker(2, quick());
    world.link.more(Verb::Claim, 1).await;
    let begun = Instant::now();
    worker.stop().await;
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_loses_a_part_hands_its_jobs_back_and_says_so() {
    let world = World::new();
    let (mut gate, gated) = Gate::new(Stubborn::No);
    let worker = world.worker(1, Handlers::new().with("gated", gated));
    let id = world.add("gated").await;
    gate.begun().await;
    world.link.next(Verb::Reclaim, Fault::Panics);
    let ended = worker.result().await;
    assert!(matches!(ended, Err(WorkerError::Broken(_))), "{ended:?}");
    let job = world.get(id).await;
    assert_eq!((job.status, job.attempt), (Status::Queued, 0));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_cannot_register_does_not_begin() {
    let world = World::new();
    world.link.next(Verb::Register, Fault::RequestLost);
    let ended = world.worker(1, quick()).result().await;
    assert!(matches!(ended, Err(WorkerError::Register(_))), "{ended:?}");
    assert_eq!(world.link.calls(Verb::Claim), 0);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_worker_stops_all_it_began() {
    let world = World::new();
    let (mut gate, gated) = Gate::new(Stubborn::Yes);
    let worker = world.worker(2, Handlers::new().with("gated", gated));
    world.add("gated").await;
    gate.begun().await;
    worker.kill().await;
    gate.ended().await;
    let calls = world.link.all_calls();
    tokio::time::sleep(limits::LEASE).await;
    assert_eq!(world.link.all_calls(), calls);
}
