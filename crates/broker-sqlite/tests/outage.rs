//! What callers see when the file is full, locked, newer or shared.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lovage_broker_sqlite::{SqliteBroker, SqliteConfig};
use lovage_core::broker::{Broker, Claim, Enqueued, Settle, Settled, Wake};
use lovage_core::clock::{Clock, SystemClock};
use lovage_core::error::BrokerError;
use lovage_core::event::NewEvent;
use lovage_core::id::{JobId, QueueName, WorkerId};
use lovage_core::job::NewJob;
use lovage_core::lifecycle;
use lovage_core::outcome::Outcome;
use lovage_core::payload::Payload;
use lovage_core::query::Filter;
use lovage_core::query::Page;
use lovage_core::status::Status;
use rusqlite::Connection;
use tempfile::TempDir;

/// Longest wait for something that is bound to happen at once.
const SOON: Duration = Duration::from_secs(10);

struct Store {
    dir: TempDir,
}

impl Store {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("jobs.db")
    }

    async fn open(&self) -> Arc<SqliteBroker> {
        self.open_with(Duration::from_secs(5)).await
    }

    async fn open_with(&self, busy_timeout: Duration) -> Arc<SqliteBroker> {
        let config = SqliteConfig {
            busy_timeout,
            ..SqliteConfig::new(self.path())
        };
        Arc::new(SqliteBroker::open(config).await.unwrap())
    }

    /// The file as another process would hold it.
    fn other_process(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }
}

async fn refused(path: &Path) -> BrokerError {
    SqliteBroker::open(SqliteConfig::new(path))
        .await
        .unwrap_err()
}

fn job() -> NewJob {
    let kind = "test.noop".parse().unwrap();
    NewJob::new(JobId::at(SystemClock.now()), kind, Payload::null())
}

fn heavy() -> NewJob {
    NewJob {
        input: Payload::of(&"x".repeat(100_000)).unwrap(),
        ..job()
    }
}

async fn worker(broker: &dyn Broker) -> WorkerId {
    let worker = WorkerId::at(SystemClock.now());
    broker
        .register(&QueueName::default(), &worker)
        .await
        .unwrap();
    worker
}

fn ask(worker: WorkerId, want: usize) -> Claim {
    Claim {
        worker,
        queue: QueueName::default(),
        want,
    }
}

fn done(claimed: lovage_core::broker::Claimed) -> Settle {
    let outcome = Outcome::Done(Payload::null());
    Settle {
        next: lifecycle::settle(&claimed.job, &outcome, SystemClock.now(), 0.5),
        lease: claimed.lease,
        job: claimed.job,
    }
}

/// Enqueues until the disk is full.
async fn fill(broker: &dyn Broker) -> BrokerError {
    for _ in 0..1_000 {
        if let Err(error) = broker.enqueue(vec![heavy()], false).await {
            return error;
        }
    }
    panic!("the disk is never full");
}

/// A store with room for 800 KB.
async fn small_disk(store: &Store) -> Arc<SqliteBroker> {
    let config = SqliteConfig {
        size_max: Some(800_000),
        ..SqliteConfig::new(store.path())
    };
    Arc::new(SqliteBroker::open(config).await.unwrap())
}

#[tokio::test]
async fn a_full_disk_refuses_jobs_and_gives_what_it_has() {
    let store = Store::new();
    let broker = small_disk(&store).await;
    let first = job();
    broker.enqueue(vec![first.clone()], false).await.unwrap();
    let error = fill(&*broker).await;
    assert!(matches!(error, BrokerError::Full(_)), "{error:?}");
    assert!(error.is_transient());

    let worker = worker(&*broker).await;
    let claims = broker.claim(&ask(worker, 1)).await.unwrap();
    assert_eq!(claims.claimed[0].job.id, first.id);
    let settled = broker
        .settle(&[done(claims.claimed[0].clone())])
        .await
        .unwrap();
    assert_eq!(settled, [Settled::Done]);
    assert_eq!(
        broker.get(&first.id).await.unwrap().unwrap().status,
        Status::Succeeded
    );
}

#[tokio::test]
async fn a_ping_writes_to_the_file() {
    let store = Store::new();
    let broker = store.open().await;
    let other = store.other_process();
    let version = || -> i64 {
        let version = other.pragma_query_value(None, "data_version", |row| row.get(0));
        version.unwrap()
    };
    let before = version();
    broker.ping().await.unwrap();
    assert_ne!(version(), before);
}

