//! Counting and listing.

use std::collections::BTreeSet;
use std::time::Duration;

use lovage_core::attempt::JobError;
use lovage_core::clock;
use lovage_core::error::BrokerError;
use lovage_core::id::JobId;
use lovage_core::job::{Job, NewJob};
use lovage_core::outcome::Outcome;
use lovage_core::payload::Payload;
use lovage_core::query::{Filter, Page};
use lovage_core::status::{Status, WaitReason};

use crate::harness::Harness;

const LATER: Duration = Duration::from_secs(3_600);

fn delayed(h: &Harness) -> NewJob {
    NewJob {
        run_at: Some(clock::after(h.now(), LATER)),
        ..h.job()
    }
}

fn ids(jobs: &[Job]) -> BTreeSet<JobId> {
    jobs.iter().map(|job| job.id).collect()
}

fn of(states: &[Status]) -> Filter {
    Filter {
        states: states.to_vec(),
        ..Filter::default()
    }
}

/// One job in each status, in the order of [`Status::ALL`].
async fn one_of_each(h: &Harness) -> Vec<JobId> {
    let worker = h.worker().await;
    let error = || JobError::permanent("x", "y");
    let reason = WaitReason::Limit;
    let endings = [
        Outcome::Park {
            reason,
            after: LATER,
        },
        Outcome::Done(Payload::parse("\"a result\"").unwrap()),
        Outcome::GiveUp(error()),
        Outcome::Cancelled,
    ];
    let mut ended = Vec::new();
    for outcome in endings {
        let id = h.enqueue(h.job()).await;
        let claimed = h.claim_one(worker).await;
        h.advance(Duration::from_millis(1));
        h.settle(&claimed, outcome).await;
        ended.push(id);
    }
    let running = h.enqueue(h.job()).await;
    h.claim_one(worker).await;
    let scheduled = h.enqueue(delayed(h)).await;
    let queued = h.enqueue(h.job()).await;
    let mut all = vec![scheduled, queued, running];
    all.extend(ended);
    all
}

/// Q1. The counts are what a full listing finds, in every state.
pub(crate) async fn the_counts_equal_a_full_scan(h: Harness) {
    one_of_each(&h).await;
    h.enqueue_plain(5).await;
    let jobs = h.list(&Filter::default(), 50).await;
    let count = |status| jobs.iter().filter(|job| job.status == status).count() as u64;
    let stats = h.stats().await;
    assert_eq!(stats.scheduled, count(Status::Scheduled));
    assert_eq!(stats.queued, count(Status::Queued));
    assert_eq!(stats.running, count(Status::Running));
    assert_eq!(stats.waiting, count(Status::Waiting));
    assert_eq!((stats.succeeded_total, stats.failed_total), (1, 1));
    assert_eq!(stats.cancelled_total, 1);
    assert_eq!((stats.queued, jobs.len()), (6, 12));
}

/// Q1. The counts follow a job through cancel, redrive and another end.
pub(crate) async fn the_counts_survive_cancel_and_redrive(h: Harness) {
    let ids = h.enqueue_plain(3).await;
    let worker = h.worker().await;
    for _ in 0..3 {
        h.broker.cancel(&ids[0]).await.unwrap();
        h.broker.redrive(&ids[0]).await.unwrap();
        assert_eq!(h.stats().await.queued, 3);
    }
    h.broker.cancel(&ids[1]).await.unwrap();
    assert_eq!(h.stats().await.queued, 2);
    let mut left = 2;
    for _ in 0..10 {
        left -= h.claim(worker, 1).await.len() as u64;
        assert_eq!(h.stats().await.queued, left);
    }
    assert_eq!(left, 0);
    let stats = h.stats().await;
    assert_eq!((stats.running, stats.cancelled_total), (2, 4));
}

/// Q1. Every queue in use has one row, each for itself.
pub(crate) async fn every_queue_is_counted_for_itself(h: Harness) {
    for (queue, count) in [("a", 1_u64), ("b", 2), ("c", 3)] {
        let jobs = (0..count).map(|_| NewJob {
            queue: queue.parse().unwrap(),
            ..h.job()
        });
        h.enqueue_all(jobs.collect()).await;
    }
    let mut rows = h.broker.stats().await.unwrap();
    rows.sort_by(|a, b| a.queue.cmp(&b.queue));
    let rows: Vec<_> = rows
        .iter()
        .map(|row| (row.queue.as_str(), row.queued))
        .collect();
    assert_eq!(rows, [("a", 1), ("b", 2), ("c", 3)]);
}

/// Q2. Each state can be listed, alone and with others.
pub(crate) async fn jobs_are_listed_by_state(h: Harness) {
    let all = one_of_each(&h).await;
    for (status, id) in Status::ALL.into_iter().zip(&all) {
        let jobs = h.list(&of(&[status]), 10).await;
        assert_eq!(ids(&jobs), BTreeSet::from([*id]), "{status}");
        assert_eq!(jobs[0].status, status);
    }
    let two = h.list(&of(&[Status::Failed, Status::Queued]), 1).await;
    assert_eq!(ids(&two), BTreeSet::from([all[1], all[5]]));
    assert_eq!(h.list(&Filter::default(), 3).await.len(), 7);
}

/// Q2. A listing shows a job as `get` does, but for its result.
pub(crate) async fn a_listing_shows_jobs_without_their_results(h: Harness) {
    for id in one_of_each(&h).await {
        let job = h.get(id).await;
        let listed = h.list(&of(&[job.status]), 10).await;
        assert_eq!(
            listed,
            [Job {
                result: None,
                ..job
            }]
        );
    }
}

