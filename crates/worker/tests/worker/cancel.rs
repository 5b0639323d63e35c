//! Cancelling running jobs.

use std::time::Duration;

use lovage_core::broker::{Broker, CancelReply};
use lovage_core::id::JobId;
use lovage_core::status::Status;
use lovage_workflow::{Failure, Handlers};
use tokio::time::Instant;

use crate::gate::{Gate, Stubborn};
use crate::link::{Fault, Verb};
use crate::world::{AT_ONCE, World, config, handler};

/// Asks a running job to stop; how long it took until it was cancelled.
async fn cancelled(world: &World, id: JobId) -> Duration {
    let asked = Instant::now();
    let reply = world.store.cancel(&id).await.unwrap();
    assert_eq!(reply, CancelReply::Requested);
    let job = world.ended(id).await;
    assert_eq!(job.status, Status::Cancelled);
    asked.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_job_stops_at_once_whether_slots_are_free_or_not() {
    for slots in [1, 2] {
        let world = World::new();
        let (mut gate, gated) = Gate::new(Stubborn::No);
        let worker = world.worker(slots, Handlers::new().with("gated", gated));
        let id = world.add("gated").await;
        gate.begun().await;
        let took = cancelled(&world, id).await;
        assert!(took < AT_ONCE, "{slots} slots: {took:?}");
        gate.ended().await;
        worker.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_does_not_stop_is_dropped() {
    let world = World::new();
    let (mut gate, gated) = Gate::new(Stubborn::Yes);
    let worker = world.worker(1, Handlers::new().with("gated", gated));
    let id = world.add("gated").await;
    gate.begun().await;
    let took = cancelled(&world, id).await;
    assert!(took <= config(1).stop_grace + AT_ONCE, "{took:?}");
    gate.ended().await;
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_cancel_whose_wake_up_was_lost_is_heard_with_the_next_heartbeat() {
    let world = World::new();
    let (mut gate, gated) = Gate::new(Stubborn::No);
    world.link.always(Verb::Wake, Fault::AnswerLost);
    let worker = world.worker(1, Handlers::new().with("gated", gated));
    let id = world.add("gated").await;
    gate.begun().await;
    let took = cancelled(&world, id).await;
    assert!(took <= config(1).heartbeat + AT_ONCE, "{took:?}");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_job_is_not_retried_whatever_its_handler_says() {
    let world = World::new();
    let (mut gate, gated) = Gate::new(Stubborn::No);
    let retrying = handler(async |context| {
        context.stop().cancelled().await;
        Err(Failure::retry("interrupted", "the download broke off"))
    });
    let handlers = Handlers::new()
        .with("gated", gated)
        .with("retrying", retrying);
    let worker = world.worker(2, handlers);
    let id = world.add("retrying").await;
    // In order: once the second job runs, the first one does.
    let other = world.add("gated").await;
    gate.begun().await;
    cancelled(&world, id).await;
    gate.open(1);
    world.succeeded(other).await;
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_job_that_finishes_in_spite_of_a_cancel_has_succeeded() {
    let world = World::new();
    let (mut gate, gated) = Gate::new(Stubborn::Yes);
    let worker = world.worker(1, Handlers::new().with("gated", gated));
    let id = world.add("gated").await;
    gate.begun().await;
    world.store.cancel(&id).await.unwrap();
    gate.open(1);
    world.succeeded(id).await;
    worker.stop().await;
}
