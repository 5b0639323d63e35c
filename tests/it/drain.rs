//! SIGTERM: no more claims, then finish or hand back within the grace time.

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use lovage_client::wire::JobState;
use lovage_tests::llm::{Answer, StandIn};
use lovage_tests::redis::RedisServer;
use nix::sys::signal::Signal;
use tokio::time::Instant;

use crate::audit::{Audit, audit};
use crate::calls::{self, Calls};
use crate::history::{History, is, until_event};
use crate::process::Program;
use crate::system::{System, enqueue};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_lets_a_running_job_end_and_claims_nothing_more() {
    if !RedisServer::available() {
        return;
    }
    let system = System::start(&[], &[]).await;
    system.llm.set_latency(Duration::from_secs(1));
    let worker = system.worker(4).await;
    let running = system.enqueue(1).await;
    until_event(system.client(), running.id, |event| {
        is(event, "step_started", "plan")
    })
    .await;

    worker.running.signal(Signal::SIGTERM);
    worker.running.says("draining").await;
    let late = system.enqueue(2).await;
    worker.running.end().await.expect(0);

    let job = system.client().job(running.id).await.unwrap();
    assert_eq!((job.state, job.attempt), (JobState::Succeeded, 1));
    let job = system.client().job(late.id).await.unwrap();
    assert_eq!((job.state, job.attempt), (JobState::Queued, 0));

    let _next = system.worker(4).await;
    assert_eq!(audit(&system, &[running, late]).await, Audit::default());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_hands_back_what_does_not_end_in_the_grace_time() {
    if !RedisServer::available() {
        return;
    }
    let system = System::start(&[], &[("LOVAGE__WORKER__GRACE_S", "1")]).await;
    system.llm.respond_with(calls::writer_is_silent);
    let worker = system.worker(4).await;
    let job = system.enqueue(1).await;
    let client = system.client();
    until_event(client, job.id, |event| is(event, "step_started", "write")).await;

    let begin = Instant::now();
    worker.running.signal(Signal::SIGTERM);
    worker.running.end().await.expect(0);
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(8), "took {took:?}");
    let handed_back = client.job(job.id).await.unwrap();
    assert_eq!(
        (handed_back.state, handed_back.attempt),
        (JobState::Queued, 0)
    );

    system.llm.respond_with(Answer::by_default);
    let _next = system.worker(4).await;
    let done = client.wait(job.id, Duration::from_secs(60)).await.unwrap();
    assert_eq!((done.state, done.attempt), (JobState::Succeeded, 1));
    let history = History::of(client, job.id).await;
    history.assert_nothing_finished_ran_again();
    assert_eq!(history.attempts().len(), 2, "{history}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_ends_the_api_and_its_event_streams_and_keeps_the_jobs() {
    if !RedisServer::available() {
        return;
    }
    let system = System::start(&[], &[]).await;
    let job = system.enqueue(1).await;
    let path = format!("/v1/jobs/{}/events", job.id);
    let request = crate::process::http().get(format!("{}{path}", system.api.url));
    let response = request
        .header("accept", "text/event-stream")
        .send()
        .await
        .unwrap();
    let mut stream = pin!(response.bytes_stream());
    stream.next().await.unwrap().unwrap();

    let again = system.program(["api", "--listen", "127.0.0.1:0"]);
    let begin = Instant::now();
    system.api.running.signal(Signal::SIGTERM);
    while let Some(Ok(_)) = stream.next().await {}
    system.api.running.end().await.expect(0);
    assert!(
        begin.elapsed() < Duration::from_secs(8),
        "{:?}",
        begin.elapsed()
    );

    let api = again.serve().await;
    assert_eq!(
        api.client.job(job.id).await.unwrap().state,
        JobState::Queued
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_lets_the_one_process_system_end_its_job() {
    let data = tempfile::tempdir().unwrap();
    let llm = StandIn::start().await;
    llm.set_latency(Duration::from_millis(500));
    let folder = data.path().to_str().unwrap();
    let up = || {
        let up = Program::new(["up", "--listen", "127.0.0.1:0", "--data", folder]);
        up.env("LOVAGE__LLM__BASE_URL", llm.url())
            .env("LOVAGE__LLM__VISION_MODEL", "off")
            .serve()
    };
    let server = up().await;
    let job = enqueue(&server.client, 1).await;
    until_event(&server.client, job.id, |event| {
        is(event, "step_started", "plan")
    })
    .await;
    server.running.signal(Signal::SIGTERM);
    server.running.end().await.expect(0);
    let done = up().await.client.job(job.id).await.unwrap();
    assert_eq!((done.state, done.attempt), (JobState::Succeeded, 1));
    assert_eq!(
        calls::by_topic(&llm)[&job.topic],
        Calls { plan: 1, write: 1 }
    );
}
