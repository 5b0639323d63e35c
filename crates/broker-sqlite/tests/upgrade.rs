//! A file of an older program keeps all it holds.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lovage_broker_sqlite::{SqliteBroker, SqliteConfig};
use lovage_core::broker::{Broker, Claim};
use lovage_core::clock::{self, Clock};
use lovage_core::id::{JobId, QueueName, WorkerId};
use lovage_core::job::{Job, NewJob};
use lovage_core::lease::LeaseToken;
use lovage_core::lifecycle;
use lovage_core::limiter::{Ask, Estimate, LimitName, Limiter, Limits};
use lovage_core::outcome::Outcome;
use lovage_core::payload::Payload;
use lovage_core::query::QueueStats;
use lovage_core::record;
use lovage_core::status::{Status, WaitReason};
use lovage_tests::clock::ManualClock;
use rusqlite::{Connection, params};
use tempfile::TempDir;

const HOUR: Duration = Duration::from_secs(3_600);

/// A file as the first program left it, with these tables and nothing in them.
struct OldStore {
    dir: TempDir,
    clock: ManualClock,
    conn: Connection,
    places: i64,
}

impl OldStore {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let conn = Connection::open(path(&dir)).unwrap();
        conn.execute_batch("PRAGMA journal_mode = wal").unwrap();
        conn.execute_batch(include_str!("../src/sql/schema_1.sql"))
            .unwrap();
        conn.pragma_update(None, "user_version", 1).unwrap();
        conn.execute_batch("INSERT INTO queues (queue) VALUES ('default')")
            .unwrap();
        Self {
            dir,
            clock: ManualClock::default(),
            conn,
            places: 0,
        }
    }

    fn new_job(&self, tenant: &str) -> NewJob {
        let kind = "test.noop".parse().unwrap();
        NewJob {
            tenant: tenant.parse().unwrap(),
            ..NewJob::new(JobId::at(self.clock.now()), kind, Payload::null())
        }
    }

    fn queued(&self, tenant: &str) -> Job {
        lifecycle::enqueue(&self.new_job(tenant), self.clock.now())
    }

    /// Stores a job that nobody runs, as the first program did: every job was queued once.
    fn put(&mut self, job: &Job) -> i64 {
        self.places += 1;
        let due = match job.status {
            Status::Scheduled => job.run_at,
            _ => job.waiting.as_ref().map(|waiting| waiting.until),
        };
        let gone = job.keep_until.map(|until| clock::after(until, HOUR));
        let millis = |time: Option<Timestamp>| time.map(Timestamp::as_millisecond);
        let stored = Job {
            result: None,
            ..job.clone()
        };
        self.conn
            .execute(
                "INSERT INTO jobs (id, queue, tenant, priority, state, place, due_ms, gone_ms, labelled)
                 VALUES (?1, 'default', ?2, ?3, 'q', ?4, ?5, ?6, 0)",
                params![
                    job.id.uuid().as_bytes(),
                    job.tenant.as_str(),
                    job.priority.get(),
                    self.places,
                    millis(due),
                    millis(gone)
                ],
            )
            .unwrap();
        let row = self.conn.last_insert_rowid();
        let state = record::state_letter(job.status).to_string();
        self.conn
            .execute(
                "UPDATE jobs SET state = ?2 WHERE row = ?1",
                params![row, state],
            )
            .unwrap();
        let result = job.result.as_ref().map(Payload::as_str);
        self.conn
            .execute(
                "INSERT INTO records (job, record, result) VALUES (?1, ?2, ?3)",
                params![row, record::encode(&stored), result],
            )
            .unwrap();
        row
    }

    fn lane(&self, tenant: &str, jobs: i64, queued: usize) {
        let lane = "INSERT INTO lanes VALUES ('default', 5, ?1, ?2, ?3)";
        self.conn
            .execute(lane, params![tenant, jobs, queued])
            .unwrap();
    }

    fn hold(&self, row: i64, token: &LeaseToken, deadline: Timestamp) {
        let take = "UPDATE jobs SET state = 'r', worker = ?2, token = ?3 WHERE row = ?1";
        let worker = token.worker.to_string();
        self.conn
            .execute(take, params![row, worker, token.to_string()])
            .unwrap();
        let register = "INSERT INTO workers VALUES ('default', ?1, ?2, 0)";
        let register = self
            .conn
            .execute(register, params![worker, deadline.as_millisecond()]);
        register.unwrap();
    }

    /// Today's program on the file.
    async fn open(&self) -> SqliteBroker {
        let next = "UPDATE line SET back = ?1 + 1";
        self.conn.execute(next, [self.places]).unwrap();
        let config = SqliteConfig {
            clock: Arc::new(self.clock.clone()),
            ..SqliteConfig::new(path(&self.dir))
        };
        SqliteBroker::open(config).await.unwrap()
    }
}

