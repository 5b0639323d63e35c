//! Jobs that spawn jobs and wait for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use lovage_core::broker::Broker;
use lovage_core::id::{JobId, Priority};
use lovage_core::job::{Job, NewJob};
use lovage_core::limits;
use lovage_core::status::{Join, Status, WaitReason};
use lovage_workflow::{Context, Failure, Handler, Handlers, NewChild, Payload};
use tokio::time::sleep;

use crate::gate::{Gate, Stubborn};
use crate::link::{Fault, Verb};
use crate::world::{World, handler, quick};

/// Spawns `count` children of kind `child` with their places as inputs, and
/// gives what they gave; counts how often it is begun.
fn parent(count: u32, join: Join) -> (Arc<AtomicU32>, impl Handler) {
    let begun = Arc::new(AtomicU32::new(0));
    let counted = begun.clone();
    let parent = handler(move |context: Context| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move {
            let children = (0..count).map(|place| NewChild::new("child", &place));
            let children = children.collect::<Result<Vec<_>, _>>()?;
            let results = context.children("all", children, join).await?;
            let results: Result<Vec<Payload>, _> = results.into_iter().collect();
            context.done(&results?)
        }
    });
    (begun, parent)
}

/// Gives ten times its place, the later the place the earlier.
fn slow_first() -> impl Handler {
    handler(async |context| {
        let place: u32 = context.input()?;
        sleep(Duration::from_secs(u64::from(10 - place))).await;
        context.done(&(place * 10))
    })
}

async fn children(world: &World, parent: JobId) -> Vec<Job> {
    let mut jobs = Vec::new();
    for child in world.store.children(&parent).await.unwrap() {
        jobs.push(world.get(child.id).await);
    }
    jobs
}

