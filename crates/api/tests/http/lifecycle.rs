//! Start, health, drain, end.

use lovage_client::wire::{Health, JobState};
use reqwest::Method;
use tokio::time::timeout;

use crate::support::{SOON, Server, body, header, problem};

#[tokio::test]
async fn a_server_is_alive_and_ready_and_says_what_it_checked() {
    let server = Server::start().await;
    assert_eq!(server.get("/healthz").await.status(), 200);
    let response = server.get("/readyz").await;
    assert_eq!(response.status(), 200);
    let health: Health = response.json().await.unwrap();
    let names: Vec<_> = health
        .checks
        .iter()
        .map(|check| check.component.as_str())
        .collect();
    assert!(health.ok);
    assert_eq!(names, ["server", "store"]);
}

#[tokio::test]
async fn a_draining_server_is_alive_not_ready_and_takes_no_jobs() {
    let server = Server::start().await;
    let job = server.enqueue().await;
    server.draining.cancel();
    assert_eq!(server.get("/healthz").await.status(), 200);
    let health = server.get("/readyz").await;
    assert_eq!(health.status(), 503);
    let health: Health = health.json().await.unwrap();
    assert_eq!(health.checks[0].detail.as_deref(), Some("draining"));
    for path in ["/v1/jobs", "/v1/batches"] {
        let refused = server.post_json(path, &body()).await;
        assert_eq!(refused.status(), 503);
        assert!(header(&refused, "retry-after").parse::<u32>().is_ok());
        assert_eq!(problem(refused).await.code, "draining");
    }
    // What is there can still be seen.
    assert_eq!(
        server.client.job(job.id).await.unwrap().state,
        JobState::Queued
    );
    assert_eq!(server.job_count().await, 1);
}

#[tokio::test]
async fn a_shutdown_ends_streams_and_long_polls_at_once() {
    let server = Server::start().await;
    let job = server.enqueue().await;
    let call = server.call(Method::GET, &job.links.events);
    let call = call.header("accept", "text/event-stream");
    let stream = call.send().await.unwrap();
    assert_eq!(stream.status(), 200);
    let path = format!("{}?wait=60", job.links.this);
    let poll = server.call(Method::GET, &path).send();
    let stop = async { server.stop.cancel() };
    // The poll may find the door closed already; either way it does not wait.
    let all = async { tokio::join!(stream.text(), poll, stop) };
    let (text, _, ()) = timeout(SOON / 2, all).await.unwrap();
    let text = text.unwrap();
    assert!(text.starts_with("retry: 2000"), "{text}");
    timeout(SOON, server.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_caller_who_stays_silent_does_not_hold_up_the_shutdown() {
    let config = lovage_api::ApiConfig {
        drain: std::time::Duration::from_millis(50),
        ..Default::default()
    };
    let server = Server::with(config).await;
    let address = server.base.trim_start_matches("http://");
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = b"POST /v1/jobs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{";
    tokio::io::AsyncWriteExt::write_all(&mut socket, head)
        .await
        .unwrap();
    assert_eq!(server.get("/healthz").await.status(), 200);
    server.stop.cancel();
    timeout(SOON, server.task).await.unwrap().unwrap();
    let mut rest = Vec::new();
    let end = tokio::io::AsyncReadExt::read_to_end(&mut socket, &mut rest);
    // Closed, by a FIN or a reset.
    let _ = timeout(SOON, end).await.unwrap();
}
