//! What all workers together ask of a provider stays within its limits.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use lovage_client::wire::{JobState, LimitView};
use lovage_tests::llm::{Answer, StandIn};
use lovage_tests::redis::RedisServer;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use crate::audit::JOB_MAX;
use crate::calls;
use crate::process::Program;
use crate::system::{System, Worker, enqueue};

/// Worker processes.
const WORKERS: usize = 4;
const MINUTE: Duration = Duration::from_secs(60);
/// From admission to the provider, on a machine that is busy with other tests.
const ON_THE_WAY: Duration = Duration::from_secs(2);
/// What a lease outlives the longest call by.
const TTL_SLACK: Duration = Duration::from_secs(10);

/// Calls as the provider sees them come.
type Arrivals = Arc<Mutex<Vec<(Instant, u64)>>>;

/// Notes each call and its tokens, and answers as usual.
fn note(llm: &StandIn) -> Arrivals {
    let arrivals = Arrivals::default();
    let noted = Arc::clone(&arrivals);
    llm.respond_with(move |body| {
        let tokens = body["messages"].to_string().chars().count() / 4
            + Answer::default_text(body).chars().count().div_ceil(4);
        noted.lock().unwrap().push((Instant::now(), tokens as u64));
        Answer::by_default(body)
    });
    arrivals
}

/// The most that came in any span of this length.
fn worst(arrivals: &[(Instant, u64)], span: Duration, of: impl Fn(u64) -> u64) -> u64 {
    let from = |start: Instant| {
        let inside = arrivals
            .iter()
            .filter(|(at, _)| (start..start + span).contains(at));
        inside.map(|(_, tokens)| of(*tokens)).sum()
    };
    arrivals.iter().map(|(at, _)| from(*at)).max().unwrap_or(0)
}

async fn workers(system: &System) -> Vec<Worker> {
    let mut workers = Vec::new();
    for _ in 0..WORKERS {
        workers.push(system.worker(3).await);
    }
    workers
}

