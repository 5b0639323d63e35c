//! GET /v1/jobs/{id}/events: pages, streams, and going on where one was.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use lovage_api::ApiConfig;
use lovage_client::wire::{EventList, EventView, GAP};
use lovage_core::broker::Claimed;
use lovage_core::event::NewEvent;
use lovage_core::limits;
use lovage_core::outcome::Outcome;
use lovage_core::payload::Payload;
use reqwest::{Method, Response};
use tokio::time::timeout;

use crate::support::{SOON, Server, errors, event, header, problem};

async fn stream(server: &Server, claimed: &Claimed, after: Option<&str>) -> Response {
    let path = format!("/v1/jobs/{}/events", claimed.job.id);
    let mut call = server.call(Method::GET, &path);
    call = call.header("accept", "text/event-stream");
    if let Some(after) = after {
        call = call.header("last-event-id", after);
    }
    call.send().await.unwrap()
}

async fn page(server: &Server, claimed: &Claimed, query: &str) -> EventList {
    let path = format!("/v1/jobs/{}/events{query}", claimed.job.id);
    server.get(&path).await.json().await.unwrap()
}

/// The text of a stream up to and with `mark`.
async fn read_to(response: &mut Response, mark: &str) -> String {
    let mut bytes = Vec::new();
    let read = async {
        while let Some(chunk) = response.chunk().await.unwrap() {
            bytes.extend_from_slice(&chunk);
            if String::from_utf8_lossy(&bytes).contains(mark) {
                return;
            }
        }
        panic!("the stream ended without {mark}");
    };
    timeout(SOON, read).await.unwrap();
    String::from_utf8(bytes).unwrap()
}

async fn finish(server: &Server, claimed: &Claimed) {
    let done = Outcome::Done(Payload::null());
    server.store.settle(claimed, done).await;
}

fn kinds(events: &[EventView]) -> Vec<&str> {
    events.iter().map(|event| event.kind.as_str()).collect()
}

#[tokio::test]
async fn a_page_goes_on_where_the_last_one_ended() {
    let server = Server::start().await;
    let claimed = server.running().await;
    let news = [
        event("a", "1"),
        event("b", "2"),
        event("c", "{\"x\": [1.50]}"),
    ];
    server.store.emit(&claimed, &news).await;
    let first = page(&server, &claimed, "?limit=2").await;
    assert!(!first.ended && !first.missed);
    assert_eq!(first.next_after, first.events[1].seq);
    let rest = page(&server, &claimed, &format!("?after={}", first.next_after)).await;
    let all = [kinds(&first.events), kinds(&rest.events)].concat();
    assert_eq!(all, ["a", "b", "c"]);
    assert_eq!(rest.events.last().unwrap().data.get(), "{\"x\": [1.50]}");
    assert_eq!(rest.events.last().unwrap().step.as_deref(), Some("plan"));

    finish(&server, &claimed).await;
    let end = page(&server, &claimed, &format!("?after={}", rest.next_after)).await;
    assert_eq!(kinds(&end.events), ["succeeded"]);
    assert!(end.ended);
}

#[tokio::test]
async fn a_page_is_waited_for() {
    let server = Server::start().await;
    let claimed = server.running().await;
    let after = page(&server, &claimed, "").await.next_after;
    let query = format!("?after={after}&wait=60");
    let news = [event("a", "1")];
    let both = async {
        tokio::join!(
            page(&server, &claimed, &query),
            server.store.emit(&claimed, &news)
        )
    };
    let (page, ()) = timeout(SOON, both).await.unwrap();
    assert_eq!(kinds(&page.events), ["a"]);
}

#[tokio::test]
async fn a_stream_carries_events_as_they_happen_and_ends_after_the_last() {
    let server = Server::start().await;
    let claimed = server.running().await;
    let mut response = stream(&server, &claimed, None).await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "content-type"), "text/event-stream");
    assert_eq!(header(&response, "x-accel-buffering"), "no");
    read_to(&mut response, "retry: 2000\n\n").await;
    let news = [event(
        "progress",
        "{\n\"step\": \"plan\",\r\n\"current\":1,\"total\":2}",
    )];
    server.store.emit(&claimed, &news).await;
    let text = read_to(&mut response, "event: progress").await;
    let data = text.lines().find_map(|line| line.strip_prefix("data: "));
    let seen: EventView = serde_json::from_str(data.unwrap()).unwrap();
    assert!(text.contains(&format!("id: {}\n", seen.seq)), "{text}");
    assert_eq!(seen.job_id, claimed.job.id.uuid());
    finish(&server, &claimed).await;
    let rest = timeout(SOON, response.text()).await.unwrap().unwrap();
    assert!(rest.contains("event: succeeded\n"), "{rest}");
}

