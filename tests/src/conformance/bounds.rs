//! What is exactly as large as its bound is taken; what is larger is refused,
//! saying what came and what is taken.

use std::collections::BTreeMap;

use lovage_core::broker::{SignalReply, Spawn};
use lovage_core::checkpoint::Checkpoint;
use lovage_core::error::BrokerError;
use lovage_core::event::NewEvent;
use lovage_core::id::{JobId, QueueName, Tenant};
use lovage_core::job::{Idempotency, NewJob, Unique};
use lovage_core::limits;
use lovage_core::outcome::Outcome;
use lovage_core::payload::Payload;
use lovage_core::query::{Filter, Page};
use lovage_core::queue::{QueueLimits, Weight};
use lovage_core::status::{Join, Status, WaitReason};

use crate::harness::Harness;

/// A JSON text of exactly so many bytes.
fn of_bytes(count: usize) -> Payload {
    Payload::parse(&format!("\"{}\"", "x".repeat(count - 2))).unwrap()
}

fn is_too_large<T>(answer: Result<T, BrokerError>, bound: usize) {
    let error = answer.err().expect("it is refused");
    let text = error.to_string();
    let BrokerError::TooLarge { got, max, .. } = error else {
        panic!("{text}");
    };
    assert_eq!((got, max), (bound + 1, bound));
    assert!(text.contains(&got.to_string()) && text.contains(&max.to_string()));
}

fn is_too_many<T>(answer: Result<T, BrokerError>, bound: usize) {
    let error = answer.err().expect("it is refused");
    let text = error.to_string();
    let BrokerError::TooMany { got, max, .. } = error else {
        panic!("{text}");
    };
    assert_eq!((got, max), (bound + 1, bound));
    assert!(text.contains(&got.to_string()) && text.contains(&max.to_string()));
}

/// E1. The largest input is taken; a larger one keeps its whole batch out.
pub(crate) async fn an_input_is_bounded(h: Harness) {
    let of = |bytes| NewJob {
        input: of_bytes(bytes),
        ..h.job()
    };
    let id = h.enqueue(of(limits::INPUT_BYTES_MAX)).await;
    let (fine, large) = (h.job(), of(limits::INPUT_BYTES_MAX + 1));
    let refused = h.broker.enqueue(vec![fine.clone(), large], false).await;
    is_too_large(refused, limits::INPUT_BYTES_MAX);
    assert_eq!(h.broker.get(&fine.id).await.unwrap(), None);
    assert_eq!(h.stats().await.queued, 1);
    let worker = h.worker().await;
    let claimed = h.claim_one(worker).await;
    assert_eq!(claimed.job.id, id);
    assert_eq!(claimed.job.input.as_str().len(), limits::INPUT_BYTES_MAX);
}

/// E1. The largest batch is taken; a larger one is refused whole.
pub(crate) async fn a_batch_is_bounded(h: Harness) {
    let batch = |count| (0..count).map(|_| h.job()).collect::<Vec<_>>();
    h.enqueue_all(batch(limits::ENQUEUE_BATCH_MAX)).await;
    let larger = batch(limits::ENQUEUE_BATCH_MAX + 1);
    let refused = h.broker.enqueue(larger, false).await;
    is_too_many(refused, limits::ENQUEUE_BATCH_MAX);
    assert_eq!(h.stats().await.queued, limits::ENQUEUE_BATCH_MAX as u64);
}

/// S1. The largest batch of settles is taken; a larger one is refused whole.
pub(crate) async fn a_batch_of_settles_is_bounded(h: Harness) {
    h.enqueue_plain(limits::BATCH_MAX + 1).await;
    let worker = h.worker().await;
    let mut held = h.claim(worker, limits::BATCH_MAX).await;
    held.extend(h.claim(worker, 1).await);
    let outcome = Outcome::Done(Payload::null());
    let settles: Vec<_> = held.iter().map(|one| h.ended(one, &outcome)).collect();
    let refused = h.broker.settle(&settles).await;
    is_too_many(refused, limits::BATCH_MAX);
    assert_eq!(h.stats().await.succeeded_total, 0);
    h.broker.settle(&settles[1..]).await.unwrap();
    let stats = h.stats().await;
    assert_eq!(stats.succeeded_total, limits::BATCH_MAX as u64);
    assert_eq!(stats.running, 1);
}

