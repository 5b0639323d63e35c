//! Two versions of the program on one Redis, as while a deploy is rolled out.
//!
//! `LOVAGE_PREVIOUS` is the path of the previous version; `tests/run` builds it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lovage_client::wire::JobState;
use lovage_client::{Client, ListQuery};
use lovage_tests::llm::Answer;
use lovage_tests::redis::RedisServer;
use nix::sys::signal::Signal;
use serde_json::json;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::audit::{JOB_MAX, Recipe, audit_over};
use crate::calls;
use crate::history::{History, attempt, until_event};
use crate::process::binary;
use crate::system::{Job, System, Worker, enqueue};

/// Jobs of a whole deploy.
const JOBS: usize = 40;
/// Jobs that one worker holds.
const SLOTS: u32 = 2;
/// Longest wait for a worker to hold a job with a plan.
const PLANNED_MAX: Duration = Duration::from_secs(30);
/// Pause between two looks at what a worker holds.
const PAUSE: Duration = Duration::from_millis(50);

/// The previous version, where there is one and a Redis to run it on.
fn previous() -> Option<PathBuf> {
    if !RedisServer::available() {
        return None;
    }
    let Some(path) = std::env::var_os("LOVAGE_PREVIOUS") else {
        println!("left out: LOVAGE_PREVIOUS names no previous version; bash tests/run builds it");
        return None;
    };
    let path = PathBuf::from(path);
    assert!(path.is_file(), "LOVAGE_PREVIOUS: no {}", path.display());
    Some(path)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_deploy_runs_every_job_once_and_each_version_takes_over_from_the_other() {
    let Some(previous) = previous() else {
        return;
    };
    // The shortest lease there is: the jobs of a dead worker come back after 3 to 5 s.
    let system = System::start(&[], &[("LOVAGE__STORE__LEASE_S", "3")]).await;
    system.llm.set_latency(Duration::from_millis(500));
    let old_api = system.program_of(&previous, ["api", "--listen", "127.0.0.1:0"]);
    let old_api = old_api.serve().await;
    let apis = [&old_api.client, system.client()];
    let mut jobs = Vec::new();
    for number in 0..JOBS {
        let job = enqueue(apis[number % 2], number).await;
        // The same request at the other version's API is the same job.
        assert_eq!(enqueue(apis[(number + 1) % 2], number).await, job);
        jobs.push(job);
    }

    let first_old = system.worker_of(&previous, SLOTS).await;
    let first_new = system.worker(SLOTS).await;
    let mut old = BTreeSet::from([first_old.id.clone()]);
    let mut new = BTreeSet::from([first_new.id.clone()]);
    let mut planned = hand_over(&system, first_old, &first_new).await;
    let last_old = system.worker_of(&previous, SLOTS).await;
    old.insert(last_old.id.clone());
    planned.extend(hand_over(&system, first_new, &last_old).await);
    let last_new = system.worker(SLOTS).await;
    new.insert(last_new.id.clone());
    let late = jobs[JOBS * 3 / 4].id;
    system.client().wait(late, JOB_MAX).await.unwrap();
    last_old.running.signal(Signal::SIGTERM);
    last_old.running.end().await.expect(0);

    let audit = audit_over(&system, &jobs, Recipe::Changed).await;
    let lost = planned.len()..=2 * SLOTS as usize;
    assert!(lost.contains(&audit.attempts_lost), "{audit:?}, {lost:?}");
    let calls = calls::by_topic(&system.llm);
    let taken_over = jobs.iter().filter(|job| planned.contains(&job.id));
    for job in taken_over {
        // At most once by each version: its own plan is good for its workers.
        let plans = calls[&job.topic].plan;
        assert!((1..=2).contains(&plans), "{plans} plans: {job:?}");
    }
    let ended = ended_by(&system, &jobs).await;
    assert!(ended.is_subset(&old.union(&new).cloned().collect()));
    assert!(
        !ended.is_disjoint(&old) && !ended.is_disjoint(&new),
        "{ended:?}"
    );
    for api in apis {
        assert_listed_once(api, &jobs).await;
    }
}

/// Kills a worker while it holds jobs that are planned already; returns those
/// when the other worker has begun them.
async fn hand_over(system: &System, from: Worker, to: &Worker) -> Vec<Uuid> {
    let kill = kill_over_plans(system, from);
    let held = timeout(PLANNED_MAX, kill).await;
    let held = held.expect("the worker plans its jobs");
    for id in &held {
        until_event(system.client(), *id, |event| {
            attempt(event).is_some_and(|attempt| attempt.worker == to.id)
        })
        .await;
    }
    held
}

async fn kill_over_plans(system: &System, worker: Worker) -> Vec<Uuid> {
    loop {
        // Stopped, it finishes nothing while this looks; its lease outlasts the look.
        worker.running.signal(Signal::SIGSTOP);
        let held = planned_by(system, &worker.id).await;
        if !held.is_empty() {
            worker.running.kill().await;
            return held;
        }
        worker.running.signal(Signal::SIGCONT);
        sleep(PAUSE).await;
    }
}

/// The running jobs of a worker that have their plan.
async fn planned_by(system: &System, worker: &str) -> Vec<Uuid> {
    let query = ListQuery {
        states: vec![JobState::Running],
        ..ListQuery::default()
    };
    let mut planned = Vec::new();
    for job in system.client().list(&query).await.unwrap().jobs {
        let history = History::so_far(&system.api, job.id).await;
        let attempts = history.attempts();
        let is_its = attempts.last().is_some_and(|last| last.worker == worker);
        if is_its && history.times("step_finished", "plan") == 1 {
            planned.push(job.id);
        }
    }
    planned
}

/// The workers that made the last try of a job.
async fn ended_by(system: &System, jobs: &[Job]) -> BTreeSet<String> {
    let mut workers = BTreeSet::new();
    for job in jobs {
        let history = History::of(system.client(), job.id).await;
        workers.insert(history.attempts().pop().unwrap().worker);
    }
    workers
}

/// Reads the whole list in small pages.
async fn assert_listed_once(api: &Client, jobs: &[Job]) {
    let mut listed = Vec::new();
    let mut query = ListQuery {
        limit: Some(7),
        ..ListQuery::default()
    };
    loop {
        let page = api.list(&query).await.unwrap();
        listed.extend(page.jobs.iter().map(|job| job.id));
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            break;
        }
    }
    let mut all: Vec<Uuid> = jobs.iter().map(|job| job.id).collect();
    listed.sort_unstable();
    all.sort_unstable();
    assert_eq!(listed, all);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_version_set_aside_for_later_the_other_runs() {
    let Some(previous) = previous() else {
        return;
    };
    let this = binary();
    tokio::join!(goes_on(&previous, &this), goes_on(&this, &previous));
}

/// A job that fails under one version and waits for its next attempt has it
/// under the other, and is over after two.
async fn goes_on(first: &Path, then: &Path) {
    let system = System::start(&[], &[]).await;
    let client = system.client();
    system
        .llm
        .respond_with(|_| Answer::json(503, json!({"error": {"message": "later"}})));
    let parker = system.worker_of(first, 1).await;
    let job = system.enqueue(0).await;
    until_event(client, job.id, |event| event.kind == "waiting").await;
    parker.running.signal(Signal::SIGTERM);
    parker.running.end().await.expect(0);

    system.llm.respond_with(Answer::by_default);
    let other = system.worker_of(then, 1).await;
    let done = client.wait(job.id, JOB_MAX).await.unwrap();
    assert_eq!((done.state, done.attempt), (JobState::Succeeded, 2));
    let attempts = History::of(client, job.id).await.attempts();
    let made: Vec<_> = attempts
        .iter()
        .map(|attempt| (attempt.number, attempt.worker.as_str()))
        .collect();
    assert_eq!(made, [(1, parker.id.as_str()), (2, other.id.as_str())]);
    let queue = &system.api.json("/v1/queues").await["queues"][0];
    for (count, is) in [
        ("succeeded_total", 1),
        ("waiting", 0),
        ("queued", 0),
        ("running", 0),
    ] {
        assert_eq!(queue[count], is, "{count}: {queue}");
    }
}
