//! POST /v1/batches: one answer per job, or all or nothing.

use lovage_client::ClientError;
use lovage_client::wire::{BatchReply, BatchRequest};
use serde_json::{Value, json};

use crate::support::{Server, body, errors, job_id, problem, request};

fn mixed() -> Value {
    let mut misspelt = body();
    misspelt["qeueu"] = json!("x");
    let unknown = json!({"kind": "nope", "input": {}});
    json!([body(), misspelt, unknown, body(), 7])
}

#[tokio::test]
async fn each_job_of_a_batch_is_accepted_or_refused_alone() {
    let server = Server::start().await;
    let response = server
        .post_json("/v1/batches", &json!({"jobs": mixed()}))
        .await;
    assert_eq!(response.status(), 200);
    let reply: BatchReply = response.json().await.unwrap();
    assert_eq!((reply.accepted, reply.refused), (2, 3));
    let statuses: Vec<_> = reply.items.iter().map(|item| item.status).collect();
    assert_eq!(statuses, [202, 422, 422, 202, 422]);
    let misspelt = reply.items[1].problem.as_ref().unwrap();
    assert_eq!(errors(misspelt)[0].0, "/qeueu");
    assert_eq!(
        reply.items[2].problem.as_ref().unwrap().code,
        "unknown_kind"
    );
    for item in [&reply.items[0], &reply.items[3]] {
        server.store.get(job_id(item.id.unwrap())).await;
    }
    assert_eq!(server.job_count().await, 2);
}

#[tokio::test]
async fn an_atomic_batch_with_a_wrong_job_enqueues_nothing_and_says_which() {
    let server = Server::start().await;
    let batch = json!({"jobs": mixed(), "atomic": true});
    let response = server.post_json("/v1/batches", &batch).await;
    assert_eq!(response.status(), 422);
    let problem = problem(response).await;
    assert_eq!(problem.code, "batch_refused");
    let places: Vec<_> = errors(&problem).iter().map(|error| error.0).collect();
    assert_eq!(places, ["/jobs/1/qeueu", "/jobs/2/kind", "/jobs/4"]);
    assert_eq!(server.job_count().await, 0);
}

#[tokio::test]
async fn an_atomic_batch_with_a_conflict_in_the_store_enqueues_nothing() {
    let server = Server::start().await;
    let mut unique = body();
    unique["unique"] = json!({"key": "k", "on_conflict": "return"});
    let batch = json!({"jobs": [body(), unique, unique], "atomic": true});
    let response = server.post_json("/v1/batches", &batch).await;
    assert_eq!(response.status(), 422);
    assert_eq!(errors(&problem(response).await)[0].0, "/jobs/2/unique/key");
    assert_eq!(server.job_count().await, 0);

    let batch = json!({"jobs": [body(), unique, unique]});
    let reply: BatchReply = server
        .post_json("/v1/batches", &batch)
        .await
        .json()
        .await
        .unwrap();
    let statuses: Vec<_> = reply.items.iter().map(|item| item.status).collect();
    assert_eq!((statuses, reply.refused), (vec![202, 202, 200], 0));
    assert_eq!(reply.items[1].id, reply.items[2].id);
}

#[tokio::test]
async fn a_batch_sent_again_with_its_key_enqueues_nothing_more() {
    let server = Server::start().await;
    let batch = BatchRequest {
        jobs: vec![request(), request()],
        atomic: true,
    };
    let first = server.client.batch(&batch, Some("b")).await.unwrap();
    let again = server.client.batch(&batch, Some("b")).await.unwrap();
    let ids = |reply: &BatchReply| reply.items.iter().map(|item| item.id).collect::<Vec<_>>();
    assert_eq!(ids(&first), ids(&again));
    assert!(again.items.iter().all(|item| item.replayed));
    assert!(!first.items.iter().any(|item| item.replayed));
    assert_eq!(server.job_count().await, 2);
}

#[tokio::test]
async fn a_batch_that_is_empty_too_long_or_none_is_refused() {
    let server = Server::start().await;
    let tiny = json!({"kind": "x", "input": 0});
    for (batch, place) in [
        (json!({"jobs": []}), "/jobs"),
        (json!({"jobs": vec![tiny; 1001]}), "/jobs"),
        (json!({"jobs": 7}), "/jobs"),
        (json!({"jobs": [], "atomc": true}), "/atomc"),
    ] {
        let response = server.post_json("/v1/batches", &batch).await;
        assert_eq!(response.status(), 422);
        assert_eq!(errors(&problem(response).await)[0].0, place);
    }
    let empty = BatchRequest {
        jobs: Vec::new(),
        atomic: false,
    };
    let refused = server.client.batch(&empty, None).await;
    assert!(matches!(refused, Err(ClientError::Problem(_))));
}