#[tokio::test(start_paused = true)]
async fn a_parent_goes_on_once_when_its_children_are_over_and_has_their_results_in_order() {
    let world = World::new();
    let (begun, parent) = parent(3, Join::All);
    let handlers = Handlers::new()
        .with("parent", parent)
        .with("child", slow_first());
    let worker = world.worker(4, handlers);
    let asked = NewJob {
        attempts_max: 1,
        priority: Priority::try_from(7).unwrap(),
        session: Some("s1".to_owned()),
        keep: limits::KEEP_CHILD * 2,
        ..world.job("parent")
    };
    let id = world.enqueue(asked).await;
    let waits = world.until(id, |job| job.status == Status::Waiting).await;
    assert_eq!(
        waits.waiting.unwrap().reason,
        WaitReason::Children(Join::All)
    );
    let job = world.succeeded(id).await;
    assert_eq!(job.result.unwrap().as_str(), "[0,10,20]");
    assert_eq!((job.attempt, begun.load(Ordering::SeqCst)), (1, 2));
    for (child, place) in children(&world, id).await.iter().zip(["0", "1", "2"]) {
        assert_eq!(child.input.as_str(), place);
        assert_eq!(child.parent, Some(id));
        assert_eq!(
            (&child.queue, child.priority),
            (&job.asked.queue, job.asked.priority)
        );
        assert_eq!(child.session.as_deref(), Some("s1"));
        assert_eq!(
            child.keep,
            limits::KEEP_CHILD * 2,
            "no shorter than its parent"
        );
        assert_eq!(child.keep_dead, limits::KEEP_CHILD);
    }
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_slot_is_enough_for_a_parent_its_children_and_theirs() {
    let world = World::new();
    let (_, top) = parent(2, Join::FirstFailure);
    let child = handler(async |context: Context| {
        let place: u32 = context.input()?;
        let leaves = (0..2).map(|leaf| NewChild::new("leaf", &(place * 10 + leaf)));
        let leaves = leaves.collect::<Result<Vec<_>, _>>()?;
        let sums = context.children("leaves", leaves, Join::All).await?;
        let sums: Vec<Payload> = sums.into_iter().collect::<Result<_, _>>()?;
        context.done(&sums)
    });
    let leaf = handler(async |context| context.done(&context.input::<u32>()?));
    let handlers = Handlers::new().with("parent", top);
    let worker = world.worker(1, handlers.with("child", child).with("leaf", leaf));
    let job = world.succeeded(world.add("parent").await).await;
    assert_eq!(job.result.unwrap().as_str(), "[[0,1],[10,11]]");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_first_failure_stops_the_other_children_and_a_redrive_runs_them_again() {
    let world = World::new();
    let (begun, parent) = parent(3, Join::FirstFailure);
    let failed = Arc::new(AtomicU32::new(0));
    let counted = failed.clone();
    let child = handler(move |context: Context| {
        let failed = counted.clone();
        async move {
            let place: u32 = context.input()?;
            match place {
                1 if failed.fetch_add(1, Ordering::SeqCst) == 0 => {
                    Err(Failure::give_up("page", "the page is gone"))
                }
                2 if failed.load(Ordering::SeqCst) <= 1 => {
                    context.stop().cancelled().await;
                    Err(Failure::Stopped)
                }
                _ => context.done(&place),
            }
        }
    });
    let handlers = Handlers::new().with("parent", parent).with("child", child);
    let worker = world.worker(4, handlers);
    let id = world.add("parent").await;
    let job = world.ended(id).await;
    assert_eq!(
        (job.status, begun.load(Ordering::SeqCst)),
        (Status::Failed, 2)
    );
    let error = job.error.unwrap();
    assert_eq!(error.code, "child_failed");
    assert!(
        error.message.contains("the page is gone (page)"),
        "{}",
        error.message
    );
    let ids = world.store.children(&id).await.unwrap();
    world.ended(ids[2].id).await;
    let ended: Vec<_> = children(&world, id).await;
    let ended: Vec<_> = ended.iter().map(|child| child.status).collect();
    assert_eq!(
        ended,
        [Status::Succeeded, Status::Failed, Status::Cancelled]
    );

    world.store.redrive(&id).await.unwrap();
    let job = world.until(id, |job| job.status == Status::Succeeded).await;
    assert_eq!(job.result.unwrap().as_str(), "[0,1,2]");
    assert_eq!(world.store.children(&id).await.unwrap().len(), 3);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn children_are_spawned_once_though_the_answer_is_lost_or_the_worker_dies() {
    let world = World::new();
    let (begun, first) = parent(2, Join::All);
    let (mut gate, gated) = Gate::new(Stubborn::No);
    world.link.next(Verb::Spawn, Fault::AnswerLost);
    world.link.next(Verb::Spawn, Fault::RequestLost);
    let worker = world.worker(
        1,
        Handlers::new().with("parent", first).with("child", gated),
    );
    let id = world.add("parent").await;
    gate.begun().await;
    assert_eq!(world.link.calls(Verb::Spawn), 3);
    worker.kill().await;

    let (again, second) = parent(2, Join::All);
    let handlers = Handlers::new()
        .with("parent", second)
        .with("child", slow_first());
    let other = world.other_worker(1, handlers);
    let job = world.succeeded(id).await;
    assert_eq!(job.result.unwrap().as_str(), "[0,10]");
    assert_eq!(
        (begun.load(Ordering::SeqCst), again.load(Ordering::SeqCst)),
        (1, 1)
    );
    assert_eq!(world.stats().await.succeeded_total, 3);
    other.stop().await;
}

#[tokio::test(start_paused = true)]
async fn more_children_than_a_job_may_have_fail_it_and_no_other() {
    let world = World::new();
    let (_, parent) = parent(limits::CHILDREN_MAX as u32 + 1, Join::All);
    let worker = world.worker(1, quick().with("parent", parent));
    let id = world.add("parent").await;
    let job = world.ended(id).await;
    assert_eq!((job.status, job.attempt), (Status::Failed, 1));
    assert!(job.error.unwrap().message.contains("1001, at most 1000"));
    assert!(world.store.children(&id).await.unwrap().is_empty());
    world.succeeded(world.add("quick").await).await;
    worker.stop().await;
}
