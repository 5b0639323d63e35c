//! Identical requests on two workers pay for a call and fetch a page once,
//! unless they ask not to.

use std::time::Duration;

use lovage_client::JobResult;
use lovage_client::wire::{EnqueueRequest, JobState};
use lovage_tests::redis::RedisServer;
use serde_json::{Value, json};

use crate::site::NewsSites;
use crate::system::System;

/// Longest wait for a job.
const JOB_MAX: Duration = Duration::from_secs(90);
/// Long enough for both jobs to be under way at once.
const LATENCY: Duration = Duration::from_millis(500);

/// Enqueues the same request so often, at once; gives their results.
async fn run_all(system: &System, input: &Value, times: usize) -> Vec<Value> {
    let client = &system.api.client;
    let request = EnqueueRequest::new("script.generate", input).unwrap();
    let mut ids = Vec::new();
    for _ in 0..times {
        ids.push(client.enqueue(&request, None).await.unwrap().id);
    }
    let mut results = Vec::new();
    for id in ids {
        let job = client.wait(id, JOB_MAX).await.unwrap();
        assert_eq!(job.state, JobState::Succeeded, "{job:?}");
        let JobResult::Ready { body, .. } = client.result(id, "json").await.unwrap() else {
            panic!("no result of {id}");
        };
        results.push(serde_json::from_slice(&body).unwrap());
    }
    results
}

fn sum(results: &[Value], name: &str) -> u64 {
    let counts = results.iter().map(|result| &result["usage"][name]);
    counts.map(|count| count.as_u64().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_share_calls_and_pages_unless_told_not_to() {
    if !RedisServer::available() {
        return;
    }
    let sites = NewsSites::start(Duration::from_millis(20)).await;
    let (feeds, hosts) = (sites.feeds(), sites.hosts());
    let settings = [
        ("LOVAGE__RESEARCH__FEEDS", feeds.as_str()),
        ("LOVAGE__RESEARCH__TRUSTED_HOSTS", hosts.as_str()),
        ("LOVAGE__RESEARCH__CONTACT", "tests@localhost"),
        ("LOVAGE__RESEARCH__HOST_PAUSE_MS", "0"),
    ];
    let system = System::start(&[], &settings).await;
    system.llm.set_latency(LATENCY);
    let _workers = [system.worker(1).await, system.worker(1).await];

    let shared = json!({"topic": "harbour ferry timetable"});
    let results = run_all(&system, &shared, 2).await;
    assert_eq!(system.llm.calls(), 2, "a plan and a script for both");
    assert_eq!(
        (sum(&results, "calls"), sum(&results, "cache_hits")),
        (2, 2)
    );
    assert_eq!(results[0]["script"], results[1]["script"]);
    let fetched = sites.requests();

    let results = run_all(&system, &shared, 1).await;
    assert_eq!((system.llm.calls(), sites.requests()), (2, fetched));
    let usage = &results[0]["usage"];
    assert_eq!(
        (&usage["cache_hits"], &usage["cost_usd"]),
        (&json!(2), &json!(0.0))
    );

    let fresh = json!({"topic": "harbour ferry timetable", "cache": false});
    let results = run_all(&system, &fresh, 2).await;
    assert_eq!(system.llm.calls(), 2 + 4, "each pays for its own");
    assert_eq!(sum(&results, "cache_hits"), 0);
    assert!(sites.requests() > fetched, "pages are fetched anew");

    let told = system.program(["cache", "stats", "-o", "json"]).end().await;
    let told: Value = serde_json::from_str(&told.expect(0).stdout).unwrap();
    let llm = &told["shelves"][0];
    assert_eq!((&llm["shelf"], &llm["misses"]), (&json!("llm"), &json!(2)));
    let helped = llm["hits"].as_u64().unwrap() + llm["shared"].as_u64().unwrap();
    assert_eq!(helped, 4, "{told}");
}