#[tokio::test]
async fn a_stream_resumes_after_the_last_event_id() {
    let server = Server::start().await;
    let claimed = server.running().await;
    let news = [event("a", "1"), event("b", "2")];
    server.store.emit(&claimed, &news).await;
    finish(&server, &claimed).await;
    let all = page(&server, &claimed, "").await.events;
    for (index, seen) in all.iter().enumerate() {
        let after = seen.seq.to_string();
        let response = stream(&server, &claimed, Some(&after)).await;
        if index + 1 == all.len() {
            // Nothing follows: a browser is told to stop.
            assert_eq!(response.status(), 204);
            continue;
        }
        let text = timeout(SOON, response.text()).await.unwrap().unwrap();
        let ids = text.lines().filter_map(|line| line.strip_prefix("id: "));
        let ids: Vec<u64> = ids.map(|id| id.parse().unwrap()).collect();
        let expected: Vec<_> = all[index + 1..].iter().map(|event| event.seq).collect();
        assert_eq!(ids, expected);
    }
    let refused = stream(&server, &claimed, Some("x")).await;
    assert_eq!(refused.status(), 422);
    assert_eq!(errors(&problem(refused).await)[0].0, "Last-Event-ID");
}

#[tokio::test]
async fn events_no_longer_kept_show_as_a_gap_with_the_job() {
    let server = Server::start().await;
    let claimed = server.running().await;
    let many: Vec<NewEvent> = (0..limits::EVENTS_MAX + 5)
        .map(|_| event("a", "1"))
        .collect();
    server.store.emit(&claimed, &many).await;
    finish(&server, &claimed).await;
    assert!(page(&server, &claimed, "").await.missed);
    let events = server.client.events(claimed.job.id.uuid(), 1);
    let events: Vec<_> = timeout(SOON, events.try_collect()).await.unwrap().unwrap();
    assert_eq!(events[0].kind, GAP);
    assert_eq!(events[0].seq + 1, events[1].seq);
    let data: serde_json::Value = serde_json::from_str(events[0].data.get()).unwrap();
    assert_eq!(data["after"], 1);
    assert_eq!(data["job"]["state"], "succeeded");
    assert_eq!(events.last().unwrap().kind, "succeeded");
    assert!(events[1..].windows(2).all(|pair| pair[0].seq < pair[1].seq));
}

#[tokio::test]
async fn a_silent_stream_beats() {
    let config = ApiConfig {
        heartbeat: Duration::from_millis(20),
        ..ApiConfig::default()
    };
    assert!(ApiConfig::default().heartbeat <= Duration::from_secs(15));
    let server = Server::with(config).await;
    let claimed = server.running().await;
    let mut response = stream(&server, &claimed, None).await;
    read_to(&mut response, "\n:\n").await;
}

#[tokio::test]
async fn the_client_follows_a_job_to_its_end_over_a_second_run() {
    let server = Server::start().await;
    let claimed = server.running().await;
    let id = claimed.job.id;
    server.client.cancel(id.uuid()).await.unwrap();
    server.store.settle(&claimed, Outcome::Cancelled).await;
    server.client.retry(id.uuid()).await.unwrap();
    let again = server.store.claim_one(claimed.lease.token.worker).await;
    let mut events = Box::pin(server.client.events(id.uuid(), 0));
    let mut seen = Vec::new();
    while let Some(event) = timeout(SOON, events.next()).await.unwrap() {
        seen.push(event.unwrap().kind);
        if seen.last().is_some_and(|kind| kind == "redriven") {
            finish(&server, &again).await;
        }
    }
    let expected = ["cancel_requested", "cancelled", "redriven", "succeeded"];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn the_client_says_when_there_is_no_such_job() {
    let server = Server::start().await;
    let mut events = Box::pin(server.client.events(uuid::Uuid::nil(), 0));
    let error = timeout(SOON, events.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap_err();
    assert!(error.to_string().contains("job_unknown"), "{error}");
    assert!(events.next().await.is_none());
}
