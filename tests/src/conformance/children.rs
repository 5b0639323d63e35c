//! Jobs that spawn jobs, and wait for them.

use std::sync::Arc;
use std::time::Duration;

use lovage_core::attempt::JobError;
use lovage_core::broker::{CancelReply, Claimed, RedriveReply, Settled, Spawn};
use lovage_core::clock;
use lovage_core::error::BrokerError;
use lovage_core::event::NewEvent;
use lovage_core::id::{JobId, QueueName, WorkerId};
use lovage_core::job::{Child, Idempotency, NewJob, Unique};
use lovage_core::lifecycle;
use lovage_core::limits;
use lovage_core::outcome::Outcome;
use lovage_core::payload::Payload;
use lovage_core::status::{Join, Status, WaitReason};

use crate::harness::Harness;

pub(super) const LATER: Duration = Duration::from_secs(60);
pub(super) const ALL: WaitReason = WaitReason::Children(Join::All);
const FIRST_FAILURE: WaitReason = WaitReason::Children(Join::FirstFailure);

pub(super) fn give_up() -> Outcome {
    Outcome::GiveUp(JobError::permanent("hopeless", "never"))
}

pub(super) fn plain(h: &Harness, count: usize) -> Vec<NewJob> {
    (0..count).map(|_| h.job()).collect()
}

/// A worker with a running parent, and that parent's `count` queued children.
pub(super) async fn family(h: &Harness, count: usize) -> (WorkerId, Claimed, Vec<JobId>) {
    let (worker, parent) = h.running(h.job()).await;
    let children = h.spawn(&parent, "parts", plain(h, count)).await;
    (worker, parent, children)
}

/// How each child ended, in order.
pub(super) async fn ends(h: &Harness, parent: JobId) -> Vec<Option<Status>> {
    let children = h.children(parent).await;
    children.into_iter().map(|child| child.ended).collect()
}

/// P2. Children are jobs of their parent's queue that wait like others, but
/// without keys; their parent knows them in their order.
pub(crate) async fn children_wait_in_their_parents_queue(h: Harness) {
    let (worker, parent) = h.running(h.job()).await;
    let run_at = Some(clock::after(h.now(), LATER));
    let keyed = NewJob {
        queue: "elsewhere".parse().unwrap(),
        unique: Some(Unique {
            key: "u".into(),
            window: None,
        }),
        idempotency: Some(Idempotency {
            key: "k".into(),
            fingerprint: "f".into(),
        }),
        session: Some("대화".into()),
        ..h.job()
    };
    let mut children = vec![h.job(), NewJob { run_at, ..h.job() }, keyed];
    let ids = h.spawn(&parent, "부분 1", children.clone()).await;
    let more = h.spawn(&parent, "rest", plain(&h, 1)).await;
    let known = |id: JobId, group: &str| Child {
        id,
        group: group.into(),
        ended: None,
    };
    let mut expected: Vec<Child> = ids.iter().map(|id| known(*id, "부분 1")).collect();
    expected.push(known(more[0], "rest"));
    assert_eq!(h.children(parent.job.id).await, expected);
    children[2].unique = None;
    children[2].queue = parent.job.queue.clone();
    for child in &mut children {
        child.parent = Some(parent.job.id);
        let stored = lifecycle::enqueue(child, h.now());
        assert_eq!(h.get(child.id).await, stored);
    }
    let stats = h.stats().await;
    assert_eq!((stats.queued, stats.scheduled, stats.running), (3, 1, 1));
    let given = h.claim_ids(worker, 10).await;
    assert_eq!(given, [ids[0], ids[2], more[0]]);
    h.advance(LATER);
    h.extend(worker).await.unwrap();
    assert_eq!(h.claim_ids(worker, 10).await, [ids[1]]);
}

