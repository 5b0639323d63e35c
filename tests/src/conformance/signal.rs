//! Values that come from outside while a job waits, runs or stands in line.

use std::sync::Arc;
use std::time::Duration;

use lovage_core::broker::SignalReply;
use lovage_core::checkpoint::{self, Checkpoint};
use lovage_core::clock;
use lovage_core::event::NewEvent;
use lovage_core::job::NewJob;
use lovage_core::outcome::Outcome;
use lovage_core::payload::Payload;
use lovage_core::status::{Status, WaitReason};

use crate::harness::{Harness, SOON};

const LATER: Duration = Duration::from_secs(60);
const NAME: &str = "승인 1:a";

fn approval() -> WaitReason {
    WaitReason::Signal(NAME.to_owned())
}

fn yes() -> Payload {
    Payload::parse("{ \"ok\": true }").unwrap()
}

fn no() -> Payload {
    Payload::parse("false").unwrap()
}

/// P3. A signal to a waiting job queues it ahead of its lane, uncharged, once;
/// the attempt reads it as a checkpoint.
pub(crate) async fn a_signal_reaches_a_waiting_job(h: Harness) {
    let (worker, claimed) = h.running(h.job()).await;
    let id = claimed.job.id;
    h.park(&claimed, approval()).await;
    let job = h.get(id).await;
    assert_eq!((job.status, job.attempt), (Status::Waiting, 0));
    assert_eq!(job.waiting.unwrap().reason, approval());
    let other = h.enqueue(h.job()).await;
    assert_eq!(h.signal(id, NAME, &yes()).await, SignalReply::Delivered);
    let job = h.get(id).await;
    assert_eq!((job.status, job.waiting), (Status::Queued, None));
    let stats = h.stats().await;
    assert_eq!((stats.waiting, stats.queued), (0, 2));
    let given = h.claim(worker, 10).await;
    assert_eq!((given[0].job.id, given[0].job.attempt), (id, 1));
    assert_eq!((given[1].job.id, given.len()), (other, 2));
    let kept = h.broker.checkpoints(&id).await.unwrap();
    assert_eq!(kept, [checkpoint::signal(NAME, yes())]);
    h.advance(LATER * 120);
    let worker = h.worker().await;
    assert!(h.claim(worker, 10).await.is_empty());
}

/// P3. A signal that comes before the job waits for it is kept: the job is
/// queued at once, ahead of its lane.
pub(crate) async fn a_signal_before_the_wait_is_kept(h: Harness) {
    let run_at = Some(clock::after(h.now(), LATER));
    let scheduled = h.enqueue(NewJob { run_at, ..h.job() }).await;
    let queued = h.enqueue(h.job()).await;
    for id in [scheduled, queued] {
        assert_eq!(h.signal(id, NAME, &yes()).await, SignalReply::Delivered);
    }
    assert_eq!(h.status(scheduled).await, Status::Scheduled);
    h.advance(LATER);
    let worker = h.worker().await;
    let mut given = h.claim(worker, 2).await;
    let running = h.enqueue(h.job()).await;
    given.extend(h.claim(worker, 1).await);
    assert_eq!(
        h.signal(running, NAME, &yes()).await,
        SignalReply::Delivered
    );
    let other = h.enqueue(h.job()).await;
    for claimed in given {
        h.park(&claimed, approval()).await;
        let job = h.get(claimed.job.id).await;
        assert_eq!((job.status, job.waiting), (Status::Queued, None));
        let again = h.claim_one(worker).await;
        assert_eq!((again.job.id, again.job.attempt), (claimed.job.id, 1));
        let kept = h.broker.checkpoints(&again.job.id).await.unwrap();
        assert_eq!(kept, [checkpoint::signal(NAME, yes())]);
        let kinds = h.event_kinds(again.job.id).await;
        assert_eq!(kinds, ["signalled", "waiting"]);
    }
    assert_eq!(h.claim_ids(worker, 10).await, [other]);
}

