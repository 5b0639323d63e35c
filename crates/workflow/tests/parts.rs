//! Parts are there for the next attempt, whatever became of the one that kept them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use lovage_workflow::memory::MemoryJournal;
use lovage_workflow::{Context, Failure, Parts};
use serde_json::json;

async fn parts(context: &Context, input: &str) -> (Vec<String>, Parts<String>) {
    context.parts("write", &input).await.unwrap()
}

async fn keep(parts: &Parts<String>, part: &str) {
    let events = [("sentence", json!({ "text": part }))];
    parts
        .keep(&part.to_owned(), "write", &events)
        .await
        .unwrap();
}

#[tokio::test]
async fn each_attempt_goes_on_where_the_one_before_it_stopped() {
    let journal = Arc::new(MemoryJournal::default());
    let (kept, more) = parts(&journal.attempt(1, &()), "a").await;
    assert!(kept.is_empty());
    keep(&more, "one").await;
    keep(&more, "two").await;
    let (kept, more) = parts(&journal.attempt(2, &()), "a").await;
    assert_eq!(kept, ["one", "two"]);
    keep(&more, "three").await;
    let (kept, _) = parts(&journal.attempt(3, &()), "a").await;
    assert_eq!(kept, ["one", "two", "three"]);
}

#[tokio::test]
async fn parts_of_another_input_are_left_alone() {
    let journal = Arc::new(MemoryJournal::default());
    let first = journal.attempt(1, &());
    let ((_, a), (_, b)) = (parts(&first, "a").await, parts(&first, "b").await);
    keep(&a, "of a").await;
    keep(&b, "of b").await;
    keep(&a, "of a too").await;
    let second = journal.attempt(2, &());
    assert_eq!(parts(&second, "b").await.0, ["of b"]);
    assert_eq!(parts(&second, "a").await.0, ["of a", "of a too"]);
    assert!(parts(&second, "c").await.0.is_empty());
}

#[tokio::test]
async fn a_part_brings_its_events_and_is_no_step() {
    let journal = Arc::new(MemoryJournal::default());
    let context = journal.attempt(1, &());
    let (_, more) = parts(&context, "a").await;
    keep(&more, "one").await;
    let events = journal.events();
    let seen: Vec<_> = events
        .iter()
        .map(|event| (event.kind.as_str(), event.step.as_deref()))
        .collect();
    assert_eq!(seen, [("sentence", Some("write"))]);
    let ran = context.step("write", &"a", async || Ok(7_u8)).await;
    assert_eq!(ran, Ok(7));
}

#[tokio::test]
async fn nothing_is_kept_by_an_attempt_that_is_to_stop() {
    let journal = Arc::new(MemoryJournal::default());
    let context = journal.attempt(1, &());
    let (_, more) = parts(&context, "a").await;
    context.stop().cancel();
    let refused = more.keep::<()>(&"one".to_owned(), "write", &[]).await;
    assert_eq!(refused, Err(Failure::Stopped));
    assert!(journal.steps().is_empty());
}

#[tokio::test]
async fn a_part_of_another_shape_is_refused_by_name() {
    let journal = Arc::new(MemoryJournal::default());
    let (_, more) = parts(&journal.attempt(1, &()), "a").await;
    keep(&more, "one").await;
    let read = journal.attempt(2, &()).parts::<u32>("write", &"a").await;
    let Err(Failure::GiveUp { code, message }) = read.map(drop) else {
        panic!("a text is no number");
    };
    assert_eq!(code, "replay_mismatch");
    assert!(message.contains("part:write"), "{message}");
}
