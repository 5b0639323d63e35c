//! Records that cannot be read: damaged ones, and those of a newer program.
//!
//! A case without a way to overwrite a record passes without looking.

use std::time::Duration;

use lovage_core::error::BrokerError;
use lovage_core::id::JobId;
use lovage_core::job::{Job, NewJob};
use lovage_core::lifecycle::UNREADABLE;
use lovage_core::payload::Payload;
use lovage_core::query::Filter;
use lovage_core::record;
use lovage_core::status::{Join, Status, WaitReason};

use crate::harness::Harness;

/// Longest time after which a job that was parked for a newer program is seen again.
const PARKED_MAX: Duration = Duration::from_secs(3_600);

/// The job's record as it was queued, with `body` in place of its document.
async fn with_body(h: &Harness, id: JobId, body: &[u8]) -> Vec<u8> {
    let queued = Job {
        status: Status::Queued,
        ..h.get(id).await
    };
    let mut record = record::encode(&queued);
    let document = record.iter().position(|byte| *byte == b'{');
    record.truncate(document.expect("a record has a document"));
    record.extend_from_slice(body);
    record
}

/// The job's record as a newer program would write it.
async fn newer(h: &Harness, id: JobId) -> Vec<u8> {
    let mut record = with_body(h, id, b"<what is to come>").await;
    record[1] = b'2';
    record
}

async fn is_dead(h: &Harness, id: JobId, record: &[u8]) {
    let job = h.get(id).await;
    assert_eq!(job.status, Status::Failed);
    assert_eq!(job.error.unwrap().code, UNREADABLE);
    let text = String::from_utf8_lossy(record);
    assert_eq!(job.asked.input, Payload::of(&text).unwrap());
    let filter = Filter {
        states: vec![Status::Failed],
        ..Filter::default()
    };
    let listed = h.list(&filter, 10).await;
    assert!(listed.iter().any(|job| job.id == id));
}

/// D1. A damaged record goes to the dead list with its text; the other jobs of
/// the claim are given.
pub(crate) async fn a_damaged_record_goes_to_the_dead_list(h: Harness) {
    let ids = h.enqueue_plain(3).await;
    let bodies: [&[u8]; 3] = [b"{\"k\":", b"", b"\xff\xfe not a text"];
    for (count, body) in (1..).zip(bodies) {
        let damaged = h.enqueue_plain(1).await[0];
        let fine = h.enqueue(h.job()).await;
        let record = with_body(&h, damaged, body).await;
        if !h.corrupt(damaged, &record).await {
            return;
        }
        let worker = h.worker().await;
        let mut given = Vec::new();
        for _ in 0..3 {
            given.extend(h.claim_ids(worker, 10).await);
        }
        assert!(given.contains(&fine) && !given.contains(&damaged));
        is_dead(&h, damaged, &record).await;
        let stats = h.stats().await;
        assert_eq!((stats.queued, stats.failed_total), (0, count));
        assert_eq!(h.event_kinds(damaged).await, ["failed"]);
    }
    assert_eq!(h.stats().await.running, 3 + ids.len() as u64);
}

/// D1. So does one of which nothing is left to tell what it was.
pub(crate) async fn a_record_without_a_head_goes_to_the_dead_list(h: Harness) {
    for (count, record) in (1..).zip([&b"gone"[..], b"X9 ! what", b"{}"]) {
        let damaged = h.enqueue(h.job()).await;
        let fine = h.enqueue(h.job()).await;
        if !h.corrupt(damaged, record).await {
            return;
        }
        let worker = h.worker().await;
        let mut given = Vec::new();
        for _ in 0..3 {
            given.extend(h.claim_ids(worker, 10).await);
        }
        assert_eq!(given, [fine]);
        is_dead(&h, damaged, record).await;
        let stats = h.stats().await;
        assert_eq!((stats.queued, stats.running), (0, count));
        assert_eq!(stats.failed_total, count);
    }
}

