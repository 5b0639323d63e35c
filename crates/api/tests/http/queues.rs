//! What queues hold, pause and resume, limits.

use std::time::Duration;

use lovage_client::wire::{LimitsRequest, QueueList, QueueView, RateView};
use lovage_core::queue::{QueueLimits, Rate};
use reqwest::Response;
use serde_json::{Value, json};

use crate::support::{Server, body, errors, problem};

#[tokio::test]
async fn a_queue_is_paused_and_resumed_and_shows_what_it_holds() {
    let server = Server::start().await;
    server.post_json("/v1/jobs", &body()).await;
    let paused: QueueView = server
        .post("/v1/queues/default/pause")
        .await
        .json()
        .await
        .unwrap();
    assert!(paused.paused);
    assert_eq!((paused.queued, paused.queue.as_str()), (1, "default"));
    let worker = server.store.worker().await;
    assert_eq!(server.store.claim(worker, 1).await.len(), 0);
    let resumed: QueueView = server
        .post("/v1/queues/default/resume")
        .await
        .json()
        .await
        .unwrap();
    assert!(!resumed.paused);
    assert_eq!(server.store.claim(worker, 1).await.len(), 1);
    let list: QueueList = server.get("/v1/queues").await.json().await.unwrap();
    assert_eq!((list.queues[0].running, list.queues[0].queued), (1, 0));
    assert_eq!(server.post("/v1/queues/A%20B/pause").await.status(), 422);
}

async fn limit(server: &Server, body: Value) -> Response {
    server.put_json("/v1/queues/default/limits", &body).await
}

#[tokio::test]
async fn a_limited_queue_gives_no_more_and_shows_its_limits() {
    let server = Server::start().await;
    for _ in 0..4 {
        server.enqueue().await;
    }
    let response = limit(
        &server,
        json!({"concurrency": 3, "rate": {"jobs": 2, "per_s": 1}}),
    )
    .await;
    assert_eq!(response.status(), 200);
    let limited: QueueView = response.json().await.unwrap();
    let rate = RateView {
        jobs: 2,
        per_s: 1,
        burst: 1,
    };
    assert_eq!(
        (limited.limits.concurrency, limited.limits.rate),
        (Some(3), Some(rate))
    );
    let worker = server.store.worker().await;
    assert_eq!(server.store.claim(worker, 4).await.len(), 1, "the burst");
    server.store.advance(Duration::from_millis(500));
    assert_eq!(server.store.claim(worker, 4).await.len(), 1, "the rate");

    let no_rate = LimitsRequest {
        concurrency: Some(3),
        ..LimitsRequest::default()
    };
    let limited = server.client.limit("default", &no_rate).await.unwrap();
    assert_eq!(limited.limits.rate, None, "limits are replaced as a whole");
    assert_eq!(
        server.store.claim(worker, 4).await.len(),
        1,
        "three at once"
    );

    let free = LimitsRequest::default();
    server.client.limit("default", &free).await.unwrap();
    assert_eq!(server.store.claim(worker, 4).await.len(), 1);
    let queues = server.client.queues().await.unwrap();
    assert_eq!(queues.queues[0].limits, Default::default());
    assert_eq!(queues.queues[0].running, 4);
}

#[tokio::test]
async fn a_full_queue_says_so_and_when_to_try_again() {
    let server = Server::start().await;
    assert_eq!(limit(&server, json!({"length": 1})).await.status(), 200);
    server.enqueue().await;
    let refused = server.post_json("/v1/jobs", &body()).await;
    assert_eq!(refused.headers()["retry-after"], "5");
    let refused = problem(refused).await;
    assert_eq!((refused.status, refused.code.as_str()), (503, "queue_full"));
    let batch = json!({"jobs": [body()]});
    let answers = server.post_json("/v1/batches", &batch).await;
    let answers: Value = answers.json().await.unwrap();
    assert_eq!(answers["items"][0]["status"], 503, "{answers}");
}

