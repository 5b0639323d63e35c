//! Tasks from their message to their result.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use lovage_celery::{CeleryConfig, check};
use lovage_core::broker::Broker;
use lovage_core::clock::Clock;
use lovage_core::id::{JobId, Priority};
use lovage_core::job::Job;
use lovage_core::outcome::Outcome;
use lovage_core::status::Status;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::world::{Message, SOON, World, echo, retry, until};

#[tokio::test]
async fn a_task_is_a_job_and_its_result_is_stored_published_and_kept_for_its_time() {
    let Some(world) = World::start().await else {
        return;
    };
    let message = Message::new("echo", json!([1, "둘"])).priority(4);
    let client = redis::Client::open(world.redis.url()).unwrap();
    let mut heard = client.get_async_pubsub().await.unwrap();
    let key = format!("celery-task-meta-{}", message.id);
    heard.subscribe(&key).await.unwrap();
    let mut heard = heard.into_on_message();
    let bridge = world.bridge();
    world.send(&message).await;
    world.holds(1).await;
    world.worker(echo);
    let mut states = Vec::new();
    loop {
        let published = timeout(SOON, heard.next()).await.unwrap().unwrap();
        let text: String = published.get_payload().unwrap();
        let meta: Value = serde_json::from_str(&text).unwrap();
        states.push(meta["status"].as_str().unwrap().to_owned());
        if states.last().unwrap() == "SUCCESS" {
            assert_eq!(world.ask::<String>(&[b"GET", key.as_bytes()]).await, text);
            assert_eq!(meta["result"], json!({ "args": [1, "둘"], "kwargs": {} }));
            assert_eq!(meta["task_id"], message.id.as_str());
            break;
        }
    }
    assert_eq!(states, ["STARTED", "PROGRESS", "SUCCESS"]);
    let left: i64 = world.ask(&[b"TTL", key.as_bytes()]).await;
    assert!((86_390..=86_400).contains(&left), "{left}");
    world.is_quiet().await;
    let job = world.job(&message).await.unwrap();
    assert_eq!(job.status, Status::Succeeded);
    assert_eq!(job.priority, Priority::try_from(5).unwrap());
    bridge.stop().await;
}

#[tokio::test]
async fn the_most_urgent_message_is_taken_first() {
    let Some(world) = World::start().await else {
        return;
    };
    let sent = [9, 6, 3, 0, 4, 9]
        .map(|priority| Message::new("echo", json!([priority])).priority(priority));
    for message in &sent {
        world.send(message).await;
    }
    let ran = Arc::<Mutex<Vec<u8>>>::default();
    let seen = ran.clone();
    world.worker(move |job| {
        seen.lock().unwrap().push(9 - job.priority.get());
        echo(job)
    });
    let one_by_one = CeleryConfig {
        open_max: 1,
        ..world.config()
    };
    world.bridge_to(one_by_one, Arc::new(world.store.clone()));
    for message in &sent {
        world.result(&message.id).await;
    }
    assert_eq!(*ran.lock().unwrap(), [0, 3, 4, 6, 9, 9]);
}

#[tokio::test]
async fn an_id_that_is_no_uuid_has_a_job_that_is_found_by_it() {
    let Some(world) = World::start().await else {
        return;
    };
    let message = Message::new("echo", json!([1])).header("id", json!("order 7"));
    world.bridge();
    world.worker(echo);
    world.send(&message).await;
    assert_eq!(world.result("order 7").await["status"], "SUCCESS");
    let filter = lovage_core::query::Filter {
        tag: Some("celery:order 7".to_owned()),
        ..Default::default()
    };
    let page = lovage_core::query::Page {
        cursor: None,
        limit: 10,
    };
    let found = world.store.list(&filter, &page).await.unwrap().jobs;
    assert_eq!(found.len(), 1);
}

