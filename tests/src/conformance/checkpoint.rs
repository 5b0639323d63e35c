//! What steps stored, and who sees it.

use lovage_core::broker::Settled;
use lovage_core::checkpoint::Checkpoint;
use lovage_core::event::NewEvent;
use lovage_core::outcome::Outcome;
use lovage_core::payload::Payload;
use lovage_core::status::Status;

use crate::harness::Harness;

fn step(name: &str, occurrence: u32, value: &str) -> Checkpoint {
    Checkpoint {
        step: name.to_owned(),
        occurrence,
        fingerprint: format!("{name} of {value}"),
        value: Payload::parse(value).unwrap(),
    }
}

fn saved(name: &str) -> NewEvent {
    NewEvent {
        kind: "step_saved".into(),
        step: Some(name.to_owned()),
        data: Payload::parse("{\"n\":1}").unwrap(),
    }
}

/// S4. A later attempt reads what an earlier one stored, whatever ended it.
pub(crate) async fn a_checkpoint_is_seen_by_every_later_attempt(h: Harness) {
    let (worker, first) = h.running(h.job()).await;
    let id = first.job.id;
    let plan = step("plan", 0, "{\"a\": 1}");
    h.checkpoint(&first, &plan, &[]).await;
    h.settle(&first, Outcome::Release).await;
    let second = h.claim_one(worker).await;
    let write = step("write", 0, "2");
    h.checkpoint(&second, &write, &[]).await;
    h.outlast_lease();
    h.sweep().await;
    let worker = h.worker().await;
    let third = h.claim_one(worker).await;
    assert_eq!(
        h.broker.checkpoints(&id).await.unwrap(),
        [plan.clone(), write.clone()]
    );
    h.settle(&third, Outcome::Done(Payload::null())).await;
    assert_eq!(h.broker.checkpoints(&id).await.unwrap(), [plan, write]);
}

/// S4. The first value of a step and occurrence stays; its events come once.
pub(crate) async fn a_checkpoint_is_written_once(h: Harness) {
    let (_, claimed) = h.running(h.job()).await;
    let id = claimed.job.id;
    let first = step("plan", 0, "1");
    for value in ["1", "1", "2"] {
        let again = step("plan", 0, value);
        h.checkpoint(&claimed, &again, &[saved("plan")]).await;
    }
    assert_eq!(h.broker.checkpoints(&id).await.unwrap(), [first]);
    assert_eq!(h.event_kinds(id).await, ["step_saved"]);
}

/// S4. Steps come back in the order they were stored, loops included.
pub(crate) async fn checkpoints_come_back_in_the_order_they_were_stored(h: Harness) {
    let (_, claimed) = h.running(h.job()).await;
    let mut steps = vec![step("write", 0, "0"), step("plan", 0, "\"한\"")];
    steps.extend((0..15).rev().map(|run| step("search", run, "[1, 2]")));
    for one in &steps {
        h.checkpoint(&claimed, one, &[]).await;
    }
    let stored = h.broker.checkpoints(&claimed.job.id).await.unwrap();
    assert_eq!(stored, steps);
}

/// S4. A step and its events are one write; the events carry step and data.
pub(crate) async fn a_checkpoint_brings_its_events(h: Harness) {
    let (_, claimed) = h.running(h.job()).await;
    let news = [saved("plan"), saved("plan")];
    let plan = step("plan", 0, "1");
    h.checkpoint(&claimed, &plan, &news).await;
    let events = h.events(claimed.job.id).await;
    assert_eq!(events.len(), 2);
    for (place, event) in events.into_iter().enumerate() {
        assert_eq!(event.seq, place as u64 + 1);
        assert_eq!((event.at, event.job), (h.now(), claimed.job.id));
        assert_eq!(event.kind, news[place].kind);
        assert_eq!(event.step, news[place].step);
        assert_eq!(event.data, news[place].data);
    }
}

/// S4. A step may store a megabyte.
pub(crate) async fn a_large_checkpoint_comes_back_whole(h: Harness) {
    let (_, claimed) = h.running(h.job()).await;
    let large = step("draft", 0, &format!("\"{}\"", "원고 ".repeat(200_000)));
    h.checkpoint(&claimed, &large, &[]).await;
    let stored = h.broker.checkpoints(&claimed.job.id).await.unwrap();
    assert_eq!(stored, [large]);
}

/// S4. Redrive keeps what the steps stored.
pub(crate) async fn a_redriven_job_keeps_its_checkpoints(h: Harness) {
    let (worker, claimed) = h.running(h.job()).await;
    let plan = step("plan", 0, "1");
    h.checkpoint(&claimed, &plan, &[]).await;
    h.settle(&claimed, Outcome::Cancelled).await;
    h.broker.redrive(&claimed.job.id).await.unwrap();
    let again = h.claim_one(worker).await;
    assert_eq!(
        (again.job.id, again.lease.token.attempt),
        (claimed.job.id, 1)
    );
    let write = step("write", 0, "2");
    h.checkpoint(&again, &write, &[]).await;
    let stored = h.broker.checkpoints(&claimed.job.id).await.unwrap();
    assert_eq!(stored, [plan, write]);
}

/// L3. The token of a first run is worthless in the run after a redrive.
pub(crate) async fn a_lease_from_before_a_redrive_is_refused(h: Harness) {
    let (worker, claimed) = h.running(h.job()).await;
    h.settle(&claimed, Outcome::Cancelled).await;
    h.broker.redrive(&claimed.job.id).await.unwrap();
    h.advance(std::time::Duration::from_millis(1));
    let again = h.claim_one(worker).await;
    let refused = h
        .broker
        .checkpoint(&claimed.lease, &step("x", 0, "1"), &[])
        .await;
    assert!(refused.is_err());
    h.settle(&claimed, Outcome::Done(Payload::null())).await;
    assert_eq!(h.status(claimed.job.id).await, Status::Running);
    let done = h.settle(&again, Outcome::Done(Payload::null())).await;
    assert_eq!(done, Settled::Done);
}

/// S4. A job without steps has none, and neither has an unknown one.
pub(crate) async fn a_job_without_steps_has_no_checkpoints(h: Harness) {
    let id = h.enqueue(h.job()).await;
    assert_eq!(h.broker.checkpoints(&id).await.unwrap(), []);
    assert_eq!(h.broker.checkpoints(&h.job().id).await.unwrap(), []);
}
