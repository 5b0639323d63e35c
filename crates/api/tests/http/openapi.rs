//! The description of the interface: what is served is what was reviewed, and the formats there are.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::Server;

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
