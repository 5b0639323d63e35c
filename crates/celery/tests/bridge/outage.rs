//! Servers that are away or full.

use std::sync::Arc;
use std::time::Duration;

use lovage_core::broker::Broker;
use lovage_core::queue::QueueLimits;
use lovage_tests::faults::{Faults, FaultyBroker};
use serde_json::json;

use crate::world::{Message, World, echo, until};

#[tokio::test]
async fn a_full_queue_is_waited_for() {
    let Some(world) = World::start().await else {
        return;
    };
    let queue = "celery".parse().unwrap();
    let limits = QueueLimits {
        length: Some(1),
        ..QueueLimits::default()
    };
    world.store.limit(&queue, &limits).await.unwrap();
    world.bridge();
    let sent = [1, 2, 3].map(|number| Message::new("echo", json!([number])));
    for message in &sent {
        world.send(message).await;
    }
    world.holds(3).await;
    world.worker(echo);
    for message in &sent {
        assert_eq!(world.result(&message.id).await["status"], "SUCCESS");
    }
    world.is_quiet().await;
}

#[tokio::test]
async fn a_store_that_loses_every_other_call_does_each_task_once() {
    let Some(world) = World::start().await else {
        return;
    };
    let faults = Faults {
        request_lost: 0.3,
        answer_lost: 0.3,
        delay_max: Duration::ZERO,
    };
    let store = FaultyBroker::new(Arc::new(world.store.clone()), faults, 7);
    world.bridge_to(world.config(), Arc::new(store));
    world.worker(echo);
    let sent: Vec<Message> = (0..20)
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
}

#[tokio::test]
async fn a_server_that_restarts_loses_no_task() {
    let kept = ["--appendonly", "yes", "--appendfsync", "always"];
    let Some(mut world) = World::with(&kept).await else {
        return;
    };
    world.bridge();
    let before = Message::new("echo", json!(["before"]));
    world.send(&before).await;
    until("the job is there", async || {
        world.job(&before).await.is_some()
    })
    .await;
    world.redis.kill().await;
    world.worker(echo);
    world.redis.restart().await;
    let after = Message::new("echo", json!(["after"]));
    world.send(&after).await;
    for message in [&before, &after] {
        assert_eq!(world.result(&message.id).await["status"], "SUCCESS");
    }
    world.is_quiet().await;
}

#[tokio::test]
async fn a_full_server_is_emptied_and_answers_when_there_is_room() {
    let Some(world) = World::start().await else {
        return;
    };
    world.worker(echo);
    let sent: Vec<Message> = (0..3)
        .map(|number| Message::new("echo", json!([number])))
        .collect();
    for message in &sent {
        world.send(message).await;
    }
    let _: String = world.ask(&[b"CONFIG", b"SET", b"maxmemory", b"1"]).await;
    world.bridge();
    for message in &sent {
        until("the job is there", async || {
            world.job(message).await.is_some()
        })
        .await;
    }
    assert_eq!(world.ask::<u64>(&[b"LLEN", b"celery"]).await, 0);
    let _: String = world.ask(&[b"CONFIG", b"SET", b"maxmemory", b"0"]).await;
    for message in &sent {
        assert_eq!(world.result(&message.id).await["status"], "SUCCESS");
    }
    world.is_quiet().await;
}