fn path(dir: &TempDir) -> PathBuf {
    Path::new(dir.path()).join("jobs.db")
}

async fn claim(broker: &SqliteBroker, now: Timestamp, want: usize) -> Vec<JobId> {
    let (worker, queue) = (WorkerId::at(now), QueueName::default());
    broker.register(&queue, &worker).await.unwrap();
    let ask = Claim {
        worker,
        queue,
        want,
    };
    let claims = broker.claim(&ask).await.unwrap();
    claims.claimed.iter().map(|one| one.job.id).collect()
}

fn ended(job: &Job, outcome: &Outcome, now: Timestamp) -> Job {
    lifecycle::apply(job, &lifecycle::settle(job, outcome, now, 0.5), now)
}

#[tokio::test]
async fn calls_are_admitted_on_an_older_file() {
    let old = OldStore::new();
    let broker = old.open().await;
    assert!(broker.limits().await.unwrap().is_empty());
    let ask = Ask {
        name: LimitName::new("openai", "gpt-test", "0"),
        limits: Limits::default(),
        holder: "a".to_owned(),
        call: 1,
        estimate: Estimate::default(),
        ttl: HOUR,
        waited: Duration::ZERO,
    };
    broker.acquire(&ask).await.unwrap();
    assert_eq!(broker.limits().await.unwrap()[0].in_flight, 1);
}

#[tokio::test]
async fn jobs_in_every_state_are_kept() {
    let mut old = OldStore::new();
    let now = old.clock.now();
    let scheduled = NewJob {
        run_at: Some(clock::after(now, HOUR)),
        ..old.new_job("a")
    };
    let token = LeaseToken {
        worker: WorkerId::at(now),
        attempt: 1,
        claimed_at: now,
    };
    let park = Outcome::Park {
        reason: WaitReason::Limit,
        after: HOUR,
    };
    let mut jobs = vec![old.queued("a"), lifecycle::enqueue(&scheduled, now)];
    for outcome in [
        &park,
        &Outcome::Done(Payload::of(&7).unwrap()),
        &Outcome::Cancelled,
    ] {
        jobs.push(ended(
            &lifecycle::claim(&old.queued("a"), &token),
            outcome,
            now,
        ));
    }
    for job in &jobs {
        old.put(job);
    }
    old.lane("a", 0, 1);
    let queued = old.queued("a");
    let row = old.put(&queued);
    old.hold(row, &token, clock::after(now, HOUR));
    let running = lifecycle::claim(&queued, &token);

    let broker = old.open().await;
    for job in jobs.iter().chain([&running]) {
        assert_eq!(broker.get(&job.id).await.unwrap().as_ref(), Some(job));
    }
    let held = broker.held(&QueueName::default(), &token.worker).await;
    assert_eq!(held.unwrap()[0].job, running);
    let counts = QueueStats {
        queued: 1,
        scheduled: 1,
        waiting: 1,
        running: 1,
        succeeded_total: 1,
        cancelled_total: 1,
        ..QueueStats::default()
    };
    assert_eq!(broker.stats().await.unwrap(), [counts]);
}

#[tokio::test]
async fn lanes_keep_what_they_had() {
    let mut old = OldStore::new();
    let (greedy, modest) = (
        [old.queued("a"), old.queued("a")],
        [old.queued("b"), old.queued("b"), old.queued("b")],
    );
    for job in greedy.iter().chain(&modest) {
        old.put(job);
    }
    old.lane("a", 3, 2);
    old.lane("b", 1, 3);
    let band = "INSERT INTO bands VALUES ('default', 5, 2)";
    old.conn.execute(band, []).unwrap();

    let broker = old.open().await;
    let newcomer = old.new_job("c");
    broker.enqueue(vec![newcomer.clone()], false).await.unwrap();
    // b had two less than a, and a lane that opens starts at the time of its band, 2.
    let given = claim(&broker, old.clock.now(), 4).await;
    assert_eq!(
        given,
        [modest[0].id, modest[1].id, newcomer.id, greedy[0].id]
    );
}

#[tokio::test]
async fn jobs_that_were_not_started_in_time_end_without_a_claim() {
    let mut old = OldStore::new();
    let now = old.clock.now();
    let late = NewJob {
        expires_at: Some(clock::after(now, HOUR)),
        ..old.new_job("a")
    };
    let late = lifecycle::enqueue(&late, now);
    let patient = old.queued("a");
    old.put(&late);
    old.put(&patient);
    old.lane("a", 0, 2);

    let broker = old.open().await;
    assert_eq!(broker.reclaim().await.unwrap().expired, []);
    old.clock.advance(HOUR);
    assert_eq!(broker.reclaim().await.unwrap().expired, [late.id]);
    let ended = broker.get(&late.id).await.unwrap().unwrap();
    assert_eq!(ended.status, Status::Cancelled);
    assert_eq!(claim(&broker, old.clock.now(), 5).await, [patient.id]);
}
