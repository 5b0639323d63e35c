//! Handlers that block a thread, in real time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use lovage_core::broker::Broker;
use lovage_core::job::{NewJob, Progress};
use lovage_core::status::Status;
use lovage_worker::WorkerConfig;
use lovage_workflow::{BlockingHandler, Handlers, Payload};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::link::Verb;
use crate::world::{World, blocking, config, quick};

/// A handler that blocks its thread until the test says how often it may end;
/// it says when it begins.
fn blocked() -> (
    UnboundedReceiver<()>,
    mpsc::Sender<()>,
    impl BlockingHandler,
) {
    let (begun, begins) = unbounded_channel();
    let (go, goes) = mpsc::channel();
    let goes = Mutex::new(goes);
    let blocked = blocking(move |_| {
        begun.send(()).unwrap();
        goes.lock().unwrap().recv().unwrap();
        Ok(Payload::null())
    });
    (begins, go, blocked)
}

/// Heartbeats often enough for a test in real time.
fn lively(slots: usize) -> WorkerConfig {
    WorkerConfig {
        heartbeat: Duration::from_millis(10),
        ..config(slots)
    }
}

async fn others_go_on_while_a_handler_blocks() {
    let world = World::new();
    let (mut begins, go, blocked) = blocked();
    let worker = world.worker_as(lively(2), quick().with_blocking("blocked", blocked));
    let id = world.add("blocked").await;
    begins.recv().await.unwrap();
    let claims = world.link.calls(Verb::Claim);
    for id in world.add_many("quick", 5).await {
        world.succeeded(id).await;
    }
    assert!(world.link.calls(Verb::Claim) > claims);
    world.link.more(Verb::Extend, 5).await;
    assert_eq!(world.get(id).await.status, Status::Running);
    go.send(()).unwrap();
    world.succeeded(id).await;
    worker.stop().await;
}

