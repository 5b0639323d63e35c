//! What watchers see.

use std::sync::Arc;
use std::time::Instant;

use lovage_core::checkpoint::Checkpoint;
use lovage_core::event::{EventPage, NewEvent};
use lovage_core::id::JobId;
use lovage_core::limits;
use lovage_core::outcome::Outcome;
use lovage_core::payload::Payload;
use lovage_core::status::Status;
use tokio::task::JoinHandle;

use crate::harness::{Harness, MOMENT, SOON};

fn note(number: usize) -> NewEvent {
    NewEvent {
        kind: "note".into(),
        step: None,
        data: Payload::of(&number).unwrap(),
    }
}

fn notes(count: usize) -> Vec<NewEvent> {
    (0..count).map(note).collect()
}

fn seqs(page: &EventPage) -> Vec<u64> {
    page.events.iter().map(|event| event.seq).collect()
}

/// Waits for events after `after` in a task of its own.
fn watch(h: &Harness, id: JobId, after: u64) -> JoinHandle<EventPage> {
    let broker = Arc::clone(&h.broker);
    tokio::spawn(async move {
        let page = broker.events(&id, after, 10, SOON * 2).await;
        page.unwrap().unwrap()
    })
}

async fn soon(watching: JoinHandle<EventPage>) -> EventPage {
    let page = tokio::time::timeout(SOON, watching).await;
    page.expect("the watcher is woken").unwrap()
}

/// V1. Whoever appends, the numbers go up by one; the end has the last one.
pub(crate) async fn events_have_one_increasing_sequence(h: Harness) {
    let (worker, first) = h.running(h.job()).await;
    let id = first.job.id;
    h.emit(&first, &notes(2)).await;
    let plan = Checkpoint {
        step: "plan".into(),
        occurrence: 0,
        fingerprint: "f".into(),
        value: Payload::null(),
    };
    h.checkpoint(&first, &plan, &[note(2)]).await;
    h.settle(&first, Outcome::Release).await;
    let second = h.claim_one(worker).await;
    h.broker.cancel(&id).await.unwrap();
    h.settle(&second, Outcome::Cancelled).await;
    let kinds = [
        "note",
        "note",
        "note",
        "requeued",
        "cancel_requested",
        "cancelled",
    ];
    assert_eq!(h.event_kinds(id).await, kinds);
    let page = h.events_after(id, 0, 100).await;
    assert_eq!(seqs(&page), [1, 2, 3, 4, 5, 6]);
    assert!(page.ended && !page.missed);
}

/// V1. A reader with a cursor sees each event once, a page at a time.
pub(crate) async fn a_cursor_misses_nothing_and_repeats_nothing(h: Harness) {
    let (_, claimed) = h.running(h.job()).await;
    let id = claimed.job.id;
    h.emit(&claimed, &notes(7)).await;
    let page = h.events_after(id, 0, 3).await;
    assert_eq!(seqs(&page), [1, 2, 3]);
    assert_eq!(page.events[1].data, Payload::of(&1).unwrap());
    assert_eq!(seqs(&h.events_after(id, 3, 3).await), [4, 5, 6]);
    assert_eq!(seqs(&h.events_after(id, 6, 3).await), [7]);
    let page = h.events_after(id, 7, 3).await;
    assert_eq!(
        (seqs(&page), page.ended, page.missed),
        (vec![], false, false)
    );
    h.settle(&claimed, Outcome::Done(Payload::null())).await;
    let page = h.events_after(id, 6, 1).await;
    assert_eq!((seqs(&page), page.ended), (vec![7], false));
    let page = h.events_after(id, 7, 1).await;
    assert_eq!((seqs(&page), page.ended), (vec![8], true));
    let page = h.events_after(id, 8, 1).await;
    assert_eq!((seqs(&page), page.ended), (vec![], true));
}

/// V1. The last event of a finished job is how it ended, with attempt and error.
pub(crate) async fn the_final_event_says_how_the_job_ended(h: Harness) {
    let (_, claimed) = h.running(h.job()).await;
    let id = claimed.job.id;
    h.settle(&claimed, Outcome::Cancelled).await;
    let events = h.events(id).await;
    let last = h.get(id).await.final_event().unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].seq, &events[0].kind), (1, &last.kind));
    assert_eq!(events[0].data, last.data);
    assert_eq!(events[0].at, h.now());
}

