//! GET /v1/jobs/{id}/result: too early, in time, too late, and in which format.

use std::time::Duration;

use lovage_client::JobResult;
use lovage_client::wire::JobState;
use lovage_core::attempt::JobError;
use lovage_core::limits;
use lovage_core::outcome::Outcome;
use lovage_core::payload::Payload;
use reqwest::Method;
use tokio::time::timeout;

use crate::support::{SOON, Server, errors, header, problem};

fn done(text: &str) -> Outcome {
    Outcome::Done(Payload::parse(text).unwrap())
}

#[tokio::test]
async fn a_result_asked_too_early_is_the_job_and_when_to_ask_again() {
    let server = Server::start().await;
    let job = server.enqueue().await;
    let response = server.get(&job.links.result).await;
    assert_eq!(response.status(), 202);
    assert_eq!(header(&response, "retry-after"), "2");
    let early = server.client.result(job.id, "json").await.unwrap();
    assert_eq!(early, JobResult::NotReady(Box::new(job)));
}

#[tokio::test]
async fn a_result_is_given_as_the_handler_gave_it_or_rendered() {
    let server = Server::start().await;
    let claimed = server.running().await;
    server
        .store
        .settle(&claimed, done("{ \"title\": \"Tides\", \"n\": 1.50 }"))
        .await;
    let path = format!("/v1/jobs/{}/result", claimed.job.id);
    for query in ["", "?format=json"] {
        let response = server.get(&format!("{path}{query}")).await;
        assert_eq!(response.status(), 200);
        assert_eq!(header(&response, "content-type"), "application/json");
        assert_eq!(header(&response, "x-job-state"), "succeeded");
        assert_eq!(
            response.text().await.unwrap(),
            "{ \"title\": \"Tides\", \"n\": 1.50 }"
        );
    }
    let markdown = server
        .client
        .result(claimed.job.id.uuid(), "markdown")
        .await
        .unwrap();
    let expected = JobResult::Ready {
        content_type: "text/markdown; charset=utf-8".to_owned(),
        body: "# Tides\n".into(),
    };
    assert_eq!(markdown, expected);
}

#[tokio::test]
async fn every_format_comes_in_one_object_with_json_as_json() {
    let server = Server::start().await;
    let claimed = server.running().await;
    let result = "{ \"title\": \"Tides\", \"n\": 1.50 }";
    server.store.settle(&claimed, done(result)).await;
    for (options, mark) in [("", ""), ("&loud=yes", "!"), ("&loud=no", "")] {
        let path = format!("/v1/jobs/{}/result?format=all{options}", claimed.job.id);
        let response = server.get(&path).await;
        assert_eq!(header(&response, "content-type"), "application/json");
        assert_eq!(header(&response, "x-job-state"), "succeeded");
        let expected = format!(
            r##"{{"json":{result},"markdown":"# Tides{mark}\n","letters":{{"letters": 5.0}}}}"##
        );
        assert_eq!(response.text().await.unwrap(), expected);
    }
}

#[tokio::test]
async fn what_a_format_does_not_take_is_refused_even_before_the_end() {
    let server = Server::start().await;
    let job = server.enqueue().await;
    let nowhere =
        "expected a parameter of this path, see /openapi.json; there is none of this name";
    for (query, code, parameter, said) in [
        (
            "format=pdf",
            "unknown_format",
            "format",
            "there is no format \"pdf\" of this result; there is json, markdown, letters, all",
        ),
        (
            "format=letters&loud=yes",
            "invalid_request",
            "loud",
            "expected with format markdown or all only, got it with format letters",
        ),
        (
            "loud=yes",
            "invalid_request",
            "loud",
            "expected with format markdown or all only, got it with format json",
        ),
        (
            "format=markdown&loud=very",
            "invalid_request",
            "loud",
            "expected one of no, yes, got \"very\"",
        ),
        (
            "format=markdown&loud=no&loud=no",
            "invalid_request",
            "loud",
            "expected once, got 2 times",
        ),
        ("format=markdown&for=d3", "invalid_request", "for", nowhere),
    ] {
        let path = format!("{}?{query}&wait=60", job.links.result);
        let response = server.get(&path).await;
        assert_eq!(response.status(), 422, "{query}");
        let problem = problem(response).await;
        assert_eq!(problem.code, code, "{query}");
        assert_eq!(errors(&problem), [(parameter, said)], "{query}");
    }
}

#[tokio::test]
async fn a_job_without_result_says_so_with_200() {
    let server = Server::start().await;
    let claimed = server.running().await;
    let error = JobError::permanent("llm_auth", "the key was refused");
    server.store.settle(&claimed, Outcome::GiveUp(error)).await;
    let path = format!("/v1/jobs/{}/result?format=markdown", claimed.job.id);
    let response = server.get(&path).await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "x-job-state"), "failed");
    let result = server
        .client
        .result(claimed.job.id.uuid(), "json")
        .await
        .unwrap();
    let JobResult::None(failed) = result else {
        panic!("{result:?}");
    };
    assert_eq!(
        (failed.state, failed.error.unwrap().code.as_str()),
        (JobState::Failed, "llm_auth")
    );

    let job = server.enqueue().await;
    server.client.cancel(job.id).await.unwrap();
    let result = server.client.result(job.id, "json").await.unwrap();
    assert!(matches!(result, JobResult::None(none) if none.state == JobState::Cancelled));
}

#[tokio::test]
async fn a_result_asked_too_late_is_gone_and_says_since_when() {
    let server = Server::start().await;
    let claimed = server.running().await;
    server.store.settle(&claimed, done("{}")).await;
    let until = server.store.get(claimed.job.id).await.keep_until.unwrap();
    server.store.advance(limits::KEEP);
    let path = format!("/v1/jobs/{}/result", claimed.job.id);
    let response = server.get(&path).await;
    assert_eq!(response.status(), 410);
    let problem = problem(response).await;
    assert_eq!(problem.code, "result_expired");
    assert_eq!(problem.expired_at, Some(format!("{until:.3}")));
    server
        .store
        .advance(limits::TOMBSTONE + Duration::from_secs(1));
    assert_eq!(server.get(&path).await.status(), 404);
}

#[tokio::test]
async fn a_result_is_waited_for() {
    let server = Server::start().await;
    let claimed = server.running().await;
    let path = format!("/v1/jobs/{}/result", claimed.job.id);
    let asked = server
        .call(Method::GET, &path)
        .header("prefer", "wait=30")
        .send();
    let settled = server.store.settle(&claimed, done("[1]"));
    let both = async { tokio::join!(asked, settled) };
    let response = timeout(SOON, both).await.unwrap().0.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "preference-applied"), "wait=30");
    assert_eq!(response.text().await.unwrap(), "[1]");
}

#[tokio::test]
async fn a_result_that_cannot_be_rendered_is_our_failure_and_leaks_nothing() {
    let server = Server::start().await;
    let claimed = server.running().await;
    server.store.settle(&claimed, done("{}")).await;
    for format in ["markdown", "all"] {
        let path = format!("/v1/jobs/{}/result?format={format}", claimed.job.id);
        let response = server.get(&path).await;
        assert_eq!(response.status(), 500);
        let problem = problem(response).await;
        assert_eq!(problem.code, "render_failed");
        assert!(!problem.to_string().contains("secret"));
    }
}