#[tokio::test]
async fn jobs_claims_and_heartbeats_go_on_while_a_handler_blocks_on_one_thread() {
    others_go_on_while_a_handler_blocks().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_claims_and_heartbeats_go_on_while_a_handler_blocks_on_many_threads() {
    others_go_on_while_a_handler_blocks().await;
}

#[tokio::test]
async fn no_more_handlers_block_than_the_pool_has_threads() {
    const THREADS: usize = 2;
    let world = World::new();
    let (begun, mut begins) = unbounded_channel();
    let (go, goes) = semaphore();
    let running = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let counted = running.clone();
    let counting = blocking(move |_| {
        let (now, peak) = &*counted;
        peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        begun.send(()).unwrap();
        goes();
        now.fetch_sub(1, Ordering::SeqCst);
        Ok(Payload::null())
    });
    let config = WorkerConfig {
        blocking_threads: THREADS,
        ..lively(8)
    };
    let worker = world.worker_as(config, quick().with_blocking("counting", counting));
    let ids = world.add_many("counting", 6).await;
    for _ in 0..THREADS {
        begins.recv().await.unwrap();
    }
    // All six are claimed, and the loop goes on: yet no third one begins.
    world.succeeded(world.add("quick").await).await;
    assert_eq!(world.stats().await.running, 6);
    assert!(begins.try_recv().is_err());
    go(6);
    for id in ids {
        world.succeeded(id).await;
    }
    assert_eq!(running.1.load(Ordering::SeqCst), THREADS);
    worker.stop().await;
}

/// Something threads wait for, each taking one.
fn semaphore() -> (impl Fn(usize), impl Fn() + Send + Sync) {
    let (go, goes) = mpsc::channel();
    let goes = Mutex::new(goes);
    let release = move |count| (0..count).for_each(|_| go.send(()).unwrap());
    (release, move || goes.lock().unwrap().recv().unwrap())
}

#[tokio::test]
async fn a_panic_in_a_blocking_handler_is_a_failed_attempt() {
    let world = World::new();
    let panicking = blocking(|context| match context.job().attempt {
        1 => panic!("out of luck"),
        attempt => context.done(&attempt),
    });
    let handlers = Handlers::new().with_blocking("panicking", panicking);
    let worker = world.worker_as(lively(1), handlers);
    let job = world.succeeded(world.add("panicking").await).await;
    assert_eq!(job.attempt, 2);
    let error = &job.history[0].error;
    assert_eq!(error.code, "panic");
    assert_eq!(error.message, "the handler panicked: out of luck");
    worker.stop().await;
}

#[tokio::test]
async fn a_blocking_handler_stores_steps_and_tells_its_progress() {
    let world = World::new();
    let stepping = blocking(|context| {
        let progress = Progress {
            step: "sum".to_owned(),
            current: 1,
            total: 2,
            message: None,
        };
        let sum: u32 = context.step("sum", &(1, 2), || {
            context.progress(&progress)?;
            context.step("part", &1, || Ok(3))
        })?;
        context.done(&sum)
    });
    let handlers = Handlers::new().with_blocking("stepping", stepping);
    let worker = world.worker_as(lively(1), handlers);
    let id = world.add("stepping").await;
    assert_eq!(world.succeeded(id).await.result.unwrap().as_str(), "3");
    let stored = world.store.checkpoints(&id).await.unwrap();
    let steps: Vec<_> = stored
        .iter()
        .map(|one| (one.step.as_str(), one.value.as_str()))
        .collect();
    assert_eq!(steps, [("part", "3"), ("sum", "3")]);
    worker.stop().await;
}

#[tokio::test]
async fn a_blocking_handler_is_told_of_a_cancel() {
    let world = World::new();
    let (told, mut tells) = unbounded_channel();
    let looking = blocking(move |context| {
        told.send("begun").unwrap();
        while !context.is_stopped() {
            std::thread::yield_now();
        }
        told.send("stopped").unwrap();
        Ok(Payload::null())
    });
    let handlers = Handlers::new().with_blocking("looking", looking);
    let worker = world.worker_as(lively(1), handlers);
    let id = world.add("looking").await;
    assert_eq!(tells.recv().await, Some("begun"));
    world.store.cancel(&id).await.unwrap();
    assert_eq!(world.ended(id).await.status, Status::Cancelled);
    assert_eq!(tells.recv().await, Some("stopped"));
    worker.stop().await;
}

#[tokio::test]
async fn a_blocking_handler_is_told_that_its_time_is_over() {
    let world = World::new();
    let (told, mut tells) = unbounded_channel();
    let looking = blocking(move |context| {
        while !context.is_stopped() {
            std::thread::yield_now();
        }
        told.send(()).unwrap();
        Ok(Payload::null())
    });
    let handlers = Handlers::new().with_blocking("looking", looking);
    let worker = world.worker_as(lively(1), handlers);
    let id = world
        .enqueue(NewJob {
            timeout: Some(Duration::from_millis(20)),
            attempts_max: 1,
            ..world.job("looking")
        })
        .await;
    let job = world.ended(id).await;
    assert_eq!(job.status, Status::Failed);
    assert_eq!(job.error.unwrap().code, "timeout");
    tells.recv().await.unwrap();
    worker.stop().await;
}

#[tokio::test]
async fn a_blocking_handler_that_does_not_stop_keeps_its_thread_and_not_its_slot() {
    let world = World::new();
    let (mut begins, go, blocked) = blocked();
    let config = WorkerConfig {
        blocking_threads: 1,
        ..lively(1)
    };
    let worker = world.worker_as(config, quick().with_blocking("blocked", blocked));
    let id = world.add("blocked").await;
    begins.recv().await.unwrap();
    world.store.cancel(&id).await.unwrap();
    assert_eq!(world.ended(id).await.status, Status::Cancelled);
    world.succeeded(world.add("quick").await).await;
    let next = world.add("blocked").await;
    world.link.more(Verb::Extend, 3).await;
    assert!(begins.try_recv().is_err());
    go.send(()).unwrap();
    begins.recv().await.unwrap();
    go.send(()).unwrap();
    world.succeeded(next).await;
    worker.stop().await;
}