/// V1. After a redrive the first end is an event like the others, and the
/// sequence goes on behind it.
pub(crate) async fn a_redrive_continues_the_sequence(h: Harness) {
    let (worker, claimed) = h.running(h.job()).await;
    let id = claimed.job.id;
    h.emit(&claimed, &notes(1)).await;
    h.settle(&claimed, Outcome::Cancelled).await;
    let before = h.events(id).await;
    h.broker.redrive(&id).await.unwrap();
    let again = h.claim_one(worker).await;
    h.emit(&again, &notes(1)).await;
    h.settle(&again, Outcome::Done(Payload::null())).await;
    let kinds = ["note", "cancelled", "redriven", "note", "succeeded"];
    assert_eq!(h.event_kinds(id).await, kinds);
    let events = h.events(id).await;
    let numbers: Vec<u64> = events.iter().map(|event| event.seq).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    let data = |event: &lovage_core::event::Event| event.data.clone();
    assert_eq!(data(&events[1]), data(&before[1]));
}

/// V1. A job nobody touched has no events and is not over.
pub(crate) async fn a_fresh_job_has_no_events(h: Harness) {
    let id = h.enqueue(h.job()).await;
    let page = h.events_after(id, 0, 10).await;
    assert_eq!(page, EventPage::default());
}

/// V1. The events of an unknown job are nothing, at once.
pub(crate) async fn the_events_of_an_unknown_job_are_nothing(h: Harness) {
    let nothing = h.broker.events(&h.job().id, 0, 10, SOON).await.unwrap();
    assert_eq!(nothing, None);
}

/// V1. One page is bounded.
pub(crate) async fn a_page_of_events_is_bounded(h: Harness) {
    let (_, claimed) = h.running(h.job()).await;
    h.emit(&claimed, &notes(limits::EVENT_PAGE_MAX + 10)).await;
    let page = h.events_after(claimed.job.id, 0, 1_000_000).await;
    assert_eq!(page.events.len(), limits::EVENT_PAGE_MAX);
    assert_eq!(
        h.events(claimed.job.id).await.len(),
        limits::EVENT_PAGE_MAX + 10
    );
}

/// V1. Only so many events are kept; who asks for older ones is told they are gone.
pub(crate) async fn a_reader_is_told_when_events_are_gone(h: Harness) {
    const BATCH: usize = 500;
    let (_, claimed) = h.running(h.job()).await;
    let id = claimed.job.id;
    for _ in 0..limits::EVENTS_MAX / BATCH + 1 {
        h.emit(&claimed, &notes(BATCH)).await;
    }
    let last = (limits::EVENTS_MAX + BATCH) as u64;
    let page = h.events_after(id, 0, 1).await;
    assert!(page.missed);
    let oldest = page.events[0].seq;
    assert!(
        oldest > 1 && oldest <= BATCH as u64 + 1,
        "oldest kept is {oldest}"
    );
    assert!(h.events_after(id, oldest - 2, 1).await.missed);
    let page = h.events_after(id, oldest - 1, 1).await;
    assert_eq!((seqs(&page), page.missed), (vec![oldest], false));
    h.settle(&claimed, Outcome::Done(Payload::null())).await;
    let page = h.events_after(id, last, 1).await;
    assert_eq!((seqs(&page), page.ended), (vec![last + 1], true));
}

/// V1. Waiting ends when there is something, or when the time is over.
pub(crate) async fn a_wait_without_news_ends_in_time(h: Harness) {
    let id = h.enqueue(h.job()).await;
    let began = Instant::now();
    let page = h.broker.events(&id, 0, 10, MOMENT).await.unwrap().unwrap();
    assert_eq!(page, EventPage::default());
    assert!((MOMENT..SOON).contains(&began.elapsed()));
}