#[tokio::test]
async fn every_limit_reaches_the_store_and_null_is_none() {
    let server = Server::start().await;
    let all = json!({
        "length": 5, "concurrency": 7, "rate": {"jobs": 600, "per_s": 60, "burst": 5},
        "weights": {"default": 3, "night.shift": 100},
    });
    let shown: Value = limit(&server, all.clone()).await.json().await.unwrap();
    assert_eq!(shown["limits"], all);
    let stored = server.store.stats().await.limits;
    let rate = Rate {
        jobs: 600,
        per_ms: 60_000,
        burst: 5,
    };
    assert_eq!((stored.concurrency, stored.rate), (Some(7), Some(rate)));
    let weights: Vec<_> = stored.weights.values().map(|weight| weight.get()).collect();
    assert_eq!(weights, [3, 100]);

    let none = json!({"concurrency": null, "rate": null});
    let shown: Value = limit(&server, none.clone()).await.json().await.unwrap();
    assert_eq!(
        shown["limits"],
        json!({"length": null, "concurrency": null, "rate": null, "weights": {}})
    );
    assert_eq!(server.store.stats().await.limits, QueueLimits::default());
    let unknown = server
        .put_json("/v1/queues/new/limits", &json!({"concurrency": 1}))
        .await;
    let unknown: QueueView = unknown.json().await.unwrap();
    assert_eq!(
        (unknown.queue.as_str(), unknown.limits.concurrency),
        ("new", Some(1))
    );
}

#[tokio::test]
async fn a_limit_beyond_its_bounds_is_refused_with_its_place() {
    let server = Server::start().await;
    let many: serde_json::Map<_, _> = (0..1_001).map(|n| (format!("t{n}"), json!(1))).collect();
    for (body, place, said) in [
        (
            json!({"length": 0}),
            "/length",
            "expected 1 to 10000000, got 0",
        ),
        (
            json!({"concurrency": 0}),
            "/concurrency",
            "expected 1 to 4294967295, got 0",
        ),
        (
            json!({"concurrency": -1}),
            "/concurrency",
            "expected an integer from 0 to 4294967295, got integer `-1`",
        ),
        (
            json!({"rate": {"jobs": 0, "per_s": 1}}),
            "/rate/jobs",
            "expected 1 to 1000000, got 0",
        ),
        (
            json!({"rate": {"jobs": 1, "per_s": 0}}),
            "/rate/per_s",
            "expected 1 to 2592000, got 0",
        ),
        (
            json!({"rate": {"jobs": 3, "per_s": 1, "burst": 4}}),
            "/rate/burst",
            "expected 1 to 3, got 4",
        ),
        (
            json!({"rate": {"jobs": 1}}),
            "/rate",
            "missing field `per_s`",
        ),
        (
            json!({"weights": {"a": 101}}),
            "/weights/a",
            "weight must be 1 to 100",
        ),
        (
            json!({"weights": {"A/B": 1}}),
            "/weights/A~1B",
            "tenant must be",
        ),
        (
            json!({"weights": many}),
            "/weights",
            "expected at most 1000, got 1001",
        ),
        (json!({"concurency": 1}), "/concurency", "unknown field"),
        (json!([]), "", "expected an object"),
    ] {
        let response = limit(&server, body.clone()).await;
        assert_eq!(response.status(), 422, "{body}");
        let problem = problem(response).await;
        let errors = errors(&problem);
        assert_eq!((errors.len(), errors[0].0), (1, place), "{errors:?}");
        assert!(errors[0].1.starts_with(said), "{errors:?}");
    }
    let two = json!({"concurrency": 0, "rate": {"jobs": 2_000_000, "per_s": 1}});
    assert_eq!(errors(&problem(limit(&server, two).await).await).len(), 2);
    let name = server.put_json("/v1/queues/A%20B/limits", &json!({})).await;
    assert_eq!(name.status(), 422);
    assert_eq!(server.store.stats().await.limits, QueueLimits::default());
}

#[tokio::test]
async fn the_client_pauses_resumes_and_passes_refusals_on() {
    let server = Server::start().await;
    server.enqueue().await;
    assert!(server.client.pause("default").await.unwrap().paused);
    assert!(!server.client.resume("default").await.unwrap().paused);
    let error = server.client.pause("not a queue").await.unwrap_err();
    assert!(error.to_string().contains("queue must be"), "{error}");
}
