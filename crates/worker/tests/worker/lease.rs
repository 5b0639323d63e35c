//! Losing the lease: stop, write nothing, begin anew.

use std::time::Duration;

use lovage_core::broker::Broker;
use lovage_core::limits;
use lovage_core::status::Status;
use lovage_workflow::{Failure, Handlers};
use tokio::sync::mpsc;

use crate::gate::{Gate, Stubborn};
use crate::link::{Fault, Verb};
use crate::world::{World, handler, quick};

/// Keeps the worker from extending until its own sweep has declared it dead.
async fn outlast_the_lease(world: &World) {
    world.link.always(Verb::Extend, Fault::RequestLost);
    let heartbeats = limits::LEASE.as_secs() / limits::HEARTBEAT.as_secs();
    world.link.more(Verb::Extend, heartbeats as usize + 1).await;
    world.link.more(Verb::Reclaim, 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_lost_its_lease_stops_its_jobs_and_goes_on_under_a_new_id() {
    // With one slot the heartbeat finds out, with two the next claim does.
    for slots in [1, 2] {
        let world = World::new();
        let (mut gate, gated) = Gate::new(Stubborn::No);
        let worker = world.worker(slots, Handlers::new().with("gated", gated));
        let id = world.add("gated").await;
        gate.begun().await;
        let before = world.get(id).await.worker;
        outlast_the_lease(&world).await;
        world.link.mend();
        gate.ended().await;
        assert_eq!(gate.begun().await.attempt, 2);
        let after = world.get(id).await.worker;
        assert!(before.is_some() && after.is_some() && before != after);
        gate.open(1);
        let job = world.succeeded(id).await;
        assert_eq!(job.history.len(), 1);
        assert_eq!(job.history[0].error.code, "lease_lost");
        // The lost attempt did not even try to settle.
        assert_eq!(world.link.calls(Verb::Settle), 1);
        worker.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn heartbeat_and_claim_register_anew_together_once() {
    let world = World::new();
    let (mut gate, gated) = Gate::new(Stubborn::No);
    let worker = world.worker(2, Handlers::new().with("gated", gated));
    let id = world.add("gated").await;
    gate.begun().await;
    let slow = Fault::Slow(Duration::from_secs(5));
    world.link.next(Verb::Register, slow);
    outlast_the_lease(&world).await;
    world.link.mend();
    gate.ended().await;
    assert_eq!(gate.begun().await.attempt, 2);
    gate.open(1);
    world.succeeded(id).await;
    world.link.more(Verb::Extend, 10).await;
    assert_eq!(world.link.calls(Verb::Register), 2);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_does_not_know_it_was_lost_cannot_settle() {
    let world = World::new();
    let (mut gate, gated) = Gate::new(Stubborn::No);
    let worker = world.worker(1, quick().with("gated", gated));
    let id = world.add("gated").await;
    gate.begun().await;
    outlast_the_lease(&world).await;
    let (mut other_gate, other_gated) = Gate::new(Stubborn::No);
    let other = world.other_worker(1, Handlers::new().with("gated", other_gated));
    other_gate.begun().await;
    other_gate.open(1);
    let taken_over = world.succeeded(id).await;
    assert_eq!(taken_over.attempt, 2);
    other.stop().await;
    gate.open(1);
    world.link.more(Verb::Settle, 1).await;
    world.succeeded(world.add("quick").await).await;
    assert_eq!(world.get(id).await, taken_over);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_step_after_the_lease_was_lost_stores_nothing_and_stops_the_attempt() {
    let world = World::new();
    let (mut gate, gated) = Gate::new(Stubborn::No);
    let (said, mut says) = mpsc::unbounded_channel();
    let (go_on, goes_on) = tokio::sync::watch::channel(false);
    let stepping = handler(move |context| {
        let (said, mut goes_on) = (said.clone(), goes_on.clone());
        async move {
            goes_on.wait_for(|go_on| *go_on).await.unwrap();
            let stored = context.step("late", &(), async || Ok(1)).await;
            let stopped = context.stop().is_cancelled();
            said.send((stored.clone(), stopped)).unwrap();
            context.done(&stored?)
        }
    });
    let worker = world.worker(2, quick().with("stepping", stepping).with("gated", gated));
    let id = world.add("stepping").await;
    // In order: once the second job runs, the first one does.
    world.add("gated").await;
    gate.begun().await;
    outlast_the_lease(&world).await;
    // Until it is looked at, no second attempt may begin.
    world.link.always(Verb::Register, Fault::RequestLost);
    assert_eq!(world.get(id).await.status, Status::Queued);
    go_on.send(true).unwrap();
    let late = tokio::time::timeout(crate::world::SOON, says.recv()).await;
    assert_eq!(late.unwrap(), Some((Err(Failure::Stopped), true)));
    assert!(world.store.checkpoints(&id).await.unwrap().is_empty());
    world.link.mend();
    gate.open(2);
    assert_eq!(world.succeeded(id).await.attempt, 2);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_job_given_under_a_lost_id_is_not_run() {
    let world = World::new();
    let (mut gate, gated) = Gate::new(Stubborn::No);
    let answered = limits::LEASE * 2;
    world.link.next(Verb::Claim, Fault::Slow(answered));
    let id = world.add("gated").await;
    let worker = world.worker(1, Handlers::new().with("gated", gated));
    outlast_the_lease(&world).await;
    world.link.mend();
    // The heartbeat has registered anew by now; the slow claim is still out.
    world.link.more(Verb::Extend, 2).await;
    assert_eq!(world.link.calls(Verb::Register), 2);
    assert!(!gate.has_begun());
    assert_eq!(gate.begun().await.attempt, 2);
    gate.open(1);
    let job = world.succeeded(id).await;
    assert_eq!(job.history.len(), 1);
    worker.stop().await;
}
