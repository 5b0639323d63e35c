//! A crash costs nothing that was paid for.

use std::cell::RefCell;
use std::time::Duration;

use lovage_client::ListQuery;
use lovage_client::wire::JobState;
use lovage_tests::llm::{Answer, Ending};
use lovage_tests::redis::RedisServer;
use nix::sys::signal::Signal;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::audit::{Audit, JOB_MAX, audit, result};
use crate::calls::{self, Step};
use crate::history::{History, attempt, is, until_event};
use crate::system::{Job, System, Worker};

/// From the end of a worker to the next try: a lease of 10 s, a sweep every
/// 2 s, and the rest.
const TAKE_OVER_MAX: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_worker_takes_over_within_the_lease_and_does_not_plan_again() {
    if !RedisServer::available() {
        return;
    }
    let system = System::start(&[], &[]).await;
    system.llm.respond_with(calls::writer_is_silent);
    let mut workers = vec![system.worker(4).await, system.worker(4).await];
    let job = system.enqueue(1).await;
    let client = system.client();
    let first = until_event(client, job.id, |event| attempt(event).is_some()).await;
    until_event(client, job.id, |event| is(event, "step_finished", "plan")).await;
    let holder = attempt(&first).unwrap().worker;
    let held_by = workers
        .iter()
        .position(|worker| worker.id == holder)
        .unwrap();
    let killed = workers.remove(held_by);
    let survivor = workers.remove(0);

    let begin = Instant::now();
    killed.running.kill().await;
    system.llm.respond_with(Answer::by_default);
    let second = until_event(client, job.id, |event| {
        attempt(event).is_some_and(|attempt| attempt.number == 2)
    })
    .await;
    let took = begin.elapsed();

    println!("from kill to rerun: {took:?}");
    assert!(took <= TAKE_OVER_MAX, "took {took:?}");
    assert_eq!(attempt(&second).unwrap().worker, survivor.id);
    let audit = audit(&system, std::slice::from_ref(&job)).await;
    assert_eq!(audit.attempts_lost, 1);
    assert_eq!(calls::by_topic(&system.llm)[&job.topic].plan, 1);
}

/// Where section `number` begins in a script, from 0.
fn section(script: &str, number: usize) -> usize {
    script.match_indices("## ").nth(number).unwrap().0
}

