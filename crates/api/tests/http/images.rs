//! GET /v1/jobs/{id}/images/{image}: what a step kept, for a browser to show and nothing else.

use std::time::Duration;

use lovage_core::checkpoint::Checkpoint;
use lovage_core::limits;
use lovage_core::outcome::Outcome;
use lovage_core::payload::Payload;
use reqwest::Method;

use crate::support::{Server, header, problem};

#[tokio::test]
async fn an_image_is_served_as_an_image_while_the_job_is_kept() {
    let server = Server::start().await;
    let claimed = server.running().await;
    let checkpoint = Checkpoint {
        step: "image-I1".to_owned(),
        occurrence: 0,
        fingerprint: "f".to_owned(),
        value: Payload::parse("\"<script>\"").unwrap(),
    };
    server.store.checkpoint(&claimed, &checkpoint, &[]).await;
    let path = format!("/v1/jobs/{}/images/I1", claimed.job.id);
    let response = server.get(&path).await;
    assert_eq!(response.status(), 200, "while it runs, too");
    for (name, value) in [
        ("content-type", "image/jpeg"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "default-src 'none'"),
        ("cache-control", "no-cache, private"),
    ] {
        assert_eq!(header(&response, name), value, "{name}");
    }
    let tag = header(&response, "etag");
    assert_eq!(response.text().await.unwrap(), "\"<script>\"");

    let again = server
        .call(Method::GET, &path)
        .header("if-none-match", &tag);
    let again = again.send().await.unwrap();
    assert_eq!(
        (again.status().as_u16(), header(&again, "etag")),
        (304, tag)
    );

    let done = Outcome::Done(Payload::parse("{}").unwrap());
    server.store.settle(&claimed, done).await;
    assert_eq!(server.get(&path).await.status(), 200);
    server.store.advance(limits::KEEP + Duration::from_secs(1));
    let gone = server.get(&path).await;
    assert_eq!(gone.status(), 410);
    assert_eq!(problem(gone).await.code, "result_expired");
}

#[tokio::test]
async fn what_is_no_image_of_the_job_is_not_found() {
    let server = Server::start().await;
    let job = server.enqueue().await;
    let unknown = "0199d3a4-7c1e-7b52-9c55-3f1f0c7a2b10";
    for (path, status, code) in [
        (
            format!("{}/images/I1", job.links.this),
            404,
            "image_unknown",
        ),
        (
            format!("{}/images/..%2F..%2Fetc", job.links.this),
            404,
            "image_unknown",
        ),
        (format!("/v1/jobs/{unknown}/images/I1"), 404, "job_unknown"),
        ("/v1/jobs/7/images/I1".to_owned(), 422, "invalid_request"),
        (
            format!("{}/images/I1?size=2", job.links.this),
            422,
            "invalid_request",
        ),
    ] {
        let response = server.get(&path).await;
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(problem(response).await.code, code, "{path}");
    }
}
