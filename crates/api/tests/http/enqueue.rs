//! POST /v1/jobs: what is accepted, what is refused, and that nothing is lost.

use std::time::Duration;

use lovage_client::wire::{JobState, OnConflict, UniqueRequest};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Server, body, errors, header, job_id, problem, request};

#[tokio::test]
async fn an_accepted_job_is_answered_with_its_place_and_itself() {
    let server = Server::start().await;
    let response = server.post_json("/v1/jobs", &body()).await;
    assert_eq!(response.status(), 202);
    assert_eq!(header(&response, "retry-after"), "2");
    let location = header(&response, "location");
    let job: Value = response.json().await.unwrap();
    assert_eq!(
        location,
        format!("/v1/jobs/{}", job["id"].as_str().unwrap())
    );
    assert_eq!(job["links"]["self"], location.as_str());
    assert_eq!(job["state"], "queued");
    assert_eq!(
        job["waiting"],
        json!({"reason": "queued", "signal": null, "limit": null, "until": null})
    );
    assert_eq!(
        (&job["attempt"], &job["attempts_max"]),
        (&json!(0), &json!(4))
    );
    let polled: Value = server.get(&location).await.json().await.unwrap();
    assert_eq!(polled, job);
}

#[tokio::test]
async fn every_field_of_a_request_is_honoured() {
    let server = Server::start().await;
    let id = uuid::Uuid::from_u128(7);
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let request = json!({
        "kind": "script.generate", "input": { "topic": "한빛" }, "queue": "slow", "priority": 9, "delay_s": 60,
        "expires_at": "2999-01-01T00:00:00Z", "attempts_max": 7, "timeout_s": 90, "session": "thread-1",
        "tags": ["a", "b"], "unique": {"key": "k", "for_s": 5}, "id": id,
    });
    let call = server.call(Method::POST, "/v1/jobs").json(&request);
    let response = call.header("traceparent", trace).send().await.unwrap();
    assert_eq!(response.status(), 202);
    let view: Value = response.json().await.unwrap();
    assert_eq!(view["state"], "scheduled");
    assert_eq!(view["waiting"]["reason"], "scheduled");
    assert_eq!(view["waiting"]["until"], view["run_at"]);
    let job = server.store.get(job_id(id)).await;
    assert_eq!((job.queue.as_str(), job.priority.get()), ("slow", 9));
    assert_eq!(job.input.as_str(), r#"{"topic":"한빛"}"#);
    let due = lovage_core::clock::after(server.store.now(), Duration::from_secs(60));
    assert_eq!(job.run_at, Some(due));
    assert_eq!(job.expires_at.unwrap().to_string(), "2999-01-01T00:00:00Z");
    assert_eq!(
        (job.attempts_max, job.timeout),
        (7, Some(Duration::from_secs(90)))
    );
    assert_eq!(
        (job.session.as_deref(), &job.tags[..]),
        (Some("thread-1"), &["a".to_owned(), "b".to_owned()][..])
    );
    let unique = job.unique.clone().unwrap();
    assert_eq!(
        (unique.key.as_str(), unique.window),
        ("k", Some(Duration::from_secs(5)))
    );
    assert_eq!(job.traceparent.as_deref(), Some(trace));
}

#[tokio::test]
async fn the_same_key_and_body_give_the_first_answer_again() {
    let server = Server::start().await;
    let send = async |body: &str| {
        let call = server.call(Method::POST, "/v1/jobs").body(body.to_owned());
        let call = call.header("content-type", "application/json");
        call.header("idempotency-key", "tides-1")
            .send()
            .await
            .unwrap()
    };
    let first = send(r#"{"kind":"script.generate","input":{"topic":"tides"},"priority":7}"#).await;
    assert_eq!(first.status(), 202);
    assert!(first.headers().get("idempotency-replayed").is_none());
    let first = first.text().await.unwrap();

    // Something becomes of the job, and time passes, in between.
    let worker = server.store.worker().await;
    server.store.claim_one(worker).await;
    server.store.advance(Duration::from_secs(3));
    let again =
        send(r#"{"priority": 7, "input": {"topic": "tides"}, "kind": "script.generate"}"#).await;
    assert_eq!(again.status(), 202);
    assert_eq!(header(&again, "idempotency-replayed"), "true");
    assert_eq!(again.text().await.unwrap(), first);

    let other = send(r#"{"kind":"script.generate","input":{"topic":"moons"}}"#).await;
    assert_eq!(other.status(), 422);
    let problem = problem(other).await;
    assert_eq!(problem.code, "idempotency_key_reused");
    assert!(problem.existing_job_id.is_some());
    assert_eq!(server.job_count().await, 1);
}

#[tokio::test]
async fn an_idempotency_key_that_is_none_is_refused() {
    let server = Server::start().await;
    for key in ["", &"k".repeat(201)] {
        let call = server.call(Method::POST, "/v1/jobs").json(&body());
        let response = call.header("idempotency-key", key).send().await.unwrap();
        assert_eq!(response.status(), 422);
        assert_eq!(errors(&problem(response).await)[0].0, "Idempotency-Key");
    }
    assert_eq!(server.job_count().await, 0);
}

#[tokio::test]
async fn a_held_unique_key_is_a_conflict_or_the_job_that_holds_it() {
    let server = Server::start().await;
    let mut request = request();
    let unique = |on_conflict| UniqueRequest {
        key: "daily".to_owned(),
        for_s: None,
        on_conflict,
    };
    request.unique = Some(unique(OnConflict::Reject));
    let holder = server.client.enqueue(&request, None).await.unwrap();

    let body = serde_json::to_value(&request).unwrap();
    let response = server.post_json("/v1/jobs", &body).await;
    assert_eq!(response.status(), 409);
    let problem = problem(response).await;
    assert_eq!(problem.code, "unique_conflict");
    assert_eq!(problem.existing_job_id, Some(holder.id));

    request.unique = Some(unique(OnConflict::Return));
    let body = serde_json::to_value(&request).unwrap();
    let response = server.post_json("/v1/jobs", &body).await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "location"), holder.links.this);
    let found: Value = response.json().await.unwrap();
    assert_eq!(found["id"], holder.id.to_string());
    assert_eq!(server.job_count().await, 1);
}

#[tokio::test]
async fn an_id_that_is_taken_is_a_conflict() {
    let server = Server::start().await;
    let mut request = request();
    request.id = Some(uuid::Uuid::from_u128(1));
    server.client.enqueue(&request, None).await.unwrap();
    let mut body = serde_json::to_value(&request).unwrap();
    body["input"]["topic"] = json!("something else");
    let response = server.post_json("/v1/jobs", &body).await;
    assert_eq!(response.status(), 409);
    let problem = problem(response).await;
    assert_eq!(
        (problem.code.as_str(), problem.existing_job_id),
        ("id_taken", request.id)
    );
}

#[tokio::test]
async fn each_wrong_field_is_named_and_nothing_is_enqueued() {
    let server = Server::start().await;
    let long = "x".repeat(201);
    let cases = [
        (
            "queue",
            json!("Not A Queue"),
            "/queue",
            "queue must be 1 to 64",
        ),
        (
            "queue",
            json!(7),
            "/queue",
            "expected a string, got integer `7`",
        ),
        (
            "priority",
            json!(10),
            "/priority",
            "priority must be 0 to 9",
        ),
        (
            "priority",
            json!("high"),
            "/priority",
            "expected an integer from 0 to 255, got string",
        ),
        (
            "run_at",
            json!("tomorrow"),
            "/run_at",
            "expected a time such as",
        ),
        (
            "expires_at",
            json!("2026-13-01T00:00:00Z"),
            "/expires_at",
            "expected a time",
        ),
        (
            "delay_s",
            json!(-1),
            "/delay_s",
            "expected an integer from 0 up, got integer `-1`",
        ),
        (
            "attempts_max",
            json!(0),
            "/attempts_max",
            "expected 1 to 1000, got 0",
        ),
        (
            "attempts_max",
            json!(1001),
            "/attempts_max",
            "expected 1 to 1000, got 1001",
        ),
        ("timeout_s", json!(0), "/timeout_s", "expected 1 to 604800"),
        (
            "unique",
            json!({"key": ""}),
            "/unique/key",
            "expected 1 to 200 bytes",
        ),
        (
            "unique",
            json!({"key": "k", "for_s": 0}),
            "/unique/for_s",
            "expected 1 to",
        ),
        (
            "unique",
            json!({"key": "k", "on": 1}),
            "/unique/on",
            "unknown field `on`",
        ),
        (
            "session",
            json!(long),
            "/session",
            "expected 1 to 200 bytes",
        ),
        (
            "tags",
            json!(["ok", "a\nb"]),
            "/tags/1",
            "expected 1 to 200 bytes",
        ),
        (
            "tags",
            json!(vec!["t"; 17]),
            "/tags",
            "expected at most 16, got 17",
        ),
        ("id", json!("no-uuid"), "/id", "UUID parsing failed"),
        (
            "webhook",
            json!("https://example.org"),
            "/webhook",
            "unknown field `webhook`",
        ),
        ("qeueu", json!("default"), "/qeueu", "unknown field `qeueu`"),
        (
            "input",
            json!(["tides"]),
            "/input/topic",
            "expected 1 to 500 characters",
        ),
        (
            "input",
            json!({"topic": ""}),
            "/input/topic",
            "expected 1 to 500 characters, got 0",
        ),
        (
            "input",
            json!({"topic": "x".repeat(501)}),
            "/input/topic",
            "expected 1 to 500 characters, got 501",
        ),
        (
            "input",
            json!({"topic": "a\u{7}b"}),
            "/input/topic",
            "expected 1 to 500",
        ),
    ];
    for (field, value, pointer, said) in cases {
        let mut body = body();
        body[field] = value.clone();
        let response = server.post_json("/v1/jobs", &body).await;
        assert_eq!(response.status(), 422, "{field}: {value}");
        let problem = problem(response).await;
        assert_eq!(problem.code, "invalid_request");
        let errors = errors(&problem);
        assert_eq!(errors[0].0, pointer, "{errors:?}");
        assert!(errors[0].1.starts_with(said), "{errors:?}");
    }
    assert_eq!(server.job_count().await, 0);
}

#[tokio::test]
async fn everything_wrong_with_a_request_is_said_at_once() {
    let server = Server::start().await;
    let request = json!({
        "kind": "script.generate", "input": {"topic": ""}, "priority": 99,
        "run_at": "2030-01-01T00:00:00Z", "delay_s": 1, "expires_at": "2029-01-01T00:00:00Z",
    });
    let problem = problem(server.post_json("/v1/jobs", &request).await).await;
    let places: Vec<_> = errors(&problem).iter().map(|error| error.0).collect();
    assert_eq!(
        places,
        ["/input/topic", "/priority", "/delay_s", "/expires_at"]
    );
}

#[tokio::test]
async fn an_unknown_kind_is_refused_with_the_known_ones() {
    let server = Server::start().await;
    let response = server
        .post_json("/v1/jobs", &json!({"kind": "script.genrate", "input": {}}))
        .await;
    assert_eq!(response.status(), 422);
    let problem = problem(response).await;
    assert_eq!(problem.code, "unknown_kind");
    assert_eq!(
        errors(&problem),
        [(
            "/kind",
            "unknown kind \"script.genrate\"; known kinds are script.generate, test.odd, test.panics"
        )]
    );
}

#[tokio::test]
async fn a_body_that_is_no_json_is_refused_with_line_and_column() {
    let server = Server::start().await;
    let response = server
        .post_text("{\"kind\": \"script.generate\",\n  \"input\": }")
        .await;
    assert_eq!(response.status(), 400);
    let refused = problem(response).await;
    assert_eq!(refused.code, "malformed_json");
    assert!(
        refused.detail.starts_with("line 2 column 12: "),
        "{}",
        refused.detail
    );

    let response = server.post_text("").await;
    assert_eq!(
        (
            response.status().as_u16(),
            problem(response).await.code.as_str()
        ),
        (400, "malformed_json")
    );
}

#[tokio::test]
async fn a_topic_that_is_no_text_is_refused_with_its_place() {
    let server = Server::start().await;
    let bytes = b"{\"kind\":\"script.generate\",\"input\":{\"topic\":\"\xff\xfe\"}}";
    let response = server.post_text(bytes.to_vec()).await;
    assert_eq!(response.status(), 400);
    let not_utf8 = problem(response).await;
    assert_eq!(not_utf8.code, "not_utf8");
    assert_eq!(not_utf8.detail, "the body is not UTF-8 from byte 44 on");

    let half = r#"{"kind":"script.generate","input":{"topic":"\ud800"}}"#;
    let response = server.post_text(half).await;
    assert_eq!(response.status(), 422);
    assert_eq!(errors(&problem(response).await)[0].0, "/input");

    let deep = format!(
        r#"{{"kind":"script.generate","input":{}{}}}"#,
        "[".repeat(500),
        "]".repeat(500)
    );
    let response = server.post_text(deep).await;
    assert_eq!(response.status(), 422);
    assert_eq!(errors(&problem(response).await)[0].0, "/input");
    assert_eq!(server.job_count().await, 0);
}

#[tokio::test]
async fn a_body_not_sent_as_json_is_refused() {
    let server = Server::start().await;
    for sent in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
    ] {
        let mut call = server
            .call(Method::POST, "/v1/jobs")
            .body(body().to_string());
        if let Some(sent) = sent {
            call = call.header("content-type", sent);
        }
        let response = call.send().await.unwrap();
        assert_eq!(response.status(), 415);
        assert_eq!(problem(response).await.code, "unsupported_media_type");
    }
    let call = server
        .call(Method::POST, "/v1/jobs")
        .body(body().to_string());
    let call = call.header("content-type", "Application/JSON; charset=utf-8");
    assert_eq!(call.send().await.unwrap().status(), 202);
}

#[tokio::test]
async fn a_body_or_input_over_the_limit_is_refused() {
    let server = Server::start().await;
    let of = |bytes: usize| {
        let topic = "x".repeat(bytes);
        format!(r#"{{"kind":"script.generate","input":{{"topic":"{topic}"}}}}"#)
    };
    let response = server.post_text(of(2 << 20)).await;
    assert_eq!(response.status(), 413);
    let too_large = problem(response).await;
    assert_eq!(too_large.code, "body_too_large");
    assert_eq!(too_large.detail, "the body is larger than 2097152 bytes");

    let response = server.post_text(of(1 << 20)).await;
    assert_eq!(response.status(), 413);
    let too_large = problem(response).await;
    assert_eq!(too_large.code, "value_too_large");
    assert_eq!(errors(&too_large)[0].0, "/input");
    assert_eq!(server.job_count().await, 0);
}

#[tokio::test]
async fn the_client_enqueues_with_a_key_and_reads_the_refusal() {
    let server = Server::start().await;
    let first = server.client.enqueue(&request(), Some("k")).await.unwrap();
    let again = server.client.enqueue(&request(), Some("k")).await.unwrap();
    assert_eq!((first.id, first.state), (again.id, JobState::Queued));
    let mut wrong = request();
    wrong.priority = Some(10);
    let error = server.client.enqueue(&wrong, None).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the request is not valid (invalid_request); /priority: priority must be 0 to 9, got \"10\""
    );
    assert!(!error.is_transient());
}
