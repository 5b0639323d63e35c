//! POST /v1/jobs/{id}/signals.

use std::time::Duration;

use lovage_client::wire::{JobState, JobView, SignalRequest};
use lovage_core::checkpoint::signal_step;
use lovage_core::limits;
use lovage_core::outcome::Outcome;
use lovage_core::status::WaitReason;
use serde_json::{Value, json};

use crate::support::{Server, errors, header, job_id, problem};

fn approval(data: Value) -> SignalRequest {
    SignalRequest {
        name: "approval".to_owned(),
        data: serde_json::value::to_raw_value(&data).unwrap(),
    }
}

#[tokio::test]
async fn a_job_that_waits_shows_for_what_and_goes_on_when_it_is_there() {
    let server = Server::start().await;
    let claimed = server.running().await;
    let park = Outcome::Park {
        reason: WaitReason::Signal("approval".to_owned()),
        after: Duration::from_secs(60),
    };
    server.store.settle(&claimed, park).await;
    let id = claimed.job.id.uuid();
    let waits = server.client.job(id).await.unwrap();
    let why = waits.waiting.unwrap();
    assert_eq!(
        (why.reason.as_str(), why.signal.as_deref()),
        ("signal", Some("approval"))
    );
    assert!(why.until.is_some());

    let path = waits.links.signals.unwrap();
    let body = json!({"name": "approval", "data": {"by": "한빛", "ok": true}});
    let response = server.post_json(&path, &body).await;
    assert_eq!(response.status(), 202);
    assert_eq!(header(&response, "location"), waits.links.this);
    let job: JobView = response.json().await.unwrap();
    assert_eq!(job.state, JobState::Queued);
    let stored = server
        .store
        .broker
        .checkpoints(&claimed.job.id)
        .await
        .unwrap();
    assert_eq!(stored[0].step, signal_step("approval"));
    assert_eq!(stored[0].value.as_str(), body["data"].to_string());
}

#[tokio::test]
async fn the_first_value_of_a_name_stays() {
    let server = Server::start().await;
    let job = server.enqueue().await;
    let yes = approval(json!("yes"));
    server.client.signal(job.id, &yes).await.unwrap();
    let again = server.client.signal(job.id, &yes).await.unwrap();
    assert_eq!(again.state, JobState::Queued);
    let path = job.links.signals.unwrap();
    let response = server.post_json(&path, &json!({"name": "approval"})).await;
    assert_eq!(response.status(), 409);
    let taken = problem(response).await;
    assert_eq!(taken.code, "signal_taken");
    assert_eq!(errors(&taken)[0].0, "/name");
    server
        .client
        .signal(
            job.id,
            &SignalRequest {
                name: "other".to_owned(),
                ..yes
            },
        )
        .await
        .unwrap();
}

#[tokio::test]
async fn a_job_that_is_over_takes_no_signal() {
    let server = Server::start().await;
    let job = server.enqueue().await;
    let over = server.client.cancel(job.id).await.unwrap();
    assert_eq!(over.links.signals, None);
    let path = job.links.signals.unwrap();
    let response = server.post_json(&path, &json!({"name": "approval"})).await;
    assert_eq!(response.status(), 409);
    let problem = problem(response).await;
    assert_eq!(problem.code, "already_finished");
    assert_eq!(problem.state, Some(JobState::Cancelled));
}

#[tokio::test]
async fn what_is_no_signal_is_refused() {
    let server = Server::start().await;
    let job = server.enqueue().await;
    let path = job.links.signals.unwrap();
    for (body, place) in [
        (json!({"data": 1}), ""),
        (json!({"name": ""}), "/name"),
        (json!({"name": "a\nb"}), "/name"),
        (json!({"name": "x".repeat(201)}), "/name"),
        (json!({"name": 7}), "/name"),
        (json!({"name": "a", "value": 1}), "/value"),
    ] {
        let response = server.post_json(&path, &body).await;
        assert_eq!(response.status(), 422, "{body}");
        assert_eq!(errors(&problem(response).await)[0].0, place);
    }
    let unknown = format!("/v1/jobs/{}/signals", uuid::Uuid::nil());
    let response = server.post_json(&unknown, &json!({"name": "a"})).await;
    assert_eq!(response.status(), 404);
    assert_eq!(server.post(&path).await.status(), 415);
    let stored = server
        .store
        .broker
        .checkpoints(&job_id(job.id))
        .await
        .unwrap();
    assert!(stored.is_empty());
}

#[tokio::test]
async fn a_value_is_taken_up_to_its_bound() {
    let server = Server::start().await;
    let job = server.enqueue().await;
    let path = job.links.signals.unwrap();
    let text = |bytes: usize| json!({"name": "approval", "data": "x".repeat(bytes - 2)});
    let response = server
        .post_json(&path, &text(limits::SIGNAL_BYTES_MAX + 1))
        .await;
    assert_eq!(response.status(), 413);
    let problem = problem(response).await;
    assert_eq!(problem.code, "value_too_large");
    assert_eq!(errors(&problem)[0].0, "/data");
    let response = server
        .post_json(&path, &text(limits::SIGNAL_BYTES_MAX))
        .await;
    assert_eq!(response.status(), 202);
}