/// P2. Who watches the parent sees that it spawned.
pub(crate) async fn a_spawn_is_an_event_of_the_parent(h: Harness) {
    let (_, parent, _) = family(&h, 2).await;
    let events = h.events(parent.job.id).await;
    assert_eq!(events.len(), 1);
    let expected = NewEvent::spawned("parts", 2);
    assert_eq!(
        (&events[0].kind, &events[0].data),
        (&expected.kind, &expected.data)
    );
}

/// P2. A group is stored once, also by a later attempt and with other children.
pub(crate) async fn a_group_is_stored_once(h: Harness) {
    let (worker, parent, ids) = family(&h, 2).await;
    h.spawn(&parent, "parts", plain(&h, 3)).await;
    h.settle(&parent, Outcome::Release).await;
    let again = h.claim_one(worker).await;
    assert_eq!(again.job.id, parent.job.id);
    h.spawn(&again, "parts", plain(&h, 1)).await;
    let known: Vec<JobId> = h
        .children(again.job.id)
        .await
        .iter()
        .map(|child| child.id)
        .collect();
    assert_eq!(known, ids);
    assert_eq!(h.stats().await.queued, 2);
    let kinds = h.event_kinds(parent.job.id).await;
    assert_eq!(kinds, ["spawned", "requeued"]);
}

/// P2. A group may be empty; who waits for no children does not wait.
pub(crate) async fn an_empty_group_is_waited_for_by_nobody(h: Harness) {
    let (worker, parent, _) = family(&h, 0).await;
    h.park(&parent, ALL).await;
    assert_eq!(h.status(parent.job.id).await, Status::Queued);
    assert_eq!(h.claim_ids(worker, 2).await, [parent.job.id]);
    assert_eq!(h.children(parent.job.id).await, []);
}

/// P2. A parent goes on, uncharged and ahead of its lane, exactly once, when
/// the last of its children is over, however they ended.
pub(crate) async fn a_parent_goes_on_when_its_children_are_over(h: Harness) {
    let (worker, parent, ids) = family(&h, 3).await;
    let children = h.claim(worker, 3).await;
    h.park(&parent, ALL).await;
    let other = h.enqueue(h.job()).await;
    h.settle(&children[1], give_up()).await;
    h.finish(&children[2]).await;
    let job = h.get(parent.job.id).await;
    assert_eq!(job.status, Status::Waiting);
    assert_eq!(job.waiting.unwrap().reason, ALL);
    h.finish(&children[0]).await;
    let job = h.get(parent.job.id).await;
    assert_eq!(
        (job.status, job.waiting, job.attempt),
        (Status::Queued, None, 0)
    );
    let stats = h.stats().await;
    assert_eq!((stats.waiting, stats.queued), (0, 2));
    let again = h.claim_one(worker).await;
    assert_eq!((again.job.id, again.job.attempt), (parent.job.id, 1));
    let (done, failed) = (Some(Status::Succeeded), Some(Status::Failed));
    assert_eq!(ends(&h, again.job.id).await, [done, failed, done]);
    let known: Vec<JobId> = h
        .children(again.job.id)
        .await
        .iter()
        .map(|child| child.id)
        .collect();
    assert_eq!(known, ids);
    assert_eq!(h.claim_ids(worker, 10).await, [other]);
    h.advance(Duration::from_secs(3_600));
    let worker = h.worker().await;
    assert!(h.claim(worker, 10).await.is_empty());
}

/// P2. A parent whose children are over before it waits is queued at once,
/// ahead of its lane.
pub(crate) async fn a_parent_whose_children_are_over_does_not_wait(h: Harness) {
    let (worker, parent, _) = family(&h, 2).await;
    for child in h.claim(worker, 2).await {
        h.finish(&child).await;
    }
    let other = h.enqueue(h.job()).await;
    h.park(&parent, ALL).await;
    let job = h.get(parent.job.id).await;
    assert_eq!((job.status, job.waiting), (Status::Queued, None));
    assert_eq!(h.claim_ids(worker, 10).await, [parent.job.id, other]);
    let kinds = h.event_kinds(parent.job.id).await;
    assert_eq!(kinds, ["spawned", "waiting"]);
}