/// V1. What is there already is given without waiting, and so is the end.
pub(crate) async fn a_wait_with_news_does_not_wait(h: Harness) {
    let (_, claimed) = h.running(h.job()).await;
    h.emit(&claimed, &notes(1)).await;
    let page = soon(watch(&h, claimed.job.id, 0)).await;
    assert_eq!(seqs(&page), [1]);
    h.settle(&claimed, Outcome::Done(Payload::null())).await;
    assert_eq!(seqs(&soon(watch(&h, claimed.job.id, 1)).await), [2]);
    assert!(soon(watch(&h, claimed.job.id, 2)).await.ended);
}

/// V1. A watcher is woken by every kind of news, and misses none in between.
pub(crate) async fn a_watcher_is_woken_by_news(h: Harness) {
    let (_, claimed) = h.running(h.job()).await;
    let id = claimed.job.id;
    for round in 0..20 {
        let watching = watch(&h, id, round);
        tokio::task::yield_now().await;
        h.emit(&claimed, &notes(1)).await;
        assert_eq!(seqs(&soon(watching).await), [round + 1]);
    }
    let watching = watch(&h, id, 20);
    tokio::task::yield_now().await;
    h.broker.cancel(&id).await.unwrap();
    assert_eq!(soon(watching).await.events[0].kind, "cancel_requested");
    let watching = watch(&h, id, 21);
    tokio::task::yield_now().await;
    h.settle(&claimed, Outcome::Cancelled).await;
    let page = soon(watching).await;
    assert_eq!(
        (page.events[0].kind.as_str(), page.ended),
        ("cancelled", true)
    );
}

/// V1. A watcher of a job that nobody runs is woken by its cancel.
pub(crate) async fn a_watcher_is_woken_by_the_end_of_a_queued_job(h: Harness) {
    let id = h.enqueue(h.job()).await;
    let watching = watch(&h, id, 0);
    tokio::task::yield_now().await;
    h.broker.cancel(&id).await.unwrap();
    assert!(soon(watching).await.ended);
}

/// V1. News written by another process wakes too.
pub(crate) async fn a_watcher_is_woken_by_another_process(h: Harness) {
    let Some(other) = h.reopen().await else {
        return;
    };
    let (_, claimed) = h.running(h.job()).await;
    let watching = watch(&h, claimed.job.id, 0);
    tokio::task::yield_now().await;
    other.emit(&claimed.lease, &notes(1)).await.unwrap();
    assert_eq!(seqs(&soon(watching).await), [1]);
}

/// V1. Watchers of one job do not hear of another.
pub(crate) async fn a_watcher_sees_its_own_job_only(h: Harness) {
    h.enqueue_plain(2).await;
    let worker = h.worker().await;
    let claimed = h.claim(worker, 2).await;
    h.emit(&claimed[0], &notes(3)).await;
    let page = h.events_after(claimed[1].job.id, 0, 10).await;
    assert_eq!(page, EventPage::default());
    h.emit(&claimed[1], &notes(1)).await;
    let events = h.events(claimed[1].job.id).await;
    assert_eq!((events.len(), events[0].job), (1, claimed[1].job.id));
}

/// V1. The last progress that was reported is the running job's.
pub(crate) async fn the_last_progress_is_shown_in_the_job(h: Harness) {
    let (_, claimed) = h.running(h.job()).await;
    let id = claimed.job.id;
    let progress = |current: u64| {
        let data = format!(
            "{{\"step\":\"쓰기\",\"current\":{current},\"total\":9,\"message\":\"장면 {current}\"}}"
        );
        NewEvent {
            kind: lovage_core::event::kind::PROGRESS.into(),
            step: Some("쓰기".into()),
            data: Payload::parse(&data).unwrap(),
        }
    };
    assert_eq!(h.get(id).await.progress, None);
    h.emit(&claimed, &[progress(1), note(1), progress(2), note(2)])
        .await;
    h.emit(&claimed, &[note(3)]).await;
    let job = h.get(id).await;
    assert_eq!(job.status, Status::Running);
    let shown = job.progress.unwrap();
    assert_eq!(
        (shown.step.as_str(), shown.current, shown.total),
        ("쓰기", 2, 9)
    );
    assert_eq!(shown.message.as_deref(), Some("장면 2"));
}