/// The writer sends two sections and the heading of the third, then nothing.
fn stalls_in_the_third_section(body: &Value) -> Answer {
    match calls::asked(body).0 {
        Step::Plan | Step::Review => Answer::by_default(body),
        Step::Write => {
            let text = Answer::default_text(body);
            let third = section(&text, 2);
            let heading = text[third..].lines().next().unwrap().len();
            let begun = format!("{}\nAnd", &text[..third + heading]);
            Answer::begins(&begun, body).ending(Ending::Stall)
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sections_that_a_killed_worker_finished_are_not_paid_for_again() {
    if !RedisServer::available() {
        return;
    }
    let system = System::start(&[], &[("LOVAGE__STORE__LEASE_S", "3")]).await;
    system.llm.respond_with(stalls_in_the_third_section);
    let killed = system.worker(1).await;
    let job = system.enqueue(1).await;
    let client = system.client();
    // What comes behind the third heading is told no sooner than the two
    // sections before it are kept.
    let told = RefCell::new(String::new());
    until_event(client, job.id, |event| {
        let data: Value = serde_json::from_str(event.data.get()).unwrap();
        let text = data["text"].as_str().filter(|_| event.kind == "delta");
        told.borrow_mut().push_str(text.unwrap_or_default());
        told.borrow().ends_with("\nAnd")
    })
    .await;
    killed.running.kill().await;
    system.llm.respond_with(Answer::by_default);
    let _survivor = system.worker(1).await;
    client.wait(job.id, JOB_MAX).await.unwrap();

    let received = system.llm.received();
    let asked = |body: &Value| calls::asked(body).0;
    let writer: Vec<_> = received
        .iter()
        .filter(|one| asked(&one.body) == Step::Write)
        .collect();
    assert_eq!(
        (received.len(), writer.len()),
        (3, 2),
        "a plan, the writer twice"
    );
    let text = Answer::default_text(&writer[0].body);
    let begun = writer[1].body["messages"].as_array().unwrap();
    let begun = begun.iter().find(|one| one["role"] == "assistant").unwrap();
    assert_eq!(begun["content"], text[..section(&text, 2)].trim_end());
    let result = result(&system, job.id).await;
    assert_eq!(result["status"], "ok");
    assert_eq!(result["script"]["sections"].as_array().unwrap().len(), 3);
    // The dead call is known to have been made, and not what it used.
    assert_eq!(result["usage"]["calls"], 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_was_frozen_beyond_its_lease_changes_nothing_and_goes_on() {
    if !RedisServer::available() {
        return;
    }
    let system = System::start(&[], &[("LOVAGE__STORE__LEASE_S", "3")]).await;
    system.llm.set_latency(Duration::from_millis(500));
    let mut frozen = system.worker(1).await;
    let job = system.enqueue(1).await;
    let client = system.client();
    // Into the writer's call: the answer is there when the worker wakes up.
    calls::until_asked(&system.llm, 2).await;
    frozen.running.signal(Signal::SIGSTOP);
    let other = system.worker(1).await;
    client.wait(job.id, JOB_MAX).await.unwrap();
    let before = History::of(client, job.id).await;

    frozen.running.signal(Signal::SIGCONT);
    frozen.running.says("registering anew").await;
    other.running.kill().await;
    let next = system.enqueue(2).await;
    client.wait(next.id, JOB_MAX).await.unwrap();
    let after = History::of(client, job.id).await;
    assert_eq!(after.to_string(), before.to_string());
    assert!(frozen.running.is_alive());
    let audit = audit(&system, &[job, next]).await;
    assert_eq!(
        audit,
        Audit {
            attempts_lost: 1,
            calls_repeated: 1
        }
    );
}

/// Workers at a time, with one slot each: one kill meets at most one job.
const WORKERS: usize = 3;
/// Workers killed. Some kills may fall between two jobs.
const KILLS: usize = 54;
/// Kills that must have met a running job.
const MET_MIN: usize = 50;
/// Jobs kept waiting, so that every worker always has one.
const BACKLOG: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_kills_lose_no_job_and_repeat_at_most_one_call_each() {
    if !RedisServer::available() {
        return;
    }
    let asked = std::env::var("LOVAGE_SEED").ok();
    let seed: u64 = asked.map_or_else(rand::random, |text| text.parse().unwrap());
    println!("LOVAGE_SEED={seed}");
    // The shortest lease there is: the jobs of a dead worker come back after 3 to 5 s.
    let system = System::start(&[], &[("LOVAGE__STORE__LEASE_S", "3")]).await;
    system.llm.set_latency(Duration::from_millis(300));
    let begin = Instant::now();

    let jobs = kill_at_random(&system, StdRng::seed_from_u64(seed)).await;
    let Audit {
        attempts_lost,
        calls_repeated,
    } = audit(&system, &jobs).await;

    let (count, took) = (jobs.len(), begin.elapsed());
    println!(
        "{KILLS} kills, {attempts_lost} met a job; {count} jobs, {calls_repeated} calls repeated, in {took:?}"
    );
    assert!(
        attempts_lost >= MET_MIN,
        "only {attempts_lost} kills met a job"
    );
    assert!(
        attempts_lost <= KILLS,
        "{attempts_lost} tries lost by {KILLS} kills"
    );
    assert!(calls_repeated <= KILLS, "{calls_repeated} calls repeated");
}

/// Kills one of the workers again and again and starts another in its place,
/// then waits for all jobs.
async fn kill_at_random(system: &System, mut rng: StdRng) -> Vec<Job> {
    let mut workers: Vec<Worker> = Vec::new();
    for _ in 0..WORKERS {
        workers.push(system.worker(1).await);
    }
    let mut jobs = Vec::new();
    for _ in 0..KILLS {
        while waiting(system).await < BACKLOG {
            jobs.push(system.enqueue(jobs.len()).await);
        }
        // The moment is what is random here: nothing is waited for.
        sleep(Duration::from_millis(rng.random_range(50..450))).await;
        let victim = workers.swap_remove(rng.random_range(0..WORKERS));
        victim.running.kill().await;
        workers.push(system.worker(1).await);
    }
    // The workers live until here.
    for job in &jobs {
        let done = system.client().wait(job.id, JOB_MAX).await;
        done.unwrap();
    }
    jobs
}

async fn waiting(system: &System) -> usize {
    let query = ListQuery {
        states: vec![JobState::Queued],
        limit: Some(BACKLOG),
        ..ListQuery::default()
    };
    system.client().list(&query).await.unwrap().jobs.len()
}