/// P2. Under the first-failure policy one failed child is enough, and one that
/// succeeded is not.
pub(crate) async fn the_first_failure_is_enough(h: Harness) {
    for ending in [give_up(), Outcome::Cancelled] {
        let (worker, parent, _) = family(&h, 3).await;
        let children = h.claim(worker, 2).await;
        h.park(&parent, FIRST_FAILURE).await;
        h.finish(&children[0]).await;
        assert_eq!(h.status(parent.job.id).await, Status::Waiting);
        h.settle(&children[1], ending).await;
        let given = h.claim(worker, 10).await;
        assert_eq!(given[0].job.id, parent.job.id);
        assert_eq!(given.len(), 2);
        // It failed already: there is nothing to wait for.
        h.park(&given[0], FIRST_FAILURE).await;
        assert_eq!(h.status(parent.job.id).await, Status::Queued);
        let again = h.claim_one(worker).await;
        h.park(&again, ALL).await;
        assert_eq!(h.status(parent.job.id).await, Status::Waiting);
        h.finish(&given[1]).await;
        assert_eq!(h.claim_ids(worker, 10).await, [parent.job.id]);
    }
}

/// P2. A parent under the first-failure policy goes on when all succeeded.
pub(crate) async fn without_a_failure_the_last_child_ends_the_wait(h: Harness) {
    let (worker, parent, _) = family(&h, 2).await;
    h.park(&parent, FIRST_FAILURE).await;
    for status in [Status::Waiting, Status::Queued] {
        let child = h.claim_one(worker).await;
        h.finish(&child).await;
        assert_eq!(h.status(parent.job.id).await, status);
    }
}

/// A parent of another worker, that waits, and its only child.
async fn waiting_for_one(h: &Harness, child: NewJob) -> (JobId, JobId) {
    let (_, parent) = h.running(h.job()).await;
    let ids = h.spawn(&parent, "one", vec![child]).await;
    h.park(&parent, ALL).await;
    (parent.job.id, ids[0])
}

async fn goes_on(h: &Harness, parent: JobId, ended: Status) {
    assert_eq!(ends(h, parent).await, [Some(ended)]);
    let worker = h.worker().await;
    assert_eq!(h.claim_ids(worker, 10).await, [parent]);
    h.broker
        .deregister(&QueueName::default(), &worker)
        .await
        .unwrap();
    h.broker.cancel(&parent).await.unwrap();
    h.sweep().await;
}

/// P2. A child that is cancelled before anybody runs it is over.
pub(crate) async fn a_child_cancelled_in_its_lane_is_over(h: Harness) {
    let run_at = Some(clock::after(h.now(), LATER));
    for child in [h.job(), NewJob { run_at, ..h.job() }] {
        let (parent, child) = waiting_for_one(&h, child).await;
        h.broker.cancel(&child).await.unwrap();
        goes_on(&h, parent, Status::Cancelled).await;
    }
}

/// P2. A child that is cancelled while it runs is over when it stops, or when
/// it did not within a lease.
pub(crate) async fn a_child_cancelled_while_it_runs_is_over(h: Harness) {
    for stops in [true, false] {
        let (parent, child) = waiting_for_one(&h, h.job()).await;
        let worker = h.worker().await;
        let claimed = h.claim_one(worker).await;
        assert_eq!(
            h.broker.cancel(&child).await.unwrap(),
            CancelReply::Requested
        );
        assert_eq!(h.status(parent).await, Status::Waiting);
        if stops {
            h.settle(&claimed, Outcome::Cancelled).await;
        } else {
            h.advance(h.lease / 2);
            h.extend(worker).await.unwrap();
            h.advance(h.lease / 2 + Duration::from_millis(1));
            assert_eq!(h.sweep().await.cancelled, [child]);
        }
        goes_on(&h, parent, Status::Cancelled).await;
    }
}

