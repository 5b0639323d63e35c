//! Records that the first program wrote, taken out of its Redis: they are read,
//! and written again, as they were.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use lovage_core::id::{JobId, QueueName};
use lovage_core::job::{Job, Unique};
use lovage_core::record;
use lovage_core::status::{Status, WaitReason};
use serde_json::{Value, json};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/records")
}

/// Reads a record, and checks that nothing of it is lost when it is written again.
fn read(name: &str) -> Job {
    let written = std::fs::read(folder().join(name)).unwrap();
    let id = JobId::at(Timestamp::UNIX_EPOCH);
    let job = record::decode(id, &QueueName::default(), &written).unwrap();
    let again = record::encode(&job);
    let texts = [&again, &written].map(|record| String::from_utf8_lossy(record));
    assert_eq!(texts[0], texts[1], "{name}");
    job
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap()
}

#[test]
fn none_is_left_unread() {
    let files = std::fs::read_dir(folder()).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut states = BTreeSet::new();
    for name in names {
        states.insert(read(&name).status.as_str());
    }
    let all = [
        "cancelled",
        "failed",
        "queued",
        "scheduled",
        "succeeded",
        "waiting",
    ];
    assert_eq!(states, all.into());
}

#[test]
fn a_queued_job_keeps_what_was_asked() {
    let job = read("queued.bin");
    assert_eq!((job.status, job.attempt), (Status::Queued, 0));
    assert_eq!((job.priority.get(), job.attempts_max), (7, 5));
    assert_eq!(job.timeout, Some(Duration::from_secs(120)));
    assert_eq!(job.session.as_deref(), Some("thread-1"));
    assert_eq!(job.tags, ["night", "bus"]);
    let unique = Unique {
        key: "episode 7: 심야버스".into(),
        window: None,
    };
    assert_eq!(job.unique, Some(unique));
    assert_eq!(job.input.as_str(), r#"{"topic":"lumen bay tidal battery"}"#);
    assert!(job.keep_input && job.parent.is_none());
}

#[test]
fn a_scheduled_job_keeps_its_times() {
    let job = read("scheduled.bin");
    assert_eq!(job.status, Status::Scheduled);
    assert_eq!(job.run_at, Some("2099-01-01T00:00:00Z".parse().unwrap()));
    assert_eq!(
        job.expires_at,
        Some("2099-02-01T00:00:00Z".parse().unwrap())
    );
    let window = job.unique.as_ref().unwrap().window;
    assert_eq!(window, Some(Duration::from_secs(3_600)));
    assert_eq!(job.input.as_str(), r#"{ "topic" : "한빛시" }"#);
}

#[test]
fn a_job_that_waits_for_its_next_attempt_keeps_its_history() {
    let job = read("backoff.bin");
    assert_eq!((job.status, job.attempt), (Status::Waiting, 3));
    let waiting = job.waiting.as_ref().unwrap();
    assert_eq!(waiting.reason, WaitReason::Backoff);
    assert_eq!(waiting.until, at(1_795_721_528_136));
    let numbers: Vec<u32> = job.history.iter().map(|one| one.number).collect();
    assert_eq!(numbers, [1, 2, 3]);
    assert!(job.history.iter().all(|one| one.error.retryable));
    assert_eq!(job.unique.as_ref().unwrap().key, "held while it waits");
}

#[test]
fn a_finished_job_keeps_its_end() {
    let job = read("succeeded.bin");
    assert_eq!((job.status, job.attempt), (Status::Succeeded, 1));
    assert!(job.started_at < job.finished_at && job.finished_at < job.keep_until);
    let result: Value = job.result.as_ref().unwrap().read().unwrap();
    assert_eq!(result["status"], "ok");
    let input: Value = job.input.read().unwrap();
    let asked = json!({"topic": "lumen bay tidal battery", "max_sources": 2});
    assert_eq!(input, asked);

    let job = read("failed.bin");
    assert_eq!(
        (job.status, job.attempt, job.attempts_max),
        (Status::Failed, 2, 2)
    );
    let error = job.error.as_ref().unwrap();
    assert_eq!(
        (error.code.as_str(), error.retryable),
        ("llm_network", false)
    );
    assert_eq!(job.history.len(), 2);

    let job = read("cancelled.bin");
    assert_eq!((job.status, job.attempt), (Status::Cancelled, 0));
    assert_eq!(job.error.as_ref().unwrap().code, "cancelled");
    assert_eq!(job.tags, ["x"]);
}