#[tokio::test]
async fn a_task_waits_for_its_time_and_is_shown_meanwhile() {
    let Some(world) = World::start().await else {
        return;
    };
    world.bridge();
    world.worker(echo);
    let eta = world.clock.now() + Duration::from_secs(3_600);
    let message = Message::new("echo", json!(["later"])).header("eta", json!(eta.to_string()));
    world.send(&message).await;
    until("the message is shown", async || {
        let shown: bool = world
            .ask(&[b"HEXISTS", b"unacked", message.tag().as_bytes()])
            .await;
        shown
    })
    .await;
    let shown: String = world
        .ask(&[b"HGET", b"unacked", message.tag().as_bytes()])
        .await;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown, json!([message.envelope, "", "celery"]));
    let index: Option<f64> = world
        .ask(&[b"ZSCORE", b"unacked_index", message.tag().as_bytes()])
        .await;
    assert_eq!(index, None, "nobody is to restore it");
    until("the job is there", async || {
        world.job(&message).await.is_some()
    })
    .await;
    assert_eq!(world.job(&message).await.unwrap().status, Status::Scheduled);
    world.clock.advance(Duration::from_secs(3_601));
    assert_eq!(world.result(&message.id).await["status"], "SUCCESS");
    world.is_quiet().await;
    let left: u64 = world.ask(&[b"HLEN", b"unacked"]).await;
    assert_eq!(left, 0);
}

#[tokio::test]
async fn what_expired_is_revoked_before_and_after_it_is_taken() {
    let Some(world) = World::start().await else {
        return;
    };
    world.bridge();
    let at = |seconds| {
        let at = world.clock.now() + Duration::from_secs(seconds);
        json!(at.to_string())
    };
    let soon = Message::new("echo", json!([1])).header("expires", at(60));
    world.send(&soon).await;
    until("the job is there", async || {
        world.job(&soon).await.is_some()
    })
    .await;
    world.clock.advance(Duration::from_secs(61));
    let late = Message::new("echo", json!([1])).header("expires", at(0));
    world.send(&late).await;
    world.store.reclaim().await.unwrap();
    for message in [&soon, &late] {
        let meta = world.result(&message.id).await;
        assert_eq!(meta["status"], "REVOKED");
        assert_eq!(meta["result"]["exc_message"], json!(["expired"]));
    }
    assert!(world.job(&late).await.is_none());
}

#[tokio::test]
async fn attempts_that_fail_are_retries_to_the_producer() {
    let Some(world) = World::start().await else {
        return;
    };
    let message = Message::new("echo", json!([1]));
    let client = redis::Client::open(world.redis.url()).unwrap();
    let mut heard = client.get_async_pubsub().await.unwrap();
    heard
        .subscribe(format!("celery-task-meta-{}", message.id))
        .await
        .unwrap();
    let mut heard = heard.into_on_message();
    let extended = CeleryConfig {
        result_extended: true,
        ..world.config()
    };
    world.bridge_to(extended, Arc::new(world.store.clone()));
    world.worker(|job: &Job| match job.attempt {
        1 => retry("ValueError"),
        _ => echo(job),
    });
    world.send(&message).await;
    let mut states = Vec::new();
    while states.last().is_none_or(|state| state != "SUCCESS") {
        let published = timeout(SOON, heard.next()).await.unwrap().unwrap();
        let meta: Value =
            serde_json::from_str(&published.get_payload::<String>().unwrap()).unwrap();
        if meta["status"] == "RETRY" {
            assert_eq!(meta["result"]["exc_type"], "ValueError");
        }
        if meta["status"] == "SUCCESS" {
            assert_eq!(meta["retries"], 1);
        }
        states.push(meta["status"].as_str().unwrap().to_owned());
    }
    assert!(states.iter().any(|state| state == "RETRY"), "{states:?}");
}

