//! Children are spawned once, waited for without a slot, and joined in order.
#![expect(clippy::unwrap_used, reason = "in a test, an error is a failure")]

use std::sync::Arc;

use lovage_core::limits;
use lovage_workflow::memory::MemoryJournal;
use lovage_workflow::{
    ChildResult, Context, Failure, JobError, JobId, Join, NewChild, Payload, WaitReason,
};

fn pages(count: u32) -> Vec<NewChild> {
    let page = |number| NewChild::new("page.read", &number).unwrap();
    (0..count).map(page).collect()
}

async fn read(context: Context, count: u32, join: Join) -> Result<Vec<ChildResult>, Failure> {
    context.children("pages", pages(count), join).await
}

fn ids(journal: &MemoryJournal) -> Vec<JobId> {
    let spawned = journal.spawned();
    spawned.iter().map(|child| child.id).collect()
}

fn parked(ended: Result<Vec<ChildResult>, Failure>) -> Join {
    match ended.unwrap_err() {
        Failure::Park {
            reason: WaitReason::Children(join),
            after,
        } if after == limits::KEEP_CHILD => join,
        other => panic!("{other:?}"),
    }
}

fn code(failure: Failure) -> String {
    match failure {
        Failure::GiveUp { code, .. } => code,
        other => panic!("{other:?}"),
    }
}

fn flaky() -> JobError {
    JobError::permanent("flaky", "the page is gone")
}

#[tokio::test]
async fn children_are_spawned_once_and_joined_in_their_order() {
    let journal = Arc::new(MemoryJournal::default());
    assert_eq!(
        parked(read(journal.attempt(1, &()), 3, Join::All).await),
        Join::All
    );
    let children = ids(&journal);
    assert_eq!(children.len(), 3);
    assert!(
        journal
            .spawned()
            .iter()
            .all(|child| child.keep >= limits::KEEP_CHILD)
    );
    // The last first: the order is the children's, not that of their ends.
    for place in [2, 0] {
        journal.end(children[place], Ok(Payload::of(&(place * 10)).unwrap()));
        parked(read(journal.attempt(1, &()), 3, Join::All).await);
    }
    journal.end(children[1], Err(flaky()));
    let ends = read(journal.attempt(1, &()), 3, Join::All).await.unwrap();
    assert_eq!(ids(&journal), children, "spawned once");
    assert_eq!(ends[0].as_ref().unwrap().as_str(), "0");
    let failure = ends[1].as_ref().unwrap_err();
    assert_eq!((failure.id, &failure.error), (children[1], &flaky()));
    assert_eq!(ends[2].as_ref().unwrap().as_str(), "20");
    assert!(
        journal.steps().is_empty(),
        "a redrive runs the failed child again"
    );
}

