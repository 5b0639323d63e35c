//! A minute of `lovage chaos`: half of it on a Redis that syncs once a second,
//! half on one that syncs before each answer.

use std::path::Path;
use std::time::Duration;

use lovage_tests::redis::RedisServer;
use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::process::Program;

/// What must not happen at all.
const BROKEN: [&str; 7] = [
    "lost",
    "enqueued_twice",
    "finished_twice",
    "not_fenced",
    "torn",
    "steps_run_again",
    "refusals",
];
/// What is done to the system on any Redis.
const DISTURBANCES: [&str; 10] = [
    "worker_killed",
    "worker_stopped",
    "clock_set_off",
    "store_restarted",
    "store_killed",
    "store_paused",
    "store_frozen",
    "failed_over",
    "connections_cut",
    "memory_filled",
];

fn chaos(fsync: &str, temp: &TempDir) -> Program {
    let args = ["chaos", "--minutes", "0.5", "--fsync", fsync, "-o", "json"];
    let seed = std::env::var("LOVAGE_SEED").ok();
    let seed = seed.iter().flat_map(|seed| ["--seed", seed]);
    Program::new(args.into_iter().chain(seed))
        .env("PATH", std::env::var("PATH").unwrap())
        .env("TMPDIR", temp.path())
}

/// Nothing in its folder for temporary files, and no process that uses it.
fn assert_nothing_left(temp: &TempDir) {
    let left: Vec<_> = std::fs::read_dir(temp.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    let folder = temp.path().to_str().unwrap();
    // Where there is no /proc, the folder has to do.
    for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let words = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words);
        assert!(!words.contains(folder), "{words:?} is left");
    }
}

async fn half_a_minute(fsync: &str) -> Value {
    let temp = tempfile::tempdir().unwrap();
    let ended = chaos(fsync, &temp).end().await;
    // The seed is on stderr, the figures are on stdout.
    println!("{}\n{}", ended.stderr, ended.stdout);
    let ended = ended.expect(0);
    assert_nothing_left(&temp);
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(report["kept"], true);
    let phase = report["phases"][0].clone();
    for what in BROKEN {
        assert_eq!(phase["broken"][what], 0, "{what}");
    }
    for what in DISTURBANCES {
        assert!(count(&phase["disturbances"][what]) > 0, "{what}");
    }
    assert!(count(&phase["acknowledged"]) > 100, "{phase}");
    let over = count(&phase["succeeded"]) + gone(&phase);
    assert_eq!(count(&phase["acknowledged"]), over, "{phase}");
    assert_calls_are_explained(&phase);
    phase
}

/// Acknowledged jobs that Redis forgot by its own promise.
fn gone(phase: &Value) -> u64 {
    count(&phase["last_second"]["jobs"])
}

fn count(figure: &Value) -> u64 {
    figure.as_u64().unwrap_or_default()
}

/// Every call that was paid twice has a reason.
fn assert_calls_are_explained(phase: &Value) {
    let calls = &phase["calls"];
    let reasons = ["unacknowledged", "by_the_late", "lost_checkpoint"];
    let explained: u64 = reasons.iter().map(|reason| count(&calls[reason])).sum();
    assert_eq!(count(&calls["paid_twice"]), explained, "{calls}");
    assert!(
        count(&calls["made"]) >= 3 * count(&phase["succeeded"]),
        "{calls}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_minute_of_chaos_loses_at_most_the_last_second() {
    if !RedisServer::available() {
        return;
    }
    let phase = half_a_minute("everysec").await;
    assert!(count(&phase["disturbances"]["power_cut"]) > 0);
    let (gone, acknowledged) = (gone(&phase), count(&phase["acknowledged"]));
    assert!(gone < acknowledged / 2, "{gone} of {acknowledged}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_minute_of_chaos_loses_nothing_that_was_synced_and_replicated() {
    if !RedisServer::available() {
        return;
    }
    let phase = half_a_minute("always").await;
    assert!(count(&phase["recovery"]["jobs"]) > 0, "{phase}");
    // A fail-over may forget what the replica had not received.
    assert!(
        gone(&phase) <= count(&phase["acknowledged"]) / 20,
        "{phase}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_run_leaves_nothing_behind() {
    if !RedisServer::available() {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    let running = chaos("everysec", &temp).start();
    let worked = timeout(Duration::from_secs(60), until_worked(temp.path())).await;
    worked.expect("a job is run");
    running.signal(Signal::SIGINT);
    running.end().await.expect(130);
    assert_nothing_left(&temp);
}

/// Waits until a worker has written into the ledger.
async fn until_worked(temp: &Path) {
    loop {
        let folders = std::fs::read_dir(temp).unwrap().flatten();
        let mut ledgers = folders.map(|folder| folder.path().join("ledger"));
        if ledgers.any(|ledger| ledger.metadata().is_ok_and(|file| file.len() > 0)) {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
}
