//! The description of the interface: what is served is what was reviewed, and the formats there are.

use std::path::Path;

use lovage_client::wire::JobState;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Server, body, errors, problem};

/// `LOVAGE_GOLDEN=write` rewrites the file; the difference is the review.
#[test]
fn the_description_is_the_reviewed_one() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/openapi.json");
    let made = lovage_api::openapi_json();
    if std::env::var_os("LOVAGE_GOLDEN").is_some_and(|value| value == "write") {
        std::fs::write(&golden, &made).unwrap();
    }
    let reviewed = std::fs::read_to_string(&golden).unwrap();
    assert!(
        made == reviewed,
        "tests/golden/openapi.json is out of date; run with LOVAGE_GOLDEN=write and read the difference"
    );
}

#[tokio::test]
async fn what_is_served_names_the_formats_of_this_server_too() {
    let response = Server::start().await.get("/openapi.json").await;
    assert_eq!(response.status(), 200);
    let mut served: Value = response.json().await.unwrap();
    let mut made: Value = serde_json::from_str(&lovage_api::openapi_json()).unwrap();
    let pointer = "/paths/~1v1~1jobs~1{id}~1result/get/parameters";
    let parameters = served.pointer_mut(pointer).unwrap().take();
    let parameters = parameters.as_array().unwrap();
    let named = |name: &str| parameters.iter().find(|one| one["name"] == name).unwrap();
    let formats = named("format")["description"].as_str().unwrap();
    assert!(
        formats.ends_with("; `script.generate`: `markdown`, `letters`"),
        "{formats}"
    );
    assert_eq!(
        named("loud"),
        &json!({
            "name": "loud", "in": "query", "required": false,
            "description": "With `format=markdown` or `all`; `no` unless given",
            "schema": {"type": "string", "enum": ["no", "yes"]},
        })
    );
    let described = made.pointer_mut(pointer).unwrap().take();
    assert_eq!(parameters.len(), described.as_array().unwrap().len() + 1);
    assert_eq!(served, made);
}

/// `/healthz` and the like are left out: probes and scrapers add what they like.
#[tokio::test]
async fn no_path_drops_a_parameter_that_it_does_not_know() {
    let server = Server::start().await;
    let job = server.enqueue().await;
    let description: Value = serde_json::from_str(&lovage_api::openapi_json()).unwrap();
    let mut tried = 0;
    for (path, operations) in description["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            if !path.starts_with("/v1/") {
                continue;
            }
            let called = path
                .replace("{id}", &job.id.to_string())
                .replace("{queue}", "default")
                .replace("{name}", "openai%2Fgpt-test%23a1b2c3d4")
                .replace("{image}", "I1");
            let method = method.to_uppercase().parse::<Method>().unwrap();
            let mut call = server.call(method.clone(), &format!("{called}?dryrun=true"));
            if operation.get("requestBody").is_some() {
                // Valid where one is enqueued, so that a dropped parameter would show.
                let jobs = json!({"jobs": [body()]});
                call = call.json(&if path == "/v1/batches" { jobs } else { body() });
            }
            let problem = problem(call.send().await.unwrap()).await;
            let [("dryrun", said)] = errors(&problem)[..] else {
                panic!("{method} {path}: {problem:?}");
            };
            assert!(said.starts_with("expected a parameter of this path"));
            assert!(
                operation["responses"].get("422").is_some(),
                "{method} {path}"
            );
            tried += 1;
        }
    }
    assert_ne!(tried, 0, "the description lists what is served");
    let job = server.client.job(job.id).await.unwrap();
    assert_eq!(job.state, JobState::Queued, "it was not cancelled");
    assert_eq!(server.job_count().await, 1, "nothing was enqueued");
}