/// P3. The first value of a name stays: the same again is delivered, another
/// is refused, and there is one event.
pub(crate) async fn the_first_value_of_a_signal_stays(h: Harness) {
    let (_, claimed) = h.running(h.job()).await;
    let id = claimed.job.id;
    h.park(&claimed, approval()).await;
    for _ in 0..2 {
        assert_eq!(h.signal(id, NAME, &yes()).await, SignalReply::Delivered);
        assert_eq!(h.signal(id, NAME, &no()).await, SignalReply::Taken);
    }
    let kept = h.broker.checkpoints(&id).await.unwrap();
    assert_eq!(kept, [checkpoint::signal(NAME, yes())]);
    let events = h.events(id).await;
    let expected = NewEvent::signalled(NAME);
    assert_eq!(events.len(), 2);
    assert_eq!(
        (&events[1].kind, &events[1].data),
        (&expected.kind, &expected.data)
    );
    assert_eq!(h.stats().await.queued, 1);
}

/// P3. Of different values at the same time one is delivered.
pub(crate) async fn one_of_many_values_at_once_is_delivered(h: Harness) {
    let (worker, claimed) = h.running(h.job()).await;
    let id = claimed.job.id;
    h.park(&claimed, approval()).await;
    let h = Arc::new(h);
    let sending: Vec<_> = (0..8)
        .map(|number| {
            let (h, data) = (Arc::clone(&h), Payload::of(&number).unwrap());
            tokio::spawn(async move { (h.signal(id, NAME, &data).await, data) })
        })
        .collect();
    let mut delivered = Vec::new();
    for sent in sending {
        match sent.await.unwrap() {
            (SignalReply::Delivered, data) => delivered.push(data),
            (reply, _) => assert_eq!(reply, SignalReply::Taken),
        }
    }
    assert_eq!(delivered.len(), 1);
    let kept = h.broker.checkpoints(&id).await.unwrap();
    assert_eq!(kept, [checkpoint::signal(NAME, delivered.remove(0))]);
    assert_eq!(h.claim_ids(worker, 10).await, [id]);
}

/// P3. A signal under another name is kept for later and ends no wait.
pub(crate) async fn another_name_does_not_end_the_wait(h: Harness) {
    let (worker, claimed) = h.running(h.job()).await;
    let id = claimed.job.id;
    h.park(&claimed, approval()).await;
    for name in ["승인 1", "승인 1:a ", "b", ""] {
        assert_eq!(h.signal(id, name, &no()).await, SignalReply::Delivered);
        assert_eq!(h.status(id).await, Status::Waiting);
    }
    h.signal(id, NAME, &yes()).await;
    let again = h.claim_one(worker).await;
    h.park(&again, WaitReason::Signal("b".into())).await;
    assert_eq!(h.claim_ids(worker, 10).await, [id]);
}

/// P3. A signal to a job that waits for something else is kept.
pub(crate) async fn a_signal_does_not_end_another_wait(h: Harness) {
    let (_, claimed) = h.running(h.job()).await;
    h.park(&claimed, WaitReason::Limit).await;
    let id = claimed.job.id;
    assert_eq!(h.signal(id, NAME, &yes()).await, SignalReply::Delivered);
    assert_eq!(h.status(id).await, Status::Waiting);
}

/// P3. A signal stands among the checkpoints in the order they came, and an
/// attempt of later sees all.
pub(crate) async fn a_signal_stands_in_order_among_checkpoints(h: Harness) {
    let (worker, claimed) = h.running(h.job()).await;
    let id = claimed.job.id;
    let step = |name: &str| Checkpoint {
        step: name.into(),
        occurrence: 0,
        fingerprint: "f".into(),
        value: no(),
    };
    h.checkpoint(&claimed, &step("plan"), &[]).await;
    h.signal(id, NAME, &yes()).await;
    h.checkpoint(&claimed, &step("write"), &[]).await;
    h.settle(&claimed, Outcome::Release).await;
    h.claim_one(worker).await;
    let kept = h.broker.checkpoints(&id).await.unwrap();
    let expected = [step("plan"), checkpoint::signal(NAME, yes()), step("write")];
    assert_eq!(kept, expected);
}