/// P2. A child that ran out of time, or of attempts, is over.
pub(crate) async fn a_child_that_ran_out_is_over(h: Harness) {
    let expires_at = Some(clock::after(h.now(), LATER));
    let late = NewJob {
        expires_at,
        ..h.job()
    };
    let (parent, child) = waiting_for_one(&h, late.clone()).await;
    h.advance(LATER);
    assert_eq!(h.sweep().await.expired, [child]);
    goes_on(&h, parent, Status::Cancelled).await;

    let poison = NewJob {
        attempts_max: 1,
        ..h.job()
    };
    let (parent, child) = waiting_for_one(&h, poison).await;
    let worker = h.worker().await;
    assert_eq!(h.claim_ids(worker, 1).await, [child]);
    h.outlast_lease();
    assert_eq!(h.sweep().await.reclaimed, [(child, Status::Failed)]);
    goes_on(&h, parent, Status::Failed).await;
}

/// P2. A child that a claim finds too late is over.
pub(crate) async fn a_child_that_a_claim_finds_too_late_is_over(h: Harness) {
    let expires_at = Some(clock::after(h.now(), LATER));
    let late = NewJob {
        expires_at,
        ..h.job()
    };
    let (parent, child) = waiting_for_one(&h, late).await;
    h.advance(LATER);
    let worker = h.worker().await;
    let mut given = Vec::new();
    for _ in 0..3 {
        given.extend(h.claim_ids(worker, 1).await);
    }
    assert_eq!(given, [parent]);
    assert_eq!(h.status(child).await, Status::Cancelled);
}

/// P2. A child that only pauses is not over.
pub(crate) async fn a_child_that_goes_on_is_not_over(h: Harness) {
    let (parent, child) = waiting_for_one(&h, h.job()).await;
    let worker = h.worker().await;
    let claimed = h.claim_one(worker).await;
    h.settle(&claimed, Outcome::Release).await;
    let claimed = h.claim_one(worker).await;
    assert_eq!(claimed.job.id, child);
    let error = JobError::transient("x", "y");
    let after = Some(LATER);
    h.settle(&claimed, Outcome::Retry { error, after }).await;
    assert_eq!(ends(&h, parent).await, [None]);
    assert_eq!(h.status(parent).await, Status::Waiting);
}

/// P2. Of children that end at the same time, one is the last.
pub(crate) async fn children_that_end_at_once_queue_their_parent_once(h: Harness) {
    const CHILDREN: usize = 12;
    let h = Arc::new(h);
    for join in [ALL, FIRST_FAILURE] {
        let (worker, parent, _) = family(&h, CHILDREN).await;
        let children = h.claim(worker, CHILDREN).await;
        let parking = {
            let (h, parent) = (Arc::clone(&h), parent.clone());
            tokio::spawn(async move { h.park(&parent, join).await })
        };
        let ending: Vec<_> = children
            .into_iter()
            .map(|child| {
                let h = Arc::clone(&h);
                tokio::spawn(async move { h.settle(&child, give_up()).await })
            })
            .collect();
        parking.await.unwrap();
        for end in ending {
            assert_eq!(end.await.unwrap(), Settled::Done);
        }
        let stats = h.stats().await;
        assert_eq!((stats.queued, stats.waiting, stats.running), (1, 0, 0));
        let again = h.claim(worker, 10).await;
        assert_eq!(again.len(), 1);
        h.finish(&again[0]).await;
    }
}

/// P2. A settle of the last child that is sent again queues the parent once.
pub(crate) async fn the_end_of_a_child_sent_again_changes_nothing(h: Harness) {
    let (worker, parent, _) = family(&h, 1).await;
    let child = h.claim_one(worker).await;
    h.park(&parent, ALL).await;
    h.finish(&child).await;
    h.finish(&child).await;
    let again = h.claim_one(worker).await;
    assert_eq!(again.job.id, parent.job.id);
    h.finish(&child).await;
    assert!(h.claim(worker, 10).await.is_empty());
    h.finish(&again).await;
    let stats = h.stats().await;
    assert_eq!((stats.queued, stats.waiting, stats.running), (0, 0, 0));
    assert_eq!(stats.succeeded_total, 2);
}

