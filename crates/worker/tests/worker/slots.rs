//! Slots: a job is claimed for a free one and keeps it until it is settled.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use lovage_core::id::QueueName;
use lovage_core::job::NewJob;
use lovage_core::status::Status;
use lovage_worker::WorkerConfig;
use lovage_workflow::{Handlers, Payload};
use tokio::sync::Barrier;
use tokio::time::{Instant, sleep};

use crate::gate::{Gate, Stubborn};
use crate::link::Verb;
use crate::world::{AT_ONCE, World, handler, quick};

#[tokio::test(start_paused = true)]
async fn no_more_jobs_run_than_there_are_slots() {
    let world = World::new();
    let (mut gate, gated) = Gate::new(Stubborn::No);
    let worker = world.worker(3, Handlers::new().with("gated", gated));
    let ids = world.add_many("gated", 12).await;
    for done in 0..12 {
        gate.begun().await;
        if done >= 2 {
            let stats = world.stats().await;
            assert_eq!(stats.running, 3.min(12 - (done as u64 - 2)));
            gate.open(1);
        }
    }
    gate.open(2);
    for id in ids {
        world.succeeded(id).await;
    }
    assert_eq!(gate.peak(), 3);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_claimed_while_no_slot_is_free() {
    let world = World::new();
    let (mut gate, gated) = Gate::new(Stubborn::No);
    let worker = world.worker(1, Handlers::new().with("gated", gated));
    let first = world.add("gated").await;
    gate.begun().await;
    let second = world.add("gated").await;
    let claims = world.link.calls(Verb::Claim);
    world.link.more(Verb::Extend, 20).await;
    assert_eq!(world.link.calls(Verb::Claim), claims);
    let waiting = world.get(second).await;
    assert_eq!((waiting.status, waiting.attempt), (Status::Queued, 0));
    gate.open(2);
    world.succeeded(first).await;
    world.succeeded(second).await;
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn two_hundred_jobs_that_wait_for_each_other_run_at_once() {
    const JOBS: usize = 200;
    let world = World::new();
    let barrier = Arc::new(Barrier::new(JOBS));
    let meeting = handler(move |_| {
        let barrier = barrier.clone();
        async move {
            barrier.wait().await;
            Ok(Payload::null())
        }
    });
    let worker = world.worker(JOBS, Handlers::new().with("meeting", meeting));
    for id in world.add_many("meeting", JOBS).await {
        world.succeeded(id).await;
    }
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_freed_slot_takes_the_next_job_at_once() {
    let world = World::new();
    let worker = world.worker(1, quick());
    let begun = Instant::now();
    for id in world.add_many("quick", 50).await {
        world.succeeded(id).await;
    }
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    worker.stop().await;
}

fn queues(names: [&str; 2], slots: usize) -> WorkerConfig {
    let names = names.map(|name| name.parse::<QueueName>().unwrap());
    WorkerConfig::new(names.to_vec(), slots)
}

#[tokio::test(start_paused = true)]
async fn a_busy_queue_does_not_keep_another_from_the_slots() {
    // Shorter and longer than a wait for cancels.
    for millis in [50, 1_300, 1_700] {
        let world = World::new();
        let order = Arc::new(Mutex::new(Vec::new()));
        let noted = order.clone();
        let noting = handler(move |context| {
            let noted = noted.clone();
            async move {
                noted.lock().unwrap().push(context.input::<String>()?);
                sleep(Duration::from_millis(millis)).await;
                Ok(Payload::null())
            }
        });
        let in_queue = |name: &str| NewJob {
            queue: name.parse().unwrap(),
            input: Payload::of(&name).unwrap(),
            ..world.job("noting")
        };
        for _ in 0..10 {
            world.enqueue(in_queue("busy")).await;
            world.enqueue(in_queue("calm")).await;
        }
        let handlers = Handlers::new().with("noting", noting);
        let worker = world.worker_as(queues(["busy", "calm"], 1), handlers);
        let last = in_queue("calm");
        world.succeeded(world.enqueue(last).await).await;
        let busy = |order: &[String]| order.iter().filter(|name| *name == "busy").count();
        let busy = busy(&order.lock().unwrap());
        assert!(
            (9..=11).contains(&busy),
            "{millis} ms: {busy} busy jobs went first"
        );
        worker.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_queue_keeps_no_slot() {
    let world = World::new();
    let barrier = Arc::new(Barrier::new(2));
    let meeting = handler(move |_| {
        let barrier = barrier.clone();
        async move {
            barrier.wait().await;
            Ok(Payload::null())
        }
    });
    let handlers = Handlers::new().with("meeting", meeting);
    let worker = world.worker_as(queues(["idle", "default"], 2), handlers);
    world.link.more(Verb::Wake, 2).await;
    let begun = Instant::now();
    for id in world.add_many("meeting", 2).await {
        world.succeeded(id).await;
    }
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_worker_makes_few_calls() {
    const SECONDS: u64 = 60;
    let world = World::new();
    let worker = world.worker(8, quick());
    world.succeeded(world.add("quick").await).await;
    let before = world.link.all_calls();
    sleep(Duration::from_secs(SECONDS)).await;
    let calls = world.link.all_calls() - before;
    assert!(calls < 5 * SECONDS as usize, "{calls} calls");
    worker.stop().await;
}