/// S1. The largest result is kept whole.
pub(crate) async fn the_largest_result_is_kept(h: Harness) {
    let (_, claimed) = h.running(h.job()).await;
    let result = of_bytes(limits::RESULT_BYTES_MAX);
    h.settle(&claimed, Outcome::Done(result.clone())).await;
    assert_eq!(h.get(claimed.job.id).await.result, Some(result));
}

/// S4. The largest checkpoint is kept whole; a larger one is refused.
pub(crate) async fn a_checkpoint_is_bounded(h: Harness) {
    let (_, claimed) = h.running(h.job()).await;
    let step = |occurrence, bytes| Checkpoint {
        step: "draft".into(),
        occurrence,
        fingerprint: "f".into(),
        value: of_bytes(bytes),
    };
    let largest = step(0, limits::CHECKPOINT_BYTES_MAX);
    h.checkpoint(&claimed, &largest, &[]).await;
    let larger = step(1, limits::CHECKPOINT_BYTES_MAX + 1);
    let refused = h.broker.checkpoint(&claimed.lease, &larger, &[]).await;
    is_too_large(refused, limits::CHECKPOINT_BYTES_MAX);
    let kept = h.broker.checkpoints(&claimed.job.id).await.unwrap();
    assert_eq!(kept, [largest]);
}

/// P3. The largest signal is kept whole; a larger one is refused and wakes nobody.
pub(crate) async fn a_signal_is_bounded(h: Harness) {
    let (_, claimed) = h.running(h.job()).await;
    let id = claimed.job.id;
    h.park(&claimed, WaitReason::Signal("a".into())).await;
    let larger = of_bytes(limits::SIGNAL_BYTES_MAX + 1);
    let refused = h.broker.signal(&id, "a", &larger).await;
    is_too_large(refused, limits::SIGNAL_BYTES_MAX);
    assert_eq!(h.status(id).await, Status::Waiting);
    let largest = of_bytes(limits::SIGNAL_BYTES_MAX);
    assert_eq!(h.signal(id, "a", &largest).await, SignalReply::Delivered);
    let kept = h.broker.checkpoints(&id).await.unwrap();
    assert_eq!(kept[0].value, largest);
}

/// P2. A job has no more children than the bound, over all its groups; a group
/// that is too many is not stored at all.
pub(crate) async fn children_are_bounded(h: Harness) {
    let (worker, parent) = h.running(h.job()).await;
    let children = |count| (0..count).map(|_| h.job()).collect::<Vec<_>>();
    h.spawn(&parent, "some", children(limits::CHILDREN_MAX - 5))
        .await;
    let many = Spawn {
        lease: parent.lease.clone(),
        group: "rest".into(),
        children: children(6),
    };
    is_too_many(h.broker.spawn(&many).await, limits::CHILDREN_MAX);
    assert_eq!(
        h.children(parent.job.id).await.len(),
        limits::CHILDREN_MAX - 5
    );
    assert_eq!(h.broker.get(&many.children[0].id).await.unwrap(), None);
    h.spawn(&parent, "rest", many.children[1..].to_vec()).await;
    assert_eq!(h.children(parent.job.id).await.len(), limits::CHILDREN_MAX);
    assert_eq!(h.event_kinds(parent.job.id).await, ["spawned", "spawned"]);
    h.park(&parent, WaitReason::Children(Join::All)).await;
    let mut ended = 0;
    while ended < limits::CHILDREN_MAX {
        assert_eq!(h.status(parent.job.id).await, Status::Waiting);
        let held = h.claim(worker, limits::BATCH_MAX).await;
        let outcome = Outcome::Done(Payload::null());
        let settles: Vec<_> = held.iter().map(|one| h.ended(one, &outcome)).collect();
        h.broker.settle(&settles).await.unwrap();
        ended += held.len();
    }
    assert_eq!(h.claim_ids(worker, 10).await, [parent.job.id]);
}

/// C6. A queue has no more weights than the bound; its limits before stay.
pub(crate) async fn weights_are_bounded(h: Harness) {
    let weights = |count: usize| QueueLimits {
        weights: (0..count)
            .map(|number| {
                let tenant: Tenant = format!("t{number}").parse().unwrap();
                (tenant, Weight::try_from(2).unwrap())
            })
            .collect::<BTreeMap<_, _>>(),
        concurrency: u32::try_from(count).ok(),
        ..QueueLimits::default()
    };
    h.limit(weights(limits::WEIGHTS_MAX)).await;
    let queue = QueueName::default();
    let refused = h
        .broker
        .limit(&queue, &weights(limits::WEIGHTS_MAX + 1))
        .await;
    is_too_many(refused, limits::WEIGHTS_MAX);
    assert_eq!(h.stats().await.limits, weights(limits::WEIGHTS_MAX));
}