/// D1. A parent hears of a child whose record cannot be read.
pub(crate) async fn an_unreadable_child_has_failed(h: Harness) {
    let (worker, parent) = h.running(h.job()).await;
    let ids = h.spawn(&parent, "parts", vec![h.job()]).await;
    h.park(&parent, WaitReason::Children(Join::All)).await;
    let record = with_body(&h, ids[0], b"{").await;
    if !h.corrupt(ids[0], &record).await {
        return;
    }
    let mut given = Vec::new();
    for _ in 0..3 {
        given.extend(h.claim_ids(worker, 10).await);
    }
    assert_eq!(given, [parent.job.id]);
    let children = h.children(parent.job.id).await;
    assert_eq!(children[0].ended, Some(Status::Failed));
}

/// D1. What a newer program wrote is left to it: not given here, not changed,
/// no attempt used, and it stops no other job.
pub(crate) async fn a_record_of_a_newer_program_is_left_to_it(h: Harness) {
    let job = NewJob {
        attempts_max: 1,
        ..h.job()
    };
    let id = h.enqueue(job).await;
    let before = h.get(id).await;
    let fine = h.enqueue(h.job()).await;
    let record = newer(&h, id).await;
    if !h.corrupt(id, &record).await {
        return;
    }
    let worker = h.worker().await;
    let mut given = Vec::new();
    for _ in 0..3 {
        given.extend(h.claim_ids(worker, 10).await);
    }
    assert_eq!(given, [fine]);
    let stats = h.stats().await;
    assert_eq!((stats.running, stats.failed_total), (1, 0));
    assert_eq!(stats.queued + stats.waiting + stats.scheduled, 1);
    let read = h.broker.get(&id).await;
    assert!(matches!(read, Err(BrokerError::Corrupt(_))), "{read:?}");
    // Whoever can read it finds it as it was, a while later.
    let waiting = Job {
        status: Status::Waiting,
        ..before
    };
    h.corrupt(id, &record::encode(&waiting)).await;
    h.advance(PARKED_MAX);
    let worker = h.worker().await;
    let mut given = Vec::new();
    for _ in 0..3 {
        given.extend(h.claim(worker, 10).await);
    }
    let found = given.iter().find(|claimed| claimed.job.id == id);
    assert_eq!(found.expect("it is given").job.attempt, 1);
}

/// D1. What cannot be read is left out of a listing that goes on.
pub(crate) async fn a_listing_leaves_out_what_cannot_be_read(h: Harness) {
    let ids = h.enqueue_plain(4).await;
    let record = newer(&h, ids[0]).await;
    if !h.corrupt(ids[0], &record).await {
        return;
    }
    h.corrupt(ids[2], &with_body(&h, ids[2], b"{").await).await;
    let listed = h.list(&Filter::default(), 1).await;
    let mut listed: Vec<JobId> = listed.iter().map(|job| job.id).collect();
    listed.sort();
    assert_eq!(listed, [ids[1], ids[3]]);
}

/// D1. A sweep goes on behind a running job that cannot be read.
pub(crate) async fn a_sweep_goes_on_behind_what_cannot_be_read(h: Harness) {
    let ids = h.enqueue_plain(3).await;
    let worker = h.worker().await;
    assert_eq!(h.claim(worker, 3).await.len(), 3);
    let record = with_body(&h, ids[1], b"{").await;
    if !h.corrupt(ids[1], &record).await {
        return;
    }
    h.outlast_lease();
    h.sweep().await;
    let worker = h.worker().await;
    let mut given = Vec::new();
    for _ in 0..3 {
        given.extend(h.claim_ids(worker, 10).await);
    }
    given.sort();
    assert_eq!(given, [ids[0], ids[2]]);
    assert_eq!(h.status(ids[1]).await, Status::Failed);
    assert_eq!(h.stats().await.running, 2);
}
