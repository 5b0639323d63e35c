//! The caller over connections that break, against a server that follows a script.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up must fail")]

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use lovage_client::wire::JobState;
use lovage_client::{Client, ClientError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use uuid::Uuid;

const SOON: Duration = Duration::from_secs(20);

/// Answers one connection after the other with these bytes, closing each; gives
/// the heads of the requests.
async fn script(answers: Vec<String>) -> (Client, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let mut heads = Vec::new();
        for answer in answers {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(socket.read_u8().await.unwrap());
            }
            heads.push(String::from_utf8(head).unwrap().to_lowercase());
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
        heads
    });
    // Another test may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    (Client::new(&base, Some("s3cret")).unwrap(), server)
}

/// An event stream that breaks off in the middle of a chunk.
fn stream(text: &str) -> String {
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 99999\r\n\r\n";
    format!("{head}{text}")
}

fn message(seq: u64, kind: &str) -> String {
    let job = Uuid::nil();
    format!(
        "id: {seq}\nevent: {kind}\ndata: {{\"seq\":{seq},\"at\":\"2026-01-01T00:00:00Z\",\"job_id\":\"{job}\",\"type\":\"{kind}\",\"step\":null,\"data\":null}}\n\n"
    )
}

fn answer(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn job(state: &str) -> String {
    format!(
        r#"{{"id":"{}","kind":"k","queue":"q","state":"{state}","priority":5,"attempt":1,"attempts_max":3,
        "created_at":"2026-01-01T00:00:00Z","run_at":null,"started_at":null,"finished_at":null,"expires_at":null,
        "waiting":null,"progress":null,"error":null,"session":null,"tags":[],"a_field_of_the_future":1,
        "links":{{"self":"/","events":"/","result":"/","checkpoints":"/"}}}}"#,
        Uuid::nil()
    )
}

#[tokio::test]
async fn a_watch_goes_on_where_the_connection_broke() {
    let (client, server) = script(vec![
        stream(&(message(4, "a") + "id: 5\nevent: b\ndata: {\"seq\"")),
        answer("503 Service Unavailable", ""),
        stream(&(message(5, "b") + &message(6, "succeeded"))),
    ])
    .await;
    let events = client.events(Uuid::nil(), 3).try_collect::<Vec<_>>();
    let events = timeout(SOON, events).await.unwrap().unwrap();
    let seen: Vec<_> = events.iter().map(|event| event.seq).collect();
    assert_eq!(seen, [4, 5, 6]);
    let heads = server.await.unwrap();
    let after = |seq: u64| format!("last-event-id: {seq}\r\n");
    assert!(heads[0].contains(&after(3)), "{}", heads[0]);
    assert!(heads[1].contains(&after(4)), "{}", heads[1]);
    assert!(heads[2].contains(&after(4)), "{}", heads[2]);
    assert!(heads[0].contains("authorization: bearer s3cret\r\n"));
}

#[tokio::test]
async fn a_watch_of_a_finished_job_ends_at_once() {
    let (client, _server) = script(vec!["HTTP/1.1 204 No Content\r\n\r\n".to_owned()]).await;
    let mut events = Box::pin(client.events(Uuid::nil(), 9));
    assert!(timeout(SOON, events.next()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_watch_does_not_guess_at_what_it_does_not_understand() {
    let (client, _server) = script(vec![stream("data: {}\n\n")]).await;
    let mut events = Box::pin(client.events(Uuid::nil(), 0));
    let error = timeout(SOON, events.next()).await.unwrap().unwrap();
    assert!(matches!(error, Err(ClientError::Protocol(_))));
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn a_wait_outlives_a_restart_of_the_server() {
    let (client, server) = script(vec![
        answer("200 OK", &job("running")),
        String::new(),
        answer("503 Service Unavailable", "not a problem document"),
        answer("200 OK", &job("succeeded")),
    ])
    .await;
    let job = timeout(SOON, client.wait(Uuid::nil(), SOON)).await.unwrap();
    assert_eq!(job.unwrap().state, JobState::Succeeded);
    let heads = server.await.unwrap();
    assert!(heads.iter().all(|head| head.contains("prefer: wait=")));
}

#[tokio::test]
async fn a_wait_whose_time_is_up_gives_the_job_as_it_is() {
    let (client, _server) = script(vec![answer("200 OK", &job("running"))]).await;
    let job = client.wait(Uuid::nil(), Duration::ZERO).await.unwrap();
    assert_eq!(job.state, JobState::Running);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable_without_its_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::new(&format!("http://user:hunter2@{address}"), None).unwrap();
    let error = client.job(Uuid::nil()).await.unwrap_err();
    assert!(error.is_transient());
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
}