/// E1. The longest names, the longest keys, the most tags and attempts are kept.
pub(crate) async fn the_longest_names_and_keys_are_kept(h: Harness) {
    let name = "n".repeat(limits::NAME_BYTES_MAX);
    // Three bytes a letter, then up to the bound.
    let letters = limits::KEY_BYTES_MAX / 3;
    let key = format!(
        "{}{}",
        "키".repeat(letters),
        "k".repeat(limits::KEY_BYTES_MAX - letters * 3)
    );
    let tag = |number: usize| format!("{number:02}{}", "t".repeat(limits::KEY_BYTES_MAX - 2));
    let new = NewJob {
        kind: name.parse().unwrap(),
        queue: name.parse().unwrap(),
        tenant: name.parse().unwrap(),
        attempts_max: limits::ATTEMPTS_MAX,
        unique: Some(Unique {
            key: key.clone(),
            window: None,
        }),
        idempotency: Some(Idempotency {
            key: key.clone(),
            fingerprint: "f".into(),
        }),
        session: Some(key.clone()),
        tags: (0..limits::TAGS_MAX).map(tag).collect(),
        ..h.job()
    };
    let id = h.enqueue(new.clone()).await;
    let stored = lovage_core::lifecycle::enqueue(&new, h.now());
    assert_eq!(h.get(id).await, stored);
    for filter in [
        Filter {
            session: Some(key),
            ..Filter::default()
        },
        Filter {
            tag: Some(tag(limits::TAGS_MAX - 1)),
            ..Filter::default()
        },
    ] {
        let listed: Vec<JobId> = h.list(&filter, 10).await.iter().map(|job| job.id).collect();
        assert_eq!(listed, [id]);
    }
}

/// P2, P3. The longest names of a group and of a signal are kept.
pub(crate) async fn the_longest_group_and_signal_names_are_kept(h: Harness) {
    let (worker, parent) = h.running(h.job()).await;
    let id = parent.job.id;
    let name = "g ".repeat(limits::KEY_BYTES_MAX / 2);
    h.spawn(&parent, &name, vec![h.job()]).await;
    h.spawn(&parent, &name, vec![h.job()]).await;
    let children = h.children(id).await;
    assert_eq!((children.len(), &children[0].group), (1, &name));
    h.park(&parent, WaitReason::Signal(name.clone())).await;
    h.signal(id, &name, &Payload::null()).await;
    assert_eq!(h.claim_ids(worker, 1).await, [id]);
}

/// Q2. A page of a listing is bounded, whatever is asked for.
pub(crate) async fn a_page_of_a_listing_is_bounded(h: Harness) {
    h.enqueue_plain(limits::LIST_PAGE_MAX + 1).await;
    let page = Page {
        cursor: None,
        limit: 1_000_000,
    };
    let page = h.broker.list(&Filter::default(), &page).await.unwrap();
    assert!(page.jobs.len() <= limits::LIST_PAGE_MAX);
    assert!(page.next.is_some());
}

/// V1. One more event than are kept drops the oldest, and no other.
pub(crate) async fn the_events_of_a_job_are_bounded(h: Harness) {
    let (_, claimed) = h.running(h.job()).await;
    let note = |number: usize| NewEvent {
        kind: "note".into(),
        step: None,
        data: Payload::of(&number).unwrap(),
    };
    for start in (0..limits::EVENTS_MAX).step_by(500) {
        let notes: Vec<NewEvent> = (start..start + 500).map(note).collect();
        h.emit(&claimed, &notes).await;
    }
    let id = claimed.job.id;
    let page = h.events_after(id, 0, 1).await;
    assert_eq!((page.events[0].seq, page.missed), (1, false));
    h.emit(&claimed, &[note(limits::EVENTS_MAX)]).await;
    let page = h.events_after(id, 0, 1).await;
    assert!(page.missed);
    assert!(page.events[0].seq >= 2);
    let last = h.events_after(id, limits::EVENTS_MAX as u64, 10).await;
    assert_eq!(last.events.len(), 1);
}