/// The one limit, once it stands so.
async fn until(system: &System, holds: impl Fn(&LimitView) -> bool) -> LimitView {
    let look = async {
        loop {
            let found = system.client().limits().await.unwrap().limits.pop();
            match found.filter(&holds) {
                Some(found) => return found,
                None => sleep(Duration::from_millis(20)).await,
            }
        }
    };
    timeout(JOB_MAX, look).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_workers_never_exceed_the_limits_and_settle_what_was_used() {
    if !RedisServer::available() {
        return;
    }
    let (rpm, tpm) = (100, 300_000);
    let settings = [("LOVAGE__LLM__RPM", "100"), ("LOVAGE__LLM__TPM", "300000")];
    let system = System::start(&[], &settings).await;
    let arrivals = note(&system.llm);
    let _workers = workers(&system).await;
    let mut jobs = Vec::new();
    for number in 0..24 {
        jobs.push(system.enqueue(number).await);
    }
    for job in &jobs {
        let job = system.client().wait(job.id, JOB_MAX).await.unwrap();
        assert_eq!(
            (job.state, job.attempt),
            (JobState::Succeeded, 1),
            "{job:?}"
        );
    }
    let limit = until(&system, |limit| limit.in_flight == 0).await;
    let arrivals = arrivals.lock().unwrap().clone();
    for seconds in [5, 10, 20, 60] {
        let span = Duration::from_secs(seconds);
        let minutes = (span + ON_THE_WAY).as_secs_f64() / MINUTE.as_secs_f64();
        // Nine tenths of the limit and the burst, a tenth of that.
        let most = |limit: u64| limit as f64 * 0.9 * (minutes + 0.1);
        let (calls, tokens) = (
            worst(&arrivals, span, |_| 1),
            worst(&arrivals, span, |of| of),
        );
        println!("{calls} calls and {tokens} tokens in {seconds} s");
        assert!(calls as f64 <= most(rpm), "{calls} calls in {seconds} s");
        assert!(tokens as f64 <= most(tpm), "{tokens} tokens in {seconds} s");
    }
    assert!(worst(&arrivals, MINUTE, |_| 1) <= rpm);
    assert!(worst(&arrivals, MINUTE, |of| of) <= tpm);
    let (told, totals) = (system.llm.told(), limit.totals);
    assert_eq!(
        (totals.tokens_input, totals.tokens_output),
        (told.prompt, told.completion)
    );
    assert_eq!(totals.settled, system.llm.calls() as u64);
    assert_eq!((totals.lost, totals.guessed, totals.throttled), (0, 0, 0));
    assert!(totals.waited_s > 1.0, "the limit was at work: {totals:?}");
    assert_eq!(limit.workers, WORKERS as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_refusal_slows_all_workers_down() {
    if !RedisServer::available() {
        return;
    }
    // The provider allows far less than the settings say.
    let (allowed, span) = (4, Duration::from_secs(1));
    let system = System::start(&[], &[("LOVAGE__LLM__RPM", "1200")]).await;
    let taken = Mutex::new(Vec::<Instant>::new());
    let counts = Arc::new(Mutex::new((0_u32, 0_u32)));
    let counted = Arc::clone(&counts);
    system.llm.respond_with(move |body| {
        let (now, mut taken) = (Instant::now(), taken.lock().unwrap());
        taken.retain(|at| now - *at < span);
        let mut counts = counted.lock().unwrap();
        counts.0 += 1;
        if taken.len() < allowed {
            taken.push(now);
            return Answer::by_default(body);
        }
        counts.1 += 1;
        let error =
            serde_json::json!({"error": {"message": "slow down", "code": "rate_limit_exceeded"}});
        Answer::json(429, error).header("retry-after-ms", "1000")
    });
    let _workers = workers(&system).await;
    let mut jobs = Vec::new();
    for number in 0..24 {
        jobs.push(system.enqueue(number).await);
    }
    for job in &jobs {
        let job = system.client().wait(job.id, JOB_MAX).await.unwrap();
        assert_eq!(job.state, JobState::Succeeded, "{job:?}");
    }
    let limit = until(&system, |limit| limit.in_flight == 0).await;
    let (calls, refused) = *counts.lock().unwrap();
    println!(
        "{refused} of {calls} calls refused, factor {}",
        limit.factor
    );
    assert!(
        refused > 0 && limit.factor < 1.0,
        "the provider refused something"
    );
    assert_eq!(limit.totals.throttled, u64::from(refused));
    // Each caller that sleeps alone is refused about every second time.
    assert!(
        f64::from(refused) <= 0.25 * f64::from(calls),
        "{refused} of {calls}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_worker_gives_its_place_back_within_the_longest_call() {
    if !RedisServer::available() {
        return;
    }
    let longest = Duration::from_secs(4);
    let settings = [
        ("LOVAGE__LLM__CONCURRENCY_ALL", "1"),
        ("LOVAGE__LLM__TIMEOUT_S", "4"),
        ("LOVAGE__LLM__IDLE_TIMEOUT_S", "4"),
        ("LOVAGE__STORE__LEASE_S", "3"),
    ];
    let system = System::start(&[], &settings).await;
    let mut asked = calls::listen(&system.llm, |_| Answer::silence());
    let holder = system.worker(1).await;
    system.enqueue(1).await;
    asked.recv().await.unwrap();
    let began = Instant::now();
    holder.running.kill().await;
    let _heir = system.worker(2).await;
    let other = system.enqueue(2).await;
    system.llm.respond_with(Answer::by_default);
    let free = until(&system, |limit| limit.totals.settled > 0).await;
    let took = began.elapsed();
    println!("from kill to the next call's end: {took:?}");
    assert_eq!(free.totals.guessed, 0, "the killed call was not settled");
    let held = longest + TTL_SLACK;
    assert!(took >= held - ON_THE_WAY, "the place was held: {took:?}");
    assert!(took <= held + Duration::from_secs(10), "{took:?}");
    let other = system.client().wait(other.id, JOB_MAX).await.unwrap();
    assert_eq!(other.state, JobState::Succeeded, "{other:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_would_wait_long_is_parked_and_says_for_which_limit() {
    if !RedisServer::available() {
        return;
    }
    let system = System::start(&[], &[]).await;
    system.llm.respond_with(|_| {
        let error =
            serde_json::json!({"error": {"message": "slow down", "code": "rate_limit_exceeded"}});
        Answer::json(429, error).header("retry-after", "90")
    });
    let _workers = [system.worker(1).await, system.worker(1).await];
    let first = system.enqueue(1).await;
    let cooling = until(&system, |limit| limit.cooling_s > 60.0).await;
    let second = system.enqueue(2).await;
    let parked = async {
        loop {
            let jobs = [first.id, second.id];
            let mut views = Vec::new();
            for id in jobs {
                views.push(system.client().job(id).await.unwrap());
            }
            if views.iter().all(|view| view.state == JobState::Waiting) {
                return views;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    let views = timeout(JOB_MAX, parked).await.unwrap();
    for view in &views {
        let waiting = view.waiting.as_ref().unwrap();
        assert_eq!(
            (waiting.reason.as_str(), view.attempt),
            ("limit", 0),
            "{view:?}"
        );
        assert!(waiting.until.is_some(), "{view:?}");
    }
    let named = views[1].waiting.as_ref().unwrap().limit.clone();
    assert_eq!(named, Some(format!("{} cooldown", cooling.name)));
    assert_eq!(system.llm.calls(), 1, "the second job asked nobody");
    let queues = system.api.json("/v1/queues").await;
    assert_eq!(queues["queues"][0]["running"], 0, "no slot is held");
    a_person_sees_and_sets_limits(&system, &cooling.name).await;
}

async fn a_person_sees_and_sets_limits(system: &System, name: &str) {
    let limit = async |args: &[&str]| {
        let mut all = vec!["limit"];
        all.extend(args);
        all.extend(["--server", &system.api.url]);
        Program::new(all).end().await
    };
    let set = limit(&[
        "set",
        name,
        "--rpm",
        "30",
        "--budget-usd-day",
        "2.5",
        "-o",
        "json",
    ])
    .await;
    let set: Value = serde_json::from_str(&set.expect(0).stdout).unwrap();
    assert_eq!(set["overrides"]["rpm"], 30, "{set}");
    let table = limit(&["ls"]).await.expect(0).stdout;
    assert!(table.contains(name) && table.contains("30*"), "{table}");
    let unknown = limit(&["set", "openai/none#00", "--rpm", "1"])
        .await
        .expect(1);
    assert!(
        unknown.stderr.contains("no worker has asked"),
        "{unknown:?}"
    );
    let wrong = limit(&["set", name, "--rpm", "0"]).await.expect(2);
    assert!(wrong.stderr.contains("expected 1 to"), "{wrong:?}");
    let metrics = system.api.get("/metrics").await.text().await.unwrap();
    let value = format!("lovage_limit_value{{limit=\"{name}\",kind=\"rpm\"}} 30");
    let refused = format!("lovage_limit_calls_total{{limit=\"{name}\",what=\"throttled\"}} 1");
    for line in [
        value.as_str(),
        refused.as_str(),
        "lovage_llm_tokens_total{provider=\"openai\"",
    ] {
        assert!(metrics.contains(line), "{line} is missing:\n{metrics}");
    }
    let none = limit(&["set", name, "--none", "-o", "json"])
        .await
        .expect(0);
    let none: Value = serde_json::from_str(&none.stdout).unwrap();
    assert_eq!(none["overrides"]["rpm"], Value::Null, "{none}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_on_one_file_share_one_place() {
    let data = tempfile::tempdir().unwrap();
    let llm = StandIn::start().await;
    llm.set_latency(Duration::from_millis(50));
    let start = || {
        let data = data.path().to_str().unwrap();
        Program::new(["up", "--listen", "127.0.0.1:0", "--data", data])
            .env("LOVAGE__LLM__BASE_URL", llm.url())
            .env("LOVAGE__LLM__CONCURRENCY_ALL", "1")
            // Two calls a job, whatever its articles show.
            .env("LOVAGE__LLM__VISION_MODEL", "off")
            .serve()
    };
    let (one, other) = tokio::join!(start(), start());
    let clients = [&one.client, &other.client];
    let mut jobs = Vec::new();
    for number in 0..8 {
        jobs.push(enqueue(clients[number % 2], number).await);
    }
    for job in &jobs {
        let job = one.client.wait(job.id, JOB_MAX).await.unwrap();
        assert_eq!(job.state, JobState::Succeeded, "{job:?}");
    }
    assert_eq!((llm.max_in_flight(), llm.calls()), (1, 16));
}
