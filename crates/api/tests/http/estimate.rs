//! POST /v1/jobs?dry_run=true: checked as a job, answered with an estimate, not enqueued.

use lovage_client::wire::EnqueueRequest;
use serde_json::{Value, json};

use crate::support::{Server, body, errors, problem};

const DRY: &str = "/v1/jobs?dry_run=true";

async fn jobs(server: &Server) -> usize {
    let list: Value = server.get("/v1/jobs").await.json().await.unwrap();
    list["jobs"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_dry_run_tells_what_a_job_will_use_and_enqueues_nothing() {
    let server = Server::start().await;
    let request = json!({"kind": "script.generate", "input": {"topic": "tides"}});
    let response = server.post_json(DRY, &request).await;
    assert_eq!(response.status(), 200);
    let estimate: Value = response.json().await.unwrap();
    let step = |step: &str, prompt: u64, usd: f64| json!({"step": step, "calls": 1, "prompt_tokens": prompt, "completion_tokens": 5, "cost_usd": usd});
    let expected = json!({
        "kind": "script.generate", "calls": 2, "prompt_tokens": 105, "completion_tokens": 10,
        "cost_usd": 0.75, "by_step": [step("plan", 5, 0.25), step("write", 100, 0.5)],
        "notes": ["a guess"],
    });
    assert_eq!(estimate, expected);
    assert_eq!(jobs(&server).await, 0);

    let request = EnqueueRequest::new("script.generate", &json!({"topic": "tides"})).unwrap();
    let same = server.client.estimate(&request).await.unwrap();
    assert_eq!(serde_json::to_value(same).unwrap(), expected);
}

#[tokio::test]
async fn a_kind_without_an_estimate_says_so_and_knows_nothing() {
    let server = Server::start().await;
    let request = json!({"kind": "test.odd", "input": {}});
    let response = server.post_json(DRY, &request).await;
    assert_eq!(response.status(), 200);
    let estimate: Value = response.json().await.unwrap();
    assert_eq!(
        (&estimate["calls"], &estimate["cost_usd"]),
        (&Value::Null, &Value::Null)
    );
    let note = estimate["notes"][0].as_str().unwrap();
    assert_eq!(note, "the job is valid; kind test.odd gives no estimate");
}

#[tokio::test]
async fn what_would_not_be_accepted_is_refused_dry_as_well() {
    let server = Server::start().await;
    let wrong = json!({"kind": "script.generate", "input": {"topic": ""}, "priority": 11});
    let refused = problem(server.post_json(DRY, &wrong).await).await;
    assert_eq!(refused.status, 422);
    let places: Vec<_> = errors(&refused)
        .into_iter()
        .map(|(place, _)| place)
        .collect();
    assert_eq!(places, ["/input/topic", "/priority"]);
}

#[tokio::test]
async fn dry_run_is_true_or_false_and_nothing_else() {
    let server = Server::start().await;
    let table = [("dry_run=1", "dry_run"), ("dryrun=true", "dryrun")];
    for (query, parameter) in table {
        let path = format!("/v1/jobs?{query}");
        let refused = problem(server.post_json(&path, &body()).await).await;
        assert_eq!(refused.status, 422);
        assert_eq!(errors(&refused)[0].0, parameter, "{query}");
    }
    let response = server.post_json("/v1/jobs?dry_run=false", &body()).await;
    assert_eq!(response.status(), 202);
    assert_eq!(jobs(&server).await, 1);
}
