//! A run that is recorded is run again without anybody there, and gives the same.

use std::path::Path;
use std::time::Duration;

use lovage_tests::llm::StandIn;
use serde_json::{Value, json};

use crate::process::{Ended, Program};
use crate::site::NewsSites;

const TOPIC: &str = "harbour ferry timetable";
const KEY: &str = "sk-very-secret-1234567890";

fn generate(args: &[&str]) -> Program {
    Program::new(["generate", "-o", "json"].iter().chain(args))
}

fn result(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap()
}

/// A result without what differs from run to run: ids and times.
fn lasting(mut result: Value) -> Value {
    for source in result["sources"].as_array_mut().unwrap() {
        source["fetched_at"].take();
    }
    for name in ["job_id", "created_at", "timings"] {
        result[name].take();
    }
    result
}

/// Records a run against a model and sites that are gone afterwards; says what it gave.
async fn record(folder: &Path, args: &[&str]) -> Value {
    let sites = NewsSites::start(Duration::from_millis(5)).await;
    let llm = StandIn::start().await;
    let folder = folder.to_str().unwrap();
    let ended = generate(&["--record", folder])
        .args(args)
        .env("LOVAGE__LLM__BASE_URL", llm.url())
        .env("OPENAI_API_KEY", KEY)
        .env("LOVAGE__RESEARCH__FEEDS", sites.feeds())
        .env("LOVAGE__RESEARCH__CONTACT", "tests@localhost")
        .env("LOVAGE__RESEARCH__TRUSTED_HOSTS", sites.hosts())
        .env("LOVAGE__RESEARCH__HOST_PAUSE_MS", "0")
        .end()
        .await
        .expect(0);
    assert_eq!(llm.calls(), 2);
    assert!(sites.requests() > 8, "{} requests", sites.requests());
    result(&ended)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recorded_run_is_run_again_without_network() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("run");
    let recorded = record(&folder, &[TOPIC, "--type", "news"]).await;
    assert_eq!(
        (&recorded["status"], &recorded["corpus"]),
        (&json!("ok"), &json!("live"))
    );
    assert_eq!(recorded["usage"]["calls"], 2);

    let replay = ["--replay", folder.to_str().unwrap()];
    let played = result(&generate(&replay).end().await.expect(0));
    assert_ne!(played["job_id"], recorded["job_id"]);
    assert_eq!(played["script"], recorded["script"]);
    assert_eq!(lasting(played), lasting(recorded.clone()));

    // The recorded settings stand, whatever is set here, and the topic may be named.
    let named = generate(&replay)
        .args(&[TOPIC, "--type", "news"])
        .env("LOVAGE__LLM__PROVIDER", "extractive")
        .env("LOVAGE__RESEARCH__SOURCE", "sample");
    let named = result(&named.end().await.expect(0));
    assert_eq!(lasting(named), lasting(recorded));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_topic_is_not_in_the_recording() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("run");
    record(&folder, &[TOPIC]).await;
    let folder = folder.to_str().unwrap();
    let ended = generate(&["--replay", folder, "the price of moss on Mars"])
        .end()
        .await
        .expect(1);
    assert_eq!(ended.stdout, "");
    for part in ["has no answer", folder, "the price of moss on Mars"] {
        assert!(ended.stderr.contains(part), "{}", ended.stderr);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_can_be_read_and_holds_no_secret() {
    let home = tempfile::tempdir().unwrap();
    record(home.path(), &[TOPIC]).await;
    let mut texts = Vec::new();
    for file in std::fs::read_dir(home.path()).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains(KEY), "{}", path.display());
        serde_json::from_str::<Value>(&text).unwrap();
        texts.push(text);
    }
    let holds = |part: &str| texts.iter().any(|text| text.contains(part));
    assert!(holds("The port office of"), "an article, as text");
    assert!(holds("\"llm.api_key\""), "that there was a key");
}

#[tokio::test]
async fn a_folder_that_is_no_recording_or_holds_something_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().to_str().unwrap();
    let ended = generate(&["--replay", folder]).end().await.expect(2);
    assert!(ended.stderr.contains("recording.json"), "{}", ended.stderr);
    std::fs::write(home.path().join("mine.txt"), "mine").unwrap();
    let ended = generate(&["--record", folder, TOPIC]).end().await.expect(2);
    assert!(ended.stderr.contains("not empty"), "{}", ended.stderr);
    generate(&["--record", folder, "--replay", folder, TOPIC])
        .end()
        .await
        .expect(2);
}