/// P2. A parent waits no longer than its time; children that end later do not
/// queue it a second time.
pub(crate) async fn a_parent_waits_no_longer_than_its_time(h: Harness) {
    let (_, parent, _) = family(&h, 1).await;
    let after = LATER;
    h.settle(&parent, Outcome::Park { reason: ALL, after })
        .await;
    let worker = h.worker().await;
    let child = h.claim_one(worker).await;
    h.advance(LATER);
    h.extend(worker).await.unwrap();
    let again = h.claim_one(worker).await;
    assert_eq!(again.job.id, parent.job.id);
    h.finish(&child).await;
    assert!(h.claim(worker, 10).await.is_empty());
    assert_eq!(h.status(parent.job.id).await, Status::Running);
}

/// P2. A child queued again is waited for again, and is no failure any more.
pub(crate) async fn a_redriven_child_is_waited_for_again(h: Harness) {
    let (worker, parent, ids) = family(&h, 1).await;
    h.broker.cancel(&ids[0]).await.unwrap();
    assert_eq!(ends(&h, parent.job.id).await, [Some(Status::Cancelled)]);
    assert_eq!(
        h.broker.redrive(&ids[0]).await.unwrap(),
        RedriveReply::Queued
    );
    assert_eq!(ends(&h, parent.job.id).await, [None]);
    h.park(&parent, FIRST_FAILURE).await;
    assert_eq!(h.status(parent.job.id).await, Status::Waiting);
    let child = h.claim_one(worker).await;
    assert_eq!(child.job.id, ids[0]);
    h.finish(&child).await;
    assert_eq!(ends(&h, parent.job.id).await, [Some(Status::Succeeded)]);
    assert_eq!(h.claim_ids(worker, 10).await, [parent.job.id]);
}

/// P2. A parent that waits goes on although another process ends its child.
pub(crate) async fn a_waiting_parent_survives_a_restart(h: Harness) {
    let (worker, parent, _) = family(&h, 1).await;
    let child = h.claim_one(worker).await;
    h.park(&parent, ALL).await;
    let Some(other) = h.reopen().await else {
        return;
    };
    let h = h.decorated(|_| other);
    assert_eq!(h.status(parent.job.id).await, Status::Waiting);
    h.finish(&child).await;
    assert_eq!(h.claim_ids(worker, 10).await, [parent.job.id]);
}

/// P2. New children and a parent that goes on wake a waiting worker.
pub(crate) async fn children_and_parents_wake_a_waiting_worker(h: Harness) {
    let (_, parent) = h.running(h.job()).await;
    let worker = h.worker().await;
    h.woken_by(worker, async {
        h.spawn(&parent, "parts", plain(&h, 1)).await;
    })
    .await;
    let child = h.claim_one(worker).await;
    h.park(&parent, ALL).await;
    h.woken_by(worker, async { h.finish(&child).await }).await;
    assert_eq!(h.claim_ids(worker, 1).await, [parent.job.id]);
}

/// P2. A child spawns children of its own; each waits for its own only.
pub(crate) async fn children_have_children(h: Harness) {
    let (worker, parent, _) = family(&h, 1).await;
    h.park(&parent, ALL).await;
    let child = h.claim_one(worker).await;
    h.spawn(&child, "parts", plain(&h, 2)).await;
    h.park(&child, ALL).await;
    for grandchild in h.claim(worker, 10).await {
        assert_eq!(grandchild.job.parent, Some(child.job.id));
        h.finish(&grandchild).await;
    }
    let again = h.claim(worker, 10).await;
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].job.id, child.job.id);
    h.finish(&again[0]).await;
    assert_eq!(h.claim_ids(worker, 10).await, [parent.job.id]);
}

