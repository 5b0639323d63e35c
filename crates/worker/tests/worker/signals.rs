//! Jobs that wait for a value from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use lovage_core::broker::{Broker, SignalReply};
use lovage_core::clock::Clock;
use lovage_core::id::JobId;
use lovage_core::job::NewJob;
use lovage_core::status::{Status, WaitReason};
use lovage_workflow::{Context, Handler, Payload};

use crate::world::{World, handler, quick};

const HOUR: Duration = Duration::from_secs(3600);

/// Gives what it is told under the name `approval` within an hour; counts how
/// often it is begun.
fn approved() -> (Arc<AtomicU32>, impl Handler) {
    let begun = Arc::new(AtomicU32::new(0));
    let counted = begun.clone();
    let approved = handler(move |context: Context| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move {
            let said: Option<String> = context.signal("approval", HOUR).await?;
            context.done(&said)
        }
    });
    (begun, approved)
}

async fn approve(world: &World, id: JobId, said: &str) -> SignalReply {
    let said = Payload::of(&said).unwrap();
    world.store.signal(&id, "approval", &said).await.unwrap()
}

fn once(world: &World) -> NewJob {
    NewJob {
        attempts_max: 1,
        ..world.job("approved")
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_waits_for_a_signal_holds_no_slot_and_goes_on_once_with_it() {
    let world = World::new();
    let (begun, approved) = approved();
    let worker = world.worker(1, quick().with("approved", approved));
    let id = world.enqueue(once(&world)).await;
    let waits = world.until(id, |job| job.status == Status::Waiting).await;
    let reason = waits.waiting.unwrap().reason;
    assert_eq!(reason, WaitReason::Signal("approval".to_owned()));
    world.succeeded(world.add("quick").await).await;
    let elsewhere = world.store.signal(&id, "other", &Payload::null()).await;
    assert_eq!(elsewhere.unwrap(), SignalReply::Delivered);
    assert_eq!(world.get(id).await.status, Status::Waiting);
    assert_eq!(approve(&world, id, "yes").await, SignalReply::Delivered);
    assert_eq!(approve(&world, id, "no").await, SignalReply::Taken);
    let job = world.succeeded(id).await;
    assert_eq!(job.result.unwrap().as_str(), "\"yes\"");
    assert_eq!((job.attempt, begun.load(Ordering::SeqCst)), (1, 2));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_signal_that_came_first_is_not_waited_for() {
    let world = World::new();
    let id = world.enqueue(once(&world)).await;
    assert_eq!(approve(&world, id, "yes").await, SignalReply::Delivered);
    let (begun, approved) = approved();
    let worker = world.worker(1, quick().with("approved", approved));
    let job = world.succeeded(id).await;
    assert_eq!(job.result.unwrap().as_str(), "\"yes\"");
    assert_eq!(begun.load(Ordering::SeqCst), 1);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_job_goes_on_without_a_signal_that_does_not_come_in_time() {
    let world = World::new();
    let (begun, approved) = approved();
    let worker = world.worker(1, quick().with("approved", approved));
    let since = world.clock.now();
    let id = world.enqueue(once(&world)).await;
    world.until(id, |job| job.status == Status::Waiting).await;
    // So that an hour is not ticked through.
    world.clock.advance(HOUR - Duration::from_secs(1));
    let job = world.succeeded(id).await;
    assert_eq!(job.result.unwrap(), Payload::null());
    assert!(job.finished_at.unwrap().duration_since(since).as_secs() >= 3600);
    assert_eq!((job.attempt, begun.load(Ordering::SeqCst)), (1, 2));
    assert_eq!(
        approve(&world, id, "yes").await,
        SignalReply::TooLate(Status::Succeeded)
    );
    worker.stop().await;
}
