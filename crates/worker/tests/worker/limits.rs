//! A limited queue gives its workers no more than it may, and all that it may.

use std::time::Duration;

use lovage_core::broker::Broker;
use lovage_core::clock::Clock;
use lovage_core::id::QueueName;
use lovage_core::queue::{QueueLimits, Rate};
use lovage_workflow::{Handlers, Payload};
use tokio::time::sleep;

use crate::gate::{Gate, Stubborn};
use crate::world::{AT_ONCE, World, handler, quick};

async fn limit(world: &World, limits: QueueLimits) {
    world
        .store
        .limit(&QueueName::default(), &limits)
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_kept_over_workers_and_used_up() {
    let world = World::new();
    let rate = Rate {
        jobs: 4,
        per_ms: 1_000,
        burst: 1,
    };
    limit(
        &world,
        QueueLimits {
            rate: Some(rate),
            ..QueueLimits::default()
        },
    )
    .await;
    let workers = [world.worker(8, quick()), world.other_worker(8, quick())];
    let since = world.clock.now();
    let ids = world.add_many("quick", 13).await;
    let mut started = Vec::new();
    for id in ids {
        started.push(world.succeeded(id).await.started_at.unwrap());
    }
    started.sort_unstable();
    for (place, at) in (0_u32..).zip(started) {
        let after = Duration::try_from(at.duration_since(since)).unwrap();
        let due = Duration::from_millis(250) * place;
        assert!((due..due + AT_ONCE).contains(&after), "{place}: {after:?}");
    }
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_ends_makes_room_at_once_for_another_worker() {
    let world = World::new();
    limit(
        &world,
        QueueLimits {
            concurrency: Some(2),
            ..QueueLimits::default()
        },
    )
    .await;
    let slow = || {
        handler(async |_| {
            sleep(Duration::from_secs(3)).await;
            Ok(Payload::null())
        })
    };
    let handlers = || Handlers::new().with("slow", slow());
    let workers = [
        world.worker(8, handlers()),
        world.other_worker(8, handlers()),
    ];
    let since = world.clock.now();
    let ids = world.add_many("slow", 6).await;
    for (place, id) in (0_u32..).zip(ids) {
        let job = world.succeeded(id).await;
        let after = Duration::try_from(job.started_at.unwrap().duration_since(since)).unwrap();
        let due = Duration::from_secs(3) * (place / 2);
        assert!((due..due + AT_ONCE).contains(&after), "{place}: {after:?}");
    }
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_lifted_is_seen_by_waiting_workers() {
    let world = World::new();
    limit(
        &world,
        QueueLimits {
            concurrency: Some(1),
            ..QueueLimits::default()
        },
    )
    .await;
    let (mut gate, gated) = Gate::new(Stubborn::No);
    let worker = world.worker(4, Handlers::new().with("gated", gated));
    let ids = world.add_many("gated", 3).await;
    gate.begun().await;
    assert_eq!(world.stats().await.running, 1);
    limit(&world, QueueLimits::default()).await;
    gate.begun().await;
    gate.begun().await;
    gate.open(3);
    for id in ids {
        world.succeeded(id).await;
    }
    worker.stop().await;
}