/// P2. Where the id of a child is taken, the job that has it is left as it is
/// and stands for the child.
pub(crate) async fn a_job_whose_id_is_taken_stands_for_the_child(h: Harness) {
    let (worker, parent) = h.running(h.job()).await;
    let over = h.enqueue(h.job()).await;
    h.broker.cancel(&over).await.unwrap();
    let standing = h.enqueue(h.job()).await;
    let before = (h.get(over).await, h.get(standing).await);
    let input = Payload::parse("\"other\"").unwrap();
    let child = |id| NewJob {
        id,
        input: input.clone(),
        ..h.job()
    };
    h.spawn(&parent, "parts", vec![child(over), child(standing)])
        .await;
    assert_eq!((h.get(over).await, h.get(standing).await), before);
    assert_eq!(h.stats().await.queued, 1);
    assert_eq!(
        ends(&h, parent.job.id).await,
        [Some(Status::Cancelled), None]
    );
    h.park(&parent, ALL).await;
    let claimed = h.claim_one(worker).await;
    h.finish(&claimed).await;
    assert_eq!(h.claim_ids(worker, 10).await, [parent.job.id]);
}

/// L3. Who lost the parent spawns nothing.
pub(crate) async fn whoever_lost_a_job_spawns_nothing(h: Harness) {
    let (_, parent) = h.running(h.job()).await;
    h.settle(&parent, Outcome::Release).await;
    let late = Spawn {
        lease: parent.lease.clone(),
        group: "parts".into(),
        children: plain(&h, 2),
    };
    let refused = h.broker.spawn(&late).await;
    assert!(
        matches!(refused, Err(BrokerError::LeaseLost)),
        "{refused:?}"
    );
    assert_eq!(h.children(parent.job.id).await, []);
    assert_eq!(h.stats().await.queued, 1);
    assert_eq!(h.broker.get(&late.children[0].id).await.unwrap(), None);
    assert_eq!(h.event_kinds(parent.job.id).await, ["requeued"]);
}

/// P2. A job without children, and one that nobody knows, has none.
pub(crate) async fn a_job_without_children_has_none(h: Harness) {
    let id = h.enqueue(h.job()).await;
    assert_eq!(h.children(id).await, []);
    assert_eq!(h.children(h.job().id).await, []);
}

/// P2. A parent knows how a child ended that is itself forgotten.
pub(crate) async fn a_forgotten_child_has_ended(h: Harness) {
    let (worker, parent) = h.running(h.job()).await;
    let brief = NewJob {
        keep: Duration::from_millis(1),
        ..h.job()
    };
    h.spawn(&parent, "parts", vec![brief]).await;
    h.spawn(&parent, "more", plain(&h, 1)).await;
    h.park(&parent, ALL).await;
    let child = h.claim_one(worker).await;
    h.finish(&child).await;
    h.advance(limits::TOMBSTONE + Duration::from_millis(2));
    h.prune().await;
    assert_eq!(h.broker.get(&child.job.id).await.unwrap(), None);
    assert_eq!(
        ends(&h, parent.job.id).await,
        [Some(Status::Succeeded), None]
    );
}

/// S4. A later attempt of a parent finds its children and their results.
pub(crate) async fn a_later_attempt_reads_its_childrens_results(h: Harness) {
    let (worker, parent, ids) = family(&h, 2).await;
    let children = h.claim(worker, 2).await;
    for child in children.iter().rev() {
        let result = Payload::of(&child.job.id).unwrap();
        h.settle(child, Outcome::Done(result)).await;
    }
    h.park(&parent, ALL).await;
    let again = h.claim_one(worker).await;
    for (child, id) in h.children(again.job.id).await.iter().zip(&ids) {
        assert_eq!(child.id, *id);
        assert_eq!(h.get(child.id).await.result, Some(Payload::of(id).unwrap()));
    }
}
