//! What cancel and redrive of a parent do to its children.

use lovage_core::broker::{CancelReply, RedriveReply};
use lovage_core::job::{NewJob, Unique};
use lovage_core::outcome::Outcome;
use lovage_core::status::Status;

use super::children::{ALL, LATER, ends, family, give_up, plain};
use crate::harness::Harness;

/// K1. Cancelling a parent cancels its children that nobody runs and asks the
/// others to stop, down to their children; what is over stays.
pub(crate) async fn a_cancelled_parent_takes_its_children_with_it(h: Harness) {
    let (worker, parent, ids) = family(&h, 4).await;
    let children = h.claim(worker, 3).await;
    h.finish(&children[0]).await;
    let below = h.spawn(&children[1], "below", plain(&h, 1)).await;
    h.park(&children[1], ALL).await;
    h.park(&parent, ALL).await;
    let reply = h.broker.cancel(&parent.job.id).await.unwrap();
    assert_eq!(reply, CancelReply::Cancelled);
    assert_eq!(h.status(ids[0]).await, Status::Succeeded);
    for id in [parent.job.id, ids[1], ids[3], below[0]] {
        assert_eq!(h.status(id).await, Status::Cancelled);
    }
    let asked = h.get(ids[2]).await;
    assert_eq!(
        (asked.status, asked.cancel_requested),
        (Status::Running, true)
    );
    assert_eq!(h.extend(worker).await.unwrap(), [ids[2]]);
    h.settle(&children[2], Outcome::Cancelled).await;
    assert!(h.claim(worker, 10).await.is_empty());
    let stats = h.stats().await;
    assert_eq!((stats.queued, stats.waiting, stats.running), (0, 0, 0));
    assert_eq!((stats.succeeded_total, stats.cancelled_total), (1, 5));
}

/// K1. A running parent is asked to stop, and its children are cancelled.
pub(crate) async fn a_running_parent_is_asked_and_its_children_are_cancelled(h: Harness) {
    let (_, parent, ids) = family(&h, 2).await;
    let reply = h.broker.cancel(&parent.job.id).await.unwrap();
    assert_eq!(reply, CancelReply::Requested);
    let cancelled = [Some(Status::Cancelled); 2];
    assert_eq!(ends(&h, parent.job.id).await, cancelled);
    h.settle(
        &parent,
        Outcome::Park {
            reason: ALL,
            after: LATER,
        },
    )
    .await;
    assert_eq!(h.status(parent.job.id).await, Status::Cancelled);
    assert_eq!(h.status(ids[0]).await, Status::Cancelled);
}

/// K1. A parent that is over leaves its children alone.
pub(crate) async fn a_cancel_too_late_leaves_the_children(h: Harness) {
    let (_, parent, ids) = family(&h, 1).await;
    h.finish(&parent).await;
    let reply = h.broker.cancel(&parent.job.id).await.unwrap();
    assert_eq!(reply, CancelReply::TooLate(Status::Succeeded));
    assert_eq!(h.status(ids[0]).await, Status::Queued);
}

/// S3. Redriving a parent redrives its failed and cancelled children, down to
/// their children, and no others.
pub(crate) async fn a_redriven_parent_takes_its_failed_children_with_it(h: Harness) {
    let (worker, parent, ids) = family(&h, 3).await;
    let children = h.claim(worker, 2).await;
    let below = h.spawn(&children[1], "below", plain(&h, 1)).await;
    h.broker.cancel(&below[0]).await.unwrap();
    h.finish(&children[0]).await;
    h.settle(&children[1], give_up()).await;
    h.settle(&parent, give_up()).await;
    let reply = h.broker.redrive(&parent.job.id).await.unwrap();
    assert_eq!(reply, RedriveReply::Queued);
    for id in [parent.job.id, ids[1], below[0]] {
        assert_eq!(h.event_kinds(id).await.last().unwrap(), "redriven");
        assert_eq!(h.status(id).await, Status::Queued);
    }
    let done = Some(Status::Succeeded);
    assert_eq!(ends(&h, parent.job.id).await, [done, None, None]);
    let mut given = h.claim_ids(worker, 10).await;
    given.sort();
    let mut expected = vec![parent.job.id, ids[1], ids[2], below[0]];
    expected.sort();
    assert_eq!(given, expected);
    let refused = h.broker.redrive(&parent.job.id).await.unwrap();
    assert_eq!(refused, RedriveReply::Refused(Status::Running));
}

/// K1. A family in a circle, as ids that were taken may make one, is walked once.
pub(crate) async fn a_family_in_a_circle_is_walked_once(h: Harness) {
    let (worker, parent, ids) = family(&h, 1).await;
    let child = h.claim_one(worker).await;
    let grandparent = NewJob {
        id: parent.job.id,
        ..h.job()
    };
    h.spawn(&child, "circle", vec![grandparent]).await;
    h.settle(&child, give_up()).await;
    h.settle(&parent, give_up()).await;
    let reply = h.broker.redrive(&parent.job.id).await.unwrap();
    assert_eq!(reply, RedriveReply::Queued);
    assert_eq!(h.status(ids[0]).await, Status::Queued);
    let reply = h.broker.cancel(&parent.job.id).await.unwrap();
    assert_eq!(reply, CancelReply::Cancelled);
    assert_eq!(h.status(ids[0]).await, Status::Cancelled);
}

/// E3. A redrive that its unique key forbids leaves the children alone, too.
pub(crate) async fn a_refused_redrive_leaves_the_children(h: Harness) {
    let unique = || {
        Some(Unique {
            key: "k".to_owned(),
            window: None,
        })
    };
    let job = NewJob {
        unique: unique(),
        ..h.job()
    };
    let (worker, parent) = h.running(job).await;
    let ids = h.spawn(&parent, "group", plain(&h, 1)).await;
    let child = h.claim_one(worker).await;
    h.settle(&child, give_up()).await;
    h.settle(&parent, give_up()).await;
    let holder = h
        .enqueue(NewJob {
            unique: unique(),
            ..h.job()
        })
        .await;
    let reply = h.broker.redrive(&parent.job.id).await.unwrap();
    assert_eq!(reply, RedriveReply::Duplicate(holder));
    assert_eq!(h.status(ids[0]).await, Status::Failed);
}
