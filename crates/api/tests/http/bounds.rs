//! What surrounds every request.

use std::time::Duration;

use lovage_api::ApiConfig;
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{SOON, Server, header, problem};

#[tokio::test]
async fn a_path_and_a_method_that_are_not_there_are_problems_too() {
    let server = Server::start().await;
    let response = server.get("/v1/nothing").await;
    assert_eq!(response.status(), 404);
    assert_eq!(problem(response).await.code, "path_unknown");
    let response = server
        .call(Method::DELETE, "/v1/jobs")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 405);
    let allowed = header(&response, "allow");
    assert!(
        allowed.contains("GET") && allowed.contains("POST"),
        "{allowed}"
    );
    assert_eq!(problem(response).await.code, "method_not_allowed");
}

#[tokio::test]
async fn a_request_id_goes_out_as_it_came_in_or_is_made() {
    let server = Server::start().await;
    let call = server.call(Method::GET, "/v1/nothing");
    let response = call.header("x-request-id", "trace-7").send().await.unwrap();
    assert_eq!(header(&response, "x-request-id"), "trace-7");
    assert_eq!(
        problem(response).await.request_id.as_deref(),
        Some("trace-7")
    );
    let made = header(&server.get("/healthz").await, "x-request-id");
    assert_eq!(made.parse::<uuid::Uuid>().unwrap().get_version_num(), 7);
}

#[tokio::test]
async fn a_panic_is_a_problem_and_the_server_goes_on() {
    let server = Server::start().await;
    let request = json!({"kind": "test.panics", "input": {}});
    let response = server.post_json("/v1/jobs", &request).await;
    assert_eq!(response.status(), 500);
    let problem = problem(response).await;
    assert_eq!(problem.code, "internal");
    assert!(!problem.to_string().contains("a check that panics"));
    assert_eq!(server.get("/healthz").await.status(), 200);
}

#[tokio::test]
async fn more_watchers_than_are_allowed_are_told_to_come_back() {
    let config = ApiConfig {
        watchers_max: 1,
        ..ApiConfig::default()
    };
    let server = Server::with(config).await;
    let job = server.enqueue().await;
    let watch = || {
        let call = server.call(Method::GET, &job.links.events);
        call.header("accept", "text/event-stream").send()
    };
    let first = watch().await.unwrap();
    assert_eq!(first.status(), 200);
    let second = watch().await.unwrap();
    assert_eq!(second.status(), 503);
    assert!(second.headers().contains_key("retry-after"));
    assert_eq!(problem(second).await.code, "busy");
    let poll = server.get(&format!("{}?wait=5", job.links.this)).await;
    assert_eq!(problem(poll).await.code, "busy");
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_not_waited_for_for_ever() {
    let config = ApiConfig {
        read_timeout: Duration::from_millis(50),
        ..ApiConfig::default()
    };
    let server = Server::with(config).await;
    let address = server.base.trim_start_matches("http://");
    let mut socket = TcpStream::connect(address).await.unwrap();
    let head = b"POST /v1/jobs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{";
    socket.write_all(head).await.unwrap();
    let mut answer = vec![0; 12];
    timeout(SOON, socket.read_exact(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answer, b"HTTP/1.1 408");

    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(b"GET /healthz HTT").await.unwrap();
    let mut rest = Vec::new();
    timeout(SOON, socket.read_to_end(&mut rest))
        .await
        .unwrap()
        .unwrap();
}
