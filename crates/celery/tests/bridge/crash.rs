//! Bridges that die at every point, and others that take over.

use std::sync::Arc;
use std::time::Duration;

use lovage_celery::CeleryConfig;
use lovage_tests::faults::{Faults, FaultyBroker};
use lovage_tests::proxy::{Lost, RedisProxy};
use serde_json::json;
use tokio::time::Instant;

use crate::world::{Message, World, echo, until};

/// A store that a bridge never reaches, or never hears from.
fn unreachable(world: &World, request_lost: f64, answer_lost: f64) -> Arc<FaultyBroker> {
    let faults = Faults {
        request_lost,
        answer_lost,
        delay_max: Duration::ZERO,
    };
    Arc::new(FaultyBroker::new(Arc::new(world.store.clone()), faults, 1))
}

#[tokio::test]
async fn a_message_that_was_taken_and_not_enqueued_is_taken_over() {
    let Some(world) = World::start().await else {
        return;
    };
    let message = Message::new("echo", json!([1]));
    let first = world.bridge_to(world.config(), unreachable(&world, 1.0, 0.0));
    world.send(&message).await;
    world.holds(1).await;
    first.kill().await;
    assert!(world.job(&message).await.is_none());
    taken_over(&world, &message).await;
}

#[tokio::test]
async fn a_message_that_was_enqueued_unheard_is_taken_over() {
    let Some(world) = World::start().await else {
        return;
    };
    let message = Message::new("echo", json!([1]));
    let first = world.bridge_to(world.config(), unreachable(&world, 0.0, 1.0));
    world.send(&message).await;
    until("the job is there", async || {
        world.job(&message).await.is_some()
    })
    .await;
    first.kill().await;
    taken_over(&world, &message).await;
}

#[tokio::test]
async fn a_task_that_ends_while_no_bridge_is_there_is_answered_by_the_next() {
    let Some(world) = World::start().await else {
        return;
    };
    let message = Message::new("echo", json!([1]));
    let first = world.bridge();
    world.send(&message).await;
    until("the job is there", async || {
        world.job(&message).await.is_some()
    })
    .await;
    first.kill().await;
    world.worker(echo);
    until("the job is over", async || {
        world
            .job(&message)
            .await
            .is_some_and(|job| job.status.is_final())
    })
    .await;
    taken_over(&world, &message).await;
}

/// Another bridge has the message done: one job, one attempt, one result.
async fn taken_over(world: &World, message: &Message) {
    world.outlast_silence().await;
    let second = world.bridge();
    let worker = world.worker(echo);
    let meta = world.result(&message.id).await;
    assert_eq!(
        (&meta["status"], &meta["result"]["args"]),
        (&json!("SUCCESS"), &json!([1]))
    );
    world.is_quiet().await;
    assert_eq!(world.job(message).await.unwrap().attempt, 1);
    let dead: u64 = world.ask(&[b"LLEN", b"lovage.dead"]).await;
    assert_eq!(dead, 0);
    worker.abort();
    second.stop().await;
}

/// The connection breaks at each of the commands that a bridge sends, before or
/// after it took effect, and the bridge dies with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_may_die_at_any_command() {
    let Some(world) = World::start().await else {
        return;
    };
    for lost in [Lost::Request, Lost::Reply] {
        let mut died = 0;
        while dies_after(&world, died, lost).await {
            died += 1;
        }
        // Taking, asking for revocations, three states and the end at the least.
        assert!(died >= 8, "{died} commands were seen");
    }
}

/// Whether the bridge came to that command before all was over.
async fn dies_after(world: &World, commands: usize, lost: Lost) -> bool {
    let proxy = RedisProxy::start(world.redis.port()).await;
    let message = Message::new("echo", json!([1]));
    world.send(&message).await;
    proxy.lose_after(commands, lost);
    let config = CeleryConfig {
        result_backend: proxy.url(),
        ..CeleryConfig {
            broker_url: proxy.url(),
            ..world.config()
        }
    };
    let worker = world.worker(echo);
    let first = world.bridge_to(config, Arc::new(world.store.clone()));
    until("the loss or the end", async || {
        proxy.has_lost()
            || world.ask::<u64>(&[b"HLEN", b"lovage.ledger"]).await == 0
                && world.ask::<u64>(&[b"LLEN", b"celery"]).await == 0
    })
    .await;
    let died = proxy.has_lost();
    drop(proxy);
    first.kill_or_failed().await;
    worker.abort();
    taken_over(world, &message).await;
    died
}

#[tokio::test]
async fn a_bridge_that_stops_leaves_its_tasks_to_another_at_once() {
    let Some(world) = World::start().await else {
        return;
    };
    let message = Message::new("echo", json!([1]));
    let first = world.bridge();
    world.send(&message).await;
    until("the job is there", async || {
        world.job(&message).await.is_some()
    })
    .await;
    first.stop().await;
    world.holds(1).await;
    let begun = Instant::now();
    world.bridge();
    world.worker(echo);
    assert_eq!(world.result(&message.id).await["status"], "SUCCESS");
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "it was not given up at once"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bridges_side_by_side_do_each_task_once() {
    let Some(world) = World::start().await else {
        return;
    };
    let bridges = [world.bridge(), world.bridge()];
    world.worker(echo);
    world.worker(echo);
    let sent: Vec<Message> = (0..100)
        .map(|number| Message::new("echo", json!([number])))
        .collect();
    for message in &sent {
        world.send(message).await;
    }
    for (number, message) in sent.iter().enumerate() {
        let meta = world.result(&message.id).await;
        assert_eq!(meta["result"]["args"], json!([number]));
        assert_eq!(world.job(message).await.unwrap().attempt, 1);
    }
    world.is_quiet().await;
    for bridge in bridges {
        bridge.stop().await;
    }
}