#[tokio::test]
async fn a_task_that_exceeds_its_limit_has_failed_and_is_not_tried_again() {
    let Some(world) = World::start().await else {
        return;
    };
    world.bridge();
    world.worker(|_: &Job| Outcome::Retry {
        error: lovage_core::attempt::JobError::transient("timeout", "too long"),
        after: Some(Duration::from_secs(3_600)),
    });
    let hard = Message::new("echo", json!([1])).header("timelimit", json!([7, null]));
    let soft = Message::new("echo", json!([1])).header("timelimit", json!([7, 5]));
    world.send(&hard).await;
    world.send(&soft).await;
    let meta = world.result(&hard.id).await;
    assert_eq!(meta["status"], "FAILURE");
    let exception = json!({ "exc_type": "TimeLimitExceeded", "exc_message": [7], "exc_module": "billiard.exceptions" });
    assert_eq!(meta["result"], exception);
    let meta = world.result(&soft.id).await;
    assert_eq!(meta["result"]["exc_type"], "SoftTimeLimitExceeded");
    let job = world.job(&hard).await.unwrap();
    assert_eq!(
        (job.status, job.attempt, job.timeout),
        (Status::Cancelled, 1, Some(Duration::from_secs(7)))
    );
}

#[tokio::test]
async fn a_running_job_that_is_cancelled_was_terminated() {
    let Some(world) = World::start().await else {
        return;
    };
    world.bridge();
    world.worker(|_: &Job| Outcome::Cancelled);
    let message = Message::new("echo", json!([1]));
    world.send(&message).await;
    let meta = world.result(&message.id).await;
    assert_eq!(
        (&meta["status"], &meta["result"]["exc_message"]),
        (&json!("REVOKED"), &json!(["terminated"]))
    );
}

#[tokio::test]
async fn a_waiting_job_that_is_cancelled_was_revoked() {
    let Some(world) = World::start().await else {
        return;
    };
    world.bridge();
    let message = Message::new("echo", json!([1]));
    world.send(&message).await;
    until("the job is there", async || {
        world.job(&message).await.is_some()
    })
    .await;
    let id: JobId = message.id.parse().unwrap();
    world.store.cancel(&id).await.unwrap();
    let meta = world.result(&message.id).await;
    assert_eq!(meta["result"]["exc_message"], json!(["revoked"]));
}

#[tokio::test]
async fn what_nobody_waits_for_leaves_no_result() {
    let Some(world) = World::start().await else {
        return;
    };
    world.bridge();
    world.worker(echo);
    let message = Message::new("echo", json!([1])).header("ignore_result", json!(true));
    world.send(&message).await;
    until("the job is over", async || {
        world
            .job(&message)
            .await
            .is_some_and(|job| job.status == Status::Succeeded)
    })
    .await;
    world.is_quiet().await;
    let keys: Vec<String> = world.ask(&[b"KEYS", b"celery-task-meta-*"]).await;
    assert_eq!(keys, Vec::<String>::new());
}

#[tokio::test]
async fn a_broker_is_looked_at_and_left_as_it_is() {
    let Some(world) = World::start().await else {
        return;
    };
    world.bridge().stop().await;
    for task in ["echo", "echo", "unknown.task"] {
        world.send(&Message::new(task, json!([]))).await;
    }
    world
        .send(&Message::new("echo", json!([])).priority(6))
        .await;
    let _: u64 = world.ask(&[b"LPUSH", b"mail", b"no message"]).await;
    let checked = check(&world.config()).await.unwrap();
    let celery = &checked.queues[0];
    assert_eq!((celery.name.as_str(), celery.taken), ("celery", true));
    assert_eq!(celery.lengths, [(0, 3), (3, 0), (6, 1), (9, 0)]);
    let task = |name: &str| checked.tasks.iter().find(|task| task.name == name).unwrap();
    assert_eq!(
        (task("echo").seen, task("echo").kind.as_deref()),
        (3, Some("test.echo"))
    );
    assert_eq!(
        (task("unknown.task").seen, &task("unknown.task").kind),
        (1, &None)
    );
    assert_eq!(task("picky").seen, 0);
    assert_eq!((checked.unreadable, checked.held, checked.dead), (1, 0, 0));
    assert_eq!(world.ask::<u64>(&[b"LLEN", b"celery"]).await, 3);
}