#[tokio::test]
async fn a_file_that_was_deleted_or_replaced_under_the_store_is_noticed() {
    let store = Store::new();
    let broker = store.open().await;
    broker.ping().await.unwrap();
    let away = store.dir.path().join("away.db");
    std::fs::rename(store.path(), &away).unwrap();
    let gone = broker.ping().await.unwrap_err();
    assert!(matches!(gone, BrokerError::Unavailable(_)), "{gone:?}");
    std::fs::write(store.path(), "").unwrap();
    let replaced = broker.ping().await.unwrap_err();
    assert!(
        matches!(replaced, BrokerError::Unavailable(_)),
        "{replaced:?}"
    );
    std::fs::rename(&away, store.path()).unwrap();
    broker.ping().await.unwrap();
}

#[tokio::test]
async fn one_operation_that_does_not_fit_undoes_no_other() {
    let store = Store::new();
    let broker = small_disk(&store).await;
    fill(&*broker).await;
    let before = broker.stats().await.unwrap()[0].queued;
    let calls = (0..20).map(|n| {
        let broker = broker.clone();
        let new = if n % 2 == 0 { heavy() } else { job() };
        tokio::spawn(async move { broker.enqueue(vec![new], false).await.is_ok() })
    });
    let mut accepted = 0;
    for (n, call) in calls.collect::<Vec<_>>().into_iter().enumerate() {
        let stored = call.await.unwrap();
        assert!(!(n % 2 == 0 && stored), "a heavy job fitted");
        accepted += u64::from(stored);
    }
    assert!(accepted > 0, "no light job fitted");
    assert_eq!(broker.stats().await.unwrap()[0].queued, before + accepted);
}

#[tokio::test]
async fn a_write_waits_while_another_process_holds_the_file() {
    let store = Store::new();
    let broker = store.open().await;
    let other = store.other_process();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let new = job();
    let id = new.id;
    let enqueue = {
        let broker = broker.clone();
        tokio::spawn(async move { broker.enqueue(vec![new], false).await })
    };
    // Readers are not held up, and see that nothing was written.
    assert_eq!(broker.get(&id).await.unwrap(), None);
    assert!(!enqueue.is_finished());
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(enqueue.await.unwrap().unwrap(), [Enqueued::Accepted(id)]);
}

#[tokio::test]
async fn a_file_held_too_long_is_unavailable_for_everyone_at_once() {
    let store = Store::new();
    let broker = store.open_with(Duration::from_millis(50)).await;
    let other = store.other_process();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let calls = (0..50).map(|_| {
        let broker = broker.clone();
        tokio::spawn(async move { broker.enqueue(vec![job()], false).await })
    });
    for call in calls.collect::<Vec<_>>() {
        let error = tokio::time::timeout(SOON, call).await.unwrap().unwrap();
        assert!(matches!(error, Err(BrokerError::Unavailable(_))));
    }
    other.execute_batch("COMMIT").unwrap();
    broker.enqueue(vec![job()], false).await.unwrap();
    assert_eq!(broker.stats().await.unwrap()[0].queued, 1);
}

#[tokio::test]
async fn a_job_without_a_record_goes_to_the_dead_list_and_stops_no_other() {
    let store = Store::new();
    let broker = store.open().await;
    let (lost, fine) = (job(), job());
    let jobs = vec![lost.clone(), fine.clone()];
    broker.enqueue(jobs, false).await.unwrap();
    let damage = "DELETE FROM records WHERE job = (SELECT row FROM jobs WHERE id = ?1)";
    let damaged = store
        .other_process()
        .execute(damage, [lost.id.uuid().as_bytes()]);
    assert_eq!(damaged.unwrap(), 1);
    let worker = worker(&*broker).await;
    let claims = broker.claim(&ask(worker, 2)).await.unwrap();
    let given: Vec<JobId> = claims.claimed.iter().map(|one| one.job.id).collect();
    assert_eq!(given, [fine.id]);
    let dead = broker.get(&lost.id).await.unwrap().unwrap();
    assert_eq!(dead.error.unwrap().code, lifecycle::UNREADABLE);
    let stats = broker.stats().await.unwrap();
    assert_eq!((stats[0].queued, stats[0].failed_total), (0, 1));
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let store = Store::new();
    drop(store.open().await);
    let other = store.other_process();
    other.pragma_update(None, "user_version", 999).unwrap();
    let error = refused(&store.path()).await;
    assert!(
        matches!(error, BrokerError::NewerSchema { found: 999, known } if known < 999),
        "{error:?}"
    );
    let version: u32 = other
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    assert_eq!(version, 999);
}