/// Q2. Unfinished jobs come before finished ones, and of those the newest first.
pub(crate) async fn a_listing_shows_unfinished_jobs_first_and_then_the_newest(h: Harness) {
    let all = one_of_each(&h).await;
    let jobs = h.list(&Filter::default(), 2).await;
    let order: Vec<Status> = jobs.iter().map(|job| job.status).collect();
    assert_eq!(order[..2], [Status::Running, Status::Queued]);
    assert!(
        order[..4].iter().all(|status| !status.is_final()),
        "{order:?}"
    );
    let finished: Vec<JobId> = jobs[4..].iter().map(|job| job.id).collect();
    assert_eq!(finished, [all[6], all[5], all[4]]);
}

/// Q2. Every field of a filter narrows, in every state.
pub(crate) async fn every_field_of_a_filter_narrows(h: Harness) {
    let before = h.now();
    h.enqueue(h.job()).await;
    h.advance(Duration::from_secs(1));
    let marked = NewJob {
        queue: "films".parse().unwrap(),
        tenant: "studio".parse().unwrap(),
        kind: "test.film".parse().unwrap(),
        session: Some("대화".into()),
        tags: vec!["x".into(), "뉴스".into()],
        ..h.job()
    };
    let id = h.enqueue(marked.clone()).await;
    let some = Filter::default;
    let filters = [
        Filter {
            queue: Some(marked.queue),
            ..some()
        },
        Filter {
            tenant: Some(marked.tenant),
            ..some()
        },
        Filter {
            kind: Some(marked.kind),
            ..some()
        },
        Filter {
            session: Some("대화".into()),
            ..some()
        },
        Filter {
            tag: Some("뉴스".into()),
            ..some()
        },
        Filter {
            created_after: Some(h.now()),
            ..some()
        },
    ];
    for round in 0..2 {
        for filter in &filters {
            let found = h.list(filter, 10).await;
            assert_eq!(
                ids(&found),
                BTreeSet::from([id]),
                "round {round}: {filter:?}"
            );
        }
        let old = Filter {
            created_before: Some(h.now()),
            ..some()
        };
        assert!(!ids(&h.list(&old, 10).await).contains(&id) || round == 1);
        let older = Filter {
            created_before: Some(before),
            ..some()
        };
        assert_eq!(h.list(&older, 10).await, []);
        h.broker.cancel(&id).await.unwrap();
    }
    let nobody = Filter {
        session: Some("y".into()),
        ..filters[4].clone()
    };
    assert_eq!(h.list(&nobody, 10).await, []);
}

/// Q2. Page by page, jobs that stay put are seen exactly once while others
/// come, go and move.
pub(crate) async fn jobs_that_stay_are_listed_exactly_once_while_others_move(h: Harness) {
    let worker = h.worker().await;
    let movers = h.enqueue_plain(40).await;
    let mut stay: BTreeSet<JobId> = h.enqueue_plain(20).await.into_iter().collect();
    for _ in 0..10 {
        stay.insert(h.enqueue(delayed(&h)).await);
    }
    let ended = h.claim(worker, 10).await;
    for claimed in &ended {
        h.advance(Duration::from_millis(1));
        h.settle(claimed, Outcome::Done(Payload::null())).await;
        stay.insert(claimed.job.id);
    }
    let (mut seen, mut cursor) = (Vec::new(), None);
    for round in 0..1_000 {
        let page = Page { cursor, limit: 3 };
        let page = h.broker.list(&Filter::default(), &page).await.unwrap();
        seen.extend(page.jobs.into_iter().map(|job| job.id));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
        stir(&h, worker, &movers, round).await;
    }
    assert!(cursor.is_none(), "the listing has no end");
    for id in &stay {
        let times = seen.iter().filter(|other| *other == id).count();
        assert_eq!(times, 1, "{id} of {} that stayed", stay.len());
    }
}

/// Moves one of the jobs that do not have to stay.
async fn stir(h: &Harness, worker: lovage_core::id::WorkerId, movers: &[JobId], round: usize) {
    h.advance(Duration::from_millis(1));
    match round % 3 {
        0 if round < 30 => {
            let claimed = h.claim_one(worker).await;
            assert!(movers.contains(&claimed.job.id));
            h.settle(&claimed, Outcome::Done(Payload::null())).await;
        }
        1 if round < 30 => {
            h.enqueue(h.job()).await;
        }
        _ => {
            let id = &movers[39 - round % 20];
            h.broker.cancel(id).await.unwrap();
        }
    }
}

/// Q2. A long listing is bounded per call and complete in the end.
pub(crate) async fn a_long_listing_is_complete(h: Harness) {
    let all = h.enqueue_plain(450).await;
    let jobs = h
        .list(&of(&[Status::Queued]), lovage_core::limits::LIST_PAGE_MAX)
        .await;
    assert_eq!(jobs.len(), 450);
    assert_eq!(ids(&jobs), all.into_iter().collect());
}

/// Q2. A cursor of another making is refused.
pub(crate) async fn a_strange_cursor_is_refused(h: Harness) {
    h.enqueue_plain(3).await;
    for strange in ["", "x", "1:2:3:4:5:6", "한글", "zzzzzzzzzzzzzzzzzzzzzzzz"] {
        let cursor = Some(strange.to_owned());
        let refused = h
            .broker
            .list(&Filter::default(), &Page { cursor, limit: 1 })
            .await;
        assert!(
            matches!(refused, Err(BrokerError::BadCursor)),
            "{strange:?}: {refused:?}"
        );
    }
}

/// Q2. An empty store has nothing to list.
pub(crate) async fn an_empty_store_lists_nothing(h: Harness) {
    assert_eq!(h.list(&Filter::default(), 10).await, []);
    assert_eq!(h.broker.get(&h.job().id).await.unwrap(), None);
}
