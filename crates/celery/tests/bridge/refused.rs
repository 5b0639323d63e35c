//! Messages that cannot be jobs, and those that must not be.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use lovage_core::clock::Clock;
use lovage_core::status::Status;
use serde_json::{Value, json};

use crate::world::{Message, World, echo, until};

#[tokio::test]
async fn what_is_no_task_is_kept_and_told_where_there_is_an_id() {
    let Some(world) = World::start().await else {
        return;
    };
    world.bridge();
    world.worker(echo);
    let mut broken = Message::new("echo", json!([1]));
    broken.envelope["body"] = json!("***");
    let mut pickle = Message::new("echo", json!([1]));
    pickle.envelope["content-type"] = json!("application/x-python-serialize");
    let mut bytes: Vec<Vec<u8>> = [
        b"this is not json".as_slice(),
        b"",
        b"[]",
        b"7",
        b"\xff\xfe\x00",
    ]
    .map(<[u8]>::to_vec)
    .into();
    for raw in &bytes {
        let _: u64 = world.ask(&[b"LPUSH", b"celery", raw]).await;
    }
    for message in [&broken, &pickle] {
        world.send(message).await;
        bytes.push(message.envelope.to_string().into_bytes());
    }
    for message in [&broken, &pickle] {
        let meta = world.result(&message.id).await;
        assert_eq!(meta["status"], "FAILURE");
        assert_eq!(meta["result"]["exc_type"], "DecodeError");
        assert!(world.job(message).await.is_none());
    }
    let sound = Message::new("echo", json!([1]));
    world.send(&sound).await;
    assert_eq!(world.result(&sound.id).await["status"], "SUCCESS");
    world.is_quiet().await;
    let dead: Vec<String> = world.ask(&[b"LRANGE", b"lovage.dead", b"0", b"-1"]).await;
    let mut kept: Vec<Vec<u8>> = dead
        .iter()
        .map(|text| {
            let dead: Value = serde_json::from_str(text).unwrap();
            assert_eq!(dead["queue"], "celery");
            assert!(!dead["reason"].as_str().unwrap().is_empty() && dead["at"].is_string());
            BASE64_STANDARD
                .decode(dead["message"].as_str().unwrap())
                .unwrap()
        })
        .collect();
    kept.sort();
    bytes.sort();
    assert_eq!(kept, bytes);
}

#[tokio::test]
async fn a_task_that_nobody_knows_or_that_does_not_fit_fails_at_once() {
    let Some(world) = World::start().await else {
        return;
    };
    world.bridge();
    for (task, args, class, told) in [
        ("nobody.knows", json!([]), "NotRegistered", "nobody.knows"),
        (
            "picky",
            json!(["text"]),
            "ValueError",
            "/x: expected a number",
        ),
        ("picky", json!([1, 2, 3]), "TypeError", ""),
    ] {
        let message = Message::new(task, args);
        world.send(&message).await;
        let meta = world.result(&message.id).await;
        assert_eq!(
            (&meta["status"], &meta["result"]["exc_type"]),
            (&json!("FAILURE"), &json!(class))
        );
        let text = meta["result"]["exc_message"][0].as_str().unwrap();
        assert!(text.contains(told), "{text}");
        assert!(world.job(&message).await.is_none());
    }
    world.is_quiet().await;
    assert_eq!(world.ask::<u64>(&[b"LLEN", b"lovage.dead"]).await, 0);
}

#[tokio::test]
async fn a_message_that_comes_twice_is_done_once() {
    let Some(world) = World::start().await else {
        return;
    };
    let message = Message::new("echo", json!([1]));
    world.bridge();
    world.send(&message).await;
    world.send(&message).await;
    world.holds(2).await;
    world.worker(echo);
    assert_eq!(world.result(&message.id).await["status"], "SUCCESS");
    world.is_quiet().await;
    assert_eq!(world.job(&message).await.unwrap().attempt, 1);
}

#[tokio::test]
async fn another_task_under_the_same_id_changes_nothing() {
    let Some(world) = World::start().await else {
        return;
    };
    world.bridge();
    world.worker(echo);
    let first = Message::new("echo", json!(["first"]));
    world.send(&first).await;
    let stands = world.result(&first.id).await;
    for task in ["other", "nobody.knows"] {
        world
            .send(&Message::new(task, json!(["second"])).header("id", json!(first.id)))
            .await;
    }
    let last = Message::new("echo", json!([]));
    world.send(&last).await;
    world.result(&last.id).await;
    world.is_quiet().await;
    assert_eq!(world.result(&first.id).await, stands);
    assert_eq!(world.job(&first).await.unwrap().kind.as_str(), "test.echo");
}

#[tokio::test]
async fn what_was_revoked_before_it_came_is_not_run() {
    let Some(world) = World::start().await else {
        return;
    };
    let message = Message::new("echo", json!([1]));
    let now = world.clock.now().as_millisecond().to_string();
    let _: u64 = world
        .ask(&[
            b"ZADD",
            b"lovage.revoked",
            now.as_bytes(),
            message.id.as_bytes(),
        ])
        .await;
    world.bridge();
    world.worker(echo);
    world.send(&message).await;
    let meta = world.result(&message.id).await;
    assert_eq!(meta["result"]["exc_message"], json!(["revoked"]));
    assert!(world.job(&message).await.is_none());
    // A revocation does not hold for ever: ids may be used again.
    world.clock.advance(Duration::from_secs(3 * 3_600 + 1));
    world.send(&message).await;
    assert_eq!(world.result(&message.id).await["status"], "REVOKED");
    until("the job is done", async || {
        world
            .job(&message)
            .await
            .is_some_and(|job| job.status == Status::Succeeded)
    })
    .await;
}

#[tokio::test]
async fn messages_of_dead_celery_workers_go_out_again_by_their_priority() {
    let Some(world) = World::start().await else {
        return;
    };
    let (urgent, other) = (
        Message::new("echo", json!([1])).priority(6),
        Message::new("echo", json!([2])),
    );
    let elsewhere = Message::new("echo", json!([3]));
    let taken = world.clock.now().as_second() - 10_000;
    for (message, exchange, at) in [
        (&urgent, "", taken),
        (&elsewhere, "topics", taken),
        (&other, "", taken + 10_000),
    ] {
        let value = json!([message.envelope, exchange, "celery"]).to_string();
        let _: u64 = world
            .ask(&[
                b"HSET",
                b"unacked",
                message.tag().as_bytes(),
                value.as_bytes(),
            ])
            .await;
        let at = at.to_string();
        let _: u64 = world
            .ask(&[
                b"ZADD",
                b"unacked_index",
                at.as_bytes(),
                message.tag().as_bytes(),
            ])
            .await;
    }
    world.worker(echo);
    world.bridge();
    assert_eq!(world.result(&urgent.id).await["status"], "SUCCESS");
    let mut left: Vec<String> = world.ask(&[b"HKEYS", b"unacked"]).await;
    left.sort();
    let mut expected = vec![other.tag().to_owned(), elsewhere.tag().to_owned()];
    expected.sort();
    assert_eq!(
        left, expected,
        "what is not due or was sent through an exchange stays"
    );
    assert_eq!(world.ask::<u64>(&[b"ZCARD", b"unacked_index"]).await, 2);
    until("the mutex is free", async || {
        !world.ask::<bool>(&[b"EXISTS", b"unacked_mutex"]).await
    })
    .await;
}