/// P3. A signal comes too late for a job that is over, and finds none that is unknown.
pub(crate) async fn a_signal_that_comes_too_late_says_so(h: Harness) {
    let (_, claimed) = h.running(h.job()).await;
    let id = claimed.job.id;
    h.signal(id, "early", &yes()).await;
    h.finish(&claimed).await;
    let late = SignalReply::TooLate(Status::Succeeded);
    for name in [NAME, "early"] {
        assert_eq!(h.signal(id, name, &yes()).await, late);
    }
    let kept = h.broker.checkpoints(&id).await.unwrap();
    assert_eq!(kept, [checkpoint::signal("early", yes())]);
    assert_eq!(h.event_kinds(id).await, ["signalled", "succeeded"]);
    let unknown = h.job().id;
    assert_eq!(h.signal(unknown, NAME, &yes()).await, SignalReply::NotFound);
}

/// P3. Without a signal the job goes on at its time; one that comes later is kept.
pub(crate) async fn a_job_waits_for_a_signal_no_longer_than_its_time(h: Harness) {
    let (worker, claimed) = h.running(h.job()).await;
    let id = claimed.job.id;
    let (reason, after) = (approval(), LATER);
    h.settle(&claimed, Outcome::Park { reason, after }).await;
    h.advance(LATER - Duration::from_millis(1));
    h.extend(worker).await.unwrap();
    assert!(h.claim(worker, 1).await.is_empty());
    h.advance(Duration::from_millis(1));
    assert_eq!(h.claim_ids(worker, 1).await, [id]);
    assert_eq!(h.signal(id, NAME, &yes()).await, SignalReply::Delivered);
    assert!(h.claim(worker, 1).await.is_empty());
}

/// P3. A signal wakes a waiting worker and whoever watches the job.
pub(crate) async fn a_signal_wakes_workers_and_watchers(h: Harness) {
    let (worker, claimed) = h.running(h.job()).await;
    let id = claimed.job.id;
    h.park(&claimed, approval()).await;
    let watching = {
        let broker = Arc::clone(&h.broker);
        tokio::spawn(async move { broker.events(&id, 1, 10, SOON * 2).await })
    };
    h.stays_quiet(worker).await;
    h.woken_by(worker, async {
        h.signal(id, NAME, &yes()).await;
    })
    .await;
    let page = tokio::time::timeout(SOON, watching).await;
    let page = page.expect("the watcher is woken").unwrap();
    assert_eq!(page.unwrap().unwrap().events[0].kind, "signalled");
}

/// P3. A signal through another process reaches a job that waits since before.
pub(crate) async fn a_signal_through_another_process_arrives(h: Harness) {
    let (worker, claimed) = h.running(h.job()).await;
    h.park(&claimed, approval()).await;
    let Some(other) = h.reopen().await else {
        return;
    };
    let reply = other.signal(&claimed.job.id, NAME, &yes()).await.unwrap();
    assert_eq!(reply, SignalReply::Delivered);
    assert_eq!(h.claim_ids(worker, 10).await, [claimed.job.id]);
}

/// P3. A redriven job keeps its signals, like all checkpoints.
pub(crate) async fn a_redriven_job_keeps_its_signals(h: Harness) {
    let (worker, claimed) = h.running(h.job()).await;
    let id = claimed.job.id;
    h.signal(id, NAME, &yes()).await;
    h.settle(&claimed, Outcome::Cancelled).await;
    h.broker.redrive(&id).await.unwrap();
    assert_eq!(h.signal(id, NAME, &no()).await, SignalReply::Taken);
    let again = h.claim_one(worker).await;
    h.park(&again, approval()).await;
    assert_eq!(h.claim_ids(worker, 10).await, [id]);
}

/// P1. A job that waits for a signal holds no slot and is cancelled at once.
pub(crate) async fn a_job_that_waits_for_a_signal_can_be_cancelled(h: Harness) {
    let (worker, claimed) = h.running(h.job()).await;
    let id = claimed.job.id;
    h.park(&claimed, approval()).await;
    assert_eq!(h.stats().await.running, 0);
    h.broker.cancel(&id).await.unwrap();
    let late = SignalReply::TooLate(Status::Cancelled);
    assert_eq!(h.signal(id, NAME, &yes()).await, late);
    assert!(h.claim(worker, 10).await.is_empty());
    let stats = h.stats().await;
    assert_eq!(
        (stats.waiting, stats.queued, stats.cancelled_total),
        (0, 0, 1)
    );
}
