//! What one worker has in flight stays within its settings, as the others count it.

use std::time::Duration;

use lovage_client::JobResult;
use lovage_client::wire::{EnqueueRequest, JobState};
use lovage_tests::llm::StandIn;
use serde_json::{Value, json};

use crate::process::Program;
use crate::site::NewsSites;
use crate::system::numbered;

/// Jobs at once.
const JOBS: usize = 20;
/// Longest wait for one of them.
const JOB_MAX: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_jobs_share_three_calls_and_five_downloads() {
    run(&[], 3, 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_settings_are_other_limits() {
    let settings = [
        ("LOVAGE__LLM__CONCURRENCY", "1"),
        ("LOVAGE__RESEARCH__CONCURRENCY", "2"),
    ];
    run(&settings, 1, 2).await;
}

async fn run(settings: &[(&str, &str)], calls: usize, downloads: usize) {
    let sites = NewsSites::start(Duration::from_millis(60)).await;
    let llm = StandIn::start().await;
    llm.set_latency(Duration::from_millis(60));
    let server = Program::new(["up", "--listen", "127.0.0.1:0"])
        .env("LOVAGE__LLM__BASE_URL", llm.url())
        .env("LOVAGE__RESEARCH__FEEDS", sites.feeds())
        .env("LOVAGE__RESEARCH__CONTACT", "tests@localhost")
        .env("LOVAGE__RESEARCH__TRUSTED_HOSTS", sites.hosts())
        .env("LOVAGE__RESEARCH__HOST_PAUSE_MS", "0")
        .env("LOVAGE__RESEARCH__SOURCES__GDELT", "false")
        .env("LOVAGE__RESEARCH__SOURCES__HACKER_NEWS", "false")
        .env("LOVAGE__RESEARCH__SOURCES__WIKIPEDIA", "false")
        .envs(settings.iter().copied())
        .serve()
        .await;
    let mut ids = Vec::new();
    for number in 0..JOBS {
        let topic = numbered("harbour ferry timetable", number);
        let input = json!({"topic": topic, "max_sources": 8});
        let request = EnqueueRequest::new("script.generate", &input).unwrap();
        ids.push(server.client.enqueue(&request, None).await.unwrap().id);
    }
    for id in ids {
        let job = server.client.wait(id, JOB_MAX).await.unwrap();
        assert_eq!(job.state, JobState::Succeeded, "{job:?}");
        let JobResult::Ready { body, .. } = server.client.result(id, "json").await.unwrap() else {
            panic!("no result of {id}");
        };
        let result: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            (&result["status"], &result["corpus"]),
            (&json!("ok"), &json!("live"))
        );
    }
    // Reached, so that the bound was at work, and never exceeded.
    assert_eq!(llm.max_in_flight(), calls);
    assert_eq!(llm.calls(), 2 * JOBS);
    assert_eq!(
        sites.max_in_flight(),
        downloads,
        "{} requests",
        sites.requests()
    );
}
