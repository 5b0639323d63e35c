//! The description of the interface: what is served is what was reviewed.

use std::path::Path;

use crate::support::Server;

/// `LOVAGE_GOLDEN=write` rewrites the file; the difference is the review.
#[tokio::test]
async fn the_description_is_the_reviewed_one_and_is_served() {
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
    let served = Server::start().await.get("/openapi.json").await;
    assert_eq!(served.status(), 200);
    assert_eq!(served.text().await.unwrap(), made);
}