#[tokio::test]
async fn results_of_children_that_all_succeeded_are_kept() {
    let journal = Arc::new(MemoryJournal::default());
    parked(read(journal.attempt(1, &()), 2, Join::FirstFailure).await);
    for id in ids(&journal) {
        journal.end(id, Ok(Payload::parse(r#"{ "n": 1.50 }"#).unwrap()));
    }
    let context = journal.attempt(1, &());
    let ends = read(context.clone(), 2, Join::FirstFailure).await.unwrap();
    let again = read(context, 2, Join::FirstFailure).await.unwrap();
    assert_eq!(journal.steps().len(), 1);

    let later = Arc::new(MemoryJournal::with_steps(journal.steps()));
    let kept = read(later.attempt(2, &()), 2, Join::FirstFailure)
        .await
        .unwrap();
    assert_eq!((&again, &kept), (&ends, &ends));
    assert_eq!(kept[1].as_ref().unwrap().as_str(), r#"{ "n": 1.50 }"#);
    assert!(later.spawned().is_empty());
}

#[tokio::test]
async fn the_first_failure_cancels_the_rest_and_comes_back_as_an_error() {
    let journal = Arc::new(MemoryJournal::default());
    let first = read(journal.attempt(1, &()), 3, Join::FirstFailure).await;
    assert_eq!(parked(first), Join::FirstFailure);
    let children = ids(&journal);
    journal.end(children[0], Ok(Payload::null()));
    journal.end(children[2], Err(flaky()));
    for attempt in 1..3 {
        let context = journal.attempt(attempt, &());
        let failure = read(context.clone(), 3, Join::FirstFailure)
            .await
            .unwrap_err();
        let said = failure.to_string();
        assert!(
            said.contains(&children[2].to_string()) && said.contains("the page is gone"),
            "{said}"
        );
        assert_eq!(code(failure), "child_failed");
        let ends = read(context, 3, Join::All).await.unwrap();
        assert_eq!(ends[1].as_ref().unwrap_err().error.code, "cancelled");
    }
}

#[tokio::test]
async fn a_failure_of_another_group_does_not_wake_a_parent_at_once() {
    let journal = Arc::new(MemoryJournal::default());
    let other =
        |context: Context| async move { context.children("other", pages(1), Join::All).await };
    parked(other(journal.attempt(1, &())).await);
    journal.end(ids(&journal)[0], Err(flaky()));
    assert!(other(journal.attempt(1, &())).await.unwrap()[0].is_err());
    let waits = read(journal.attempt(1, &()), 2, Join::FirstFailure).await;
    assert_eq!(parked(waits), Join::All);
    let waits = read(journal.attempt(1, &()), 2, Join::FirstFailure).await;
    assert_eq!(parked(waits), Join::All);
}

#[tokio::test]
async fn a_group_spawned_with_other_inputs_is_detected() {
    let journal = Arc::new(MemoryJournal::default());
    parked(read(journal.attempt(1, &()), 2, Join::All).await);
    for other in [1, 3] {
        let failure = read(journal.attempt(2, &()), other, Join::All)
            .await
            .unwrap_err();
        assert_eq!(code(failure), "replay_mismatch");
    }
    let mut changed = pages(2);
    changed.swap(0, 1);
    let failure = journal
        .attempt(2, &())
        .children("pages", changed, Join::All)
        .await;
    assert_eq!(code(failure.unwrap_err()), "replay_mismatch");
}

#[tokio::test]
async fn results_that_are_too_large_together_are_not_gathered() {
    let journal = Arc::new(MemoryJournal::default());
    parked(read(journal.attempt(1, &()), 2, Join::All).await);
    let half = limits::CHECKPOINT_BYTES_MAX / 2;
    let text = |bytes: usize| Payload::of(&"x".repeat(bytes - 2)).unwrap();
    let [first, second] = ids(&journal)[..] else {
        panic!("two children");
    };
    journal.end(first, Ok(text(half)));
    // Two brackets and a comma stand beside them.
    journal.end(second, Ok(text(half - 3)));
    read(journal.attempt(1, &()), 2, Join::All).await.unwrap();
    let kept = journal.steps()[0].value.as_str().len();
    assert_eq!(kept, limits::CHECKPOINT_BYTES_MAX);

    let journal = Arc::new(MemoryJournal::default());
    parked(read(journal.attempt(1, &()), 2, Join::All).await);
    journal.end(first, Ok(text(half)));
    journal.end(second, Ok(text(half - 2)));
    let failure = read(journal.attempt(1, &()), 2, Join::All)
        .await
        .unwrap_err();
    assert_eq!(code(failure), "children_too_large");
}

#[tokio::test]
async fn what_is_no_child_or_no_group_is_refused_and_none_is_none() {
    let context = Arc::new(MemoryJournal::default()).attempt(1, &());
    assert_eq!(
        context.children("none", Vec::new(), Join::All).await,
        Ok(Vec::new())
    );
    let unnamed = context.children("", pages(1), Join::All).await;
    assert_eq!(code(unnamed.unwrap_err()), "children");
    assert_eq!(code(NewChild::new("Not A Kind", &1).unwrap_err()), "child");
    let large = "x".repeat(limits::INPUT_BYTES_MAX - 1);
    assert_eq!(
        code(NewChild::new("page.read", &large).unwrap_err()),
        "child"
    );
    assert!(NewChild::new("page.read", &&large[1..]).is_ok());
}

#[tokio::test]
async fn a_stopped_attempt_spawns_nothing() {
    let journal = Arc::new(MemoryJournal::default());
    let context = journal.attempt(1, &());
    context.stop().cancel();
    assert_eq!(read(context, 1, Join::All).await, Err(Failure::Stopped));
    assert!(journal.spawned().is_empty());
}

#[tokio::test]
async fn each_child_is_read_by_itself_and_nothing_is_kept() {
    let journal = Arc::new(MemoryJournal::default());
    let lengths = async |journal: &Arc<MemoryJournal>| {
        let read = |id, end: ChildResult| (id, end.map(|result| result.as_str().len()));
        let context = journal.attempt(1, &());
        context.each_child("pages", pages(2), read).await
    };
    assert!(matches!(
        lengths(&journal).await,
        Err(Failure::Park {
            reason: WaitReason::Children(Join::All),
            ..
        })
    ));
    let children = ids(&journal);
    journal.end(children[1], Err(flaky()));
    assert!(matches!(lengths(&journal).await, Err(Failure::Park { .. })));
    // Two of these would not fit into one checkpoint.
    let large = "x".repeat(limits::CHECKPOINT_BYTES_MAX - 2);
    journal.end(children[0], Ok(Payload::of(&large).unwrap()));
    let ends = lengths(&journal).await.unwrap();
    assert_eq!(ends[0], (children[0], Ok(limits::CHECKPOINT_BYTES_MAX)));
    assert_eq!(ends[1].1.as_ref().unwrap_err().error, flaky());
    assert!(journal.steps().is_empty());
}