#[tokio::test]
async fn what_is_no_store_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let missing = refused(&dir.path().join("no/such/folder/jobs.db")).await;
    assert!(
        matches!(missing, BrokerError::Unavailable(_)),
        "{missing:?}"
    );

    let text = dir.path().join("notes.txt");
    std::fs::write(&text, "these are notes\n".repeat(500)).unwrap();
    let noted = refused(&text).await;
    assert!(matches!(noted, BrokerError::Corrupt(_)), "{noted:?}");

    let foreign = dir.path().join("bookmarks.db");
    Connection::open(&foreign)
        .unwrap()
        .execute_batch("CREATE TABLE bookmarks (url TEXT)")
        .unwrap();
    let error = refused(&foreign).await;
    assert!(matches!(error, BrokerError::Unfit(_)), "{error:?}");
}

#[tokio::test]
async fn many_processes_may_open_a_new_file_at_once() {
    let store = Arc::new(Store::new());
    let opening = (0..8).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.open().await })
    });
    for opened in opening.collect::<Vec<_>>() {
        let broker = opened.await.unwrap();
        broker.enqueue(vec![job()], false).await.unwrap();
    }
    assert_eq!(store.open().await.stats().await.unwrap()[0].queued, 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_brokers_on_one_file_run_each_job_once() {
    const JOBS: usize = 400;
    let store = Store::new();
    let brokers = [store.open().await, store.open().await];
    for chunk in (0..JOBS).collect::<Vec<_>>().chunks(100) {
        let jobs = chunk.iter().map(|_| job()).collect();
        brokers[0].enqueue(jobs, false).await.unwrap();
    }
    let running = brokers.clone().into_iter().map(|broker| {
        tokio::spawn(async move {
            let worker = worker(&*broker).await;
            let mut ran = Vec::new();
            loop {
                let claims = broker.claim(&ask(worker, 7)).await.unwrap();
                if claims.claimed.is_empty() {
                    return ran;
                }
                ran.extend(claims.claimed.iter().map(|claimed| claimed.job.id));
                let settles: Vec<Settle> = claims.claimed.into_iter().map(done).collect();
                let settled = broker.settle(&settles).await.unwrap();
                assert!(settled.iter().all(|settled| *settled == Settled::Done));
            }
        })
    });
    let mut ran = Vec::new();
    for worker in running.collect::<Vec<_>>() {
        ran.extend(worker.await.unwrap());
    }
    assert_eq!(ran.len(), JOBS);
    ran.sort();
    ran.dedup();
    assert_eq!(ran.len(), JOBS);
    let stats = brokers[1].stats().await.unwrap();
    assert_eq!((stats[0].succeeded_total, stats[0].queued), (400, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_and_cancels_and_events_of_another_process_wake() {
    let store = Store::new();
    let (here, there) = (store.open().await, store.open().await);
    let queue = QueueName::default();
    let worker = worker(&*here).await;

    let new = job();
    let id = new.id;
    let (woken, enqueued) = tokio::join!(
        here.wake(&queue, &worker, true, SOON),
        there.enqueue(vec![new], false)
    );
    enqueued.unwrap();
    assert_eq!(woken.unwrap(), Wake::Work);

    let claimed = here.claim(&ask(worker, 1)).await.unwrap().claimed.remove(0);
    let notes = [NewEvent {
        kind: "note".into(),
        step: None,
        data: Payload::null(),
    }];
    let (page, emitted) = tokio::join!(
        there.events(&id, 0, 10, SOON),
        here.emit(&claimed.lease, &notes)
    );
    emitted.unwrap();
    assert_eq!(page.unwrap().unwrap().events.len(), 1);

    let (woken, cancelled) =
        tokio::join!(here.wake(&queue, &worker, false, SOON), there.cancel(&id));
    cancelled.unwrap();
    assert_eq!(woken.unwrap(), Wake::Cancel(vec![id]));
}

#[tokio::test]
async fn a_dropped_call_leaves_the_store_in_order() {
    let store = Store::new();
    let broker = store.open().await;
    for _ in 0..200 {
        let call = broker.enqueue(vec![job()], false);
        // Polled once and dropped: whether it happened is not known, as after a crash.
        let _ = tokio::time::timeout(Duration::ZERO, call).await;
    }
    broker.ping().await.unwrap();
    let page = Page {
        cursor: None,
        limit: 200,
    };
    let listed = broker.list(&Filter::default(), &page).await.unwrap();
    let queued = broker.stats().await.unwrap()[0].queued;
    assert_eq!(listed.jobs.len() as u64, queued);
}
