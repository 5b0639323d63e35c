//! `lovage sources check` against stand-ins of the services.

use lovage_core::clock::{Clock, SystemClock};
use lovage_tests::services::{Canned, Services};
use serde_json::Value;

use crate::process::{Ended, Program};

const SERVICES: [&str; 10] = [
    "gdelt",
    "hacker_news",
    "wikipedia",
    "google_news",
    "searxng",
    "naver",
    "newsapi",
    "brave",
    "tavily",
    "serper",
];
const KEYS: [&str; 6] = [
    "NAVER_ID",
    "NAVER_SECRET",
    "NEWSAPI",
    "BRAVE",
    "TAVILY",
    "SERPER",
];
const QUERY: &str = "Lumen Bay tidal battery";

/// The command, with every service led to the stand-in; no keys yet.
fn check(services: &Services, args: &[&str]) -> Program {
    let args = ["sources", "check", "--query", QUERY].iter().chain(args);
    let program = Program::new(args)
        .env("COLUMNS", "200")
        .env("LOVAGE__RESEARCH__CONTACT", "tests@localhost")
        .env("LOVAGE__RESEARCH__FEEDS", services.address("feed"))
        .env("LOVAGE__RESEARCH__TRUSTED_HOSTS", services.host());
    SERVICES.iter().fold(program, |program, name| {
        let variable = format!("LOVAGE__RESEARCH__ADDRESSES__{}", name.to_uppercase());
        program.env(variable, services.address(name))
    })
}

fn with_keys(program: Program) -> Program {
    let program = program.env("LOVAGE__RESEARCH__SOURCES__GOOGLE_NEWS", "true");
    let secret = "key.txt";
    let program = KEYS.iter().fold(program, |program, key| {
        program.env(format!("LOVAGE__RESEARCH__KEYS__{key}_FILE"), secret)
    });
    program.file(secret, "hunter2\n")
}

fn rows(ended: &Ended) -> Vec<Value> {
    serde_json::from_str(&ended.stdout).unwrap()
}

#[tokio::test]
async fn every_source_that_is_set_up_is_tried() {
    let services = Services::start(SystemClock.now()).await;
    let ended = with_keys(check(&services, &["-o", "json"]))
        .end()
        .await
        .expect(0);
    let rows = rows(&ended);
    let names: Vec<&str> = rows
        .iter()
        .map(|row| row["source"].as_str().unwrap())
        .collect();
    assert_eq!(names[0], "127.0.0.1/feed");
    assert_eq!(names[1..], SERVICES);
    for row in &rows {
        assert_eq!(row["status"], "ok", "{row}");
        assert!(
            row["hits"].as_u64() >= Some(1) && row["newest"].is_string(),
            "{row}"
        );
        assert!(row["ms"].is_u64() && row["detail"].is_null(), "{row}");
    }
    assert_eq!(rows[0]["entries"], 2);
    assert_eq!(
        (&rows[1]["key"], &rows[6]["key"]),
        (&Value::Null, &Value::Bool(true))
    );
    assert_eq!(
        services.received("tavily")[0].headers["authorization"],
        "Bearer hunter2"
    );
    assert_eq!(ended.stderr, "");
}

#[tokio::test]
async fn what_is_off_says_how_it_is_switched_on_and_a_failure_is_code_1() {
    let services = Services::start(SystemClock.now()).await;
    services.answer(
        "gdelt",
        Canned::of(200, "text/plain", "Please limit requests."),
    );
    let ended = check(&services, &[]).end().await.expect(1);
    assert_eq!(ended.stderr, "lovage: 1 of 5 sources failed");
    for (name, words) in [
        ("127.0.0.1/feed", vec!["not needed", "ok", "2"]),
        (
            "gdelt",
            vec!["not needed", "failed", "says: Please limit requests."],
        ),
        ("hacker_news", vec!["not needed", "ok", "2"]),
        (
            "google_news",
            vec!["off", "set research.sources.google_news = true"],
        ),
        (
            "naver",
            vec![
                "missing",
                "off",
                "set research.keys.naver_id and research.keys.naver_secret",
            ],
        ),
        ("serper", vec!["missing", "off", "set research.keys.serper"]),
    ] {
        let line = ended
            .stdout
            .lines()
            .find(|line| line.trim().starts_with(name));
        let line = line.unwrap_or_else(|| panic!("no {name} in {}", ended.stdout));
        for word in words {
            assert!(line.contains(word), "{word} in {line}");
        }
    }
    assert!(services.received("serper").is_empty());
}

#[tokio::test]
async fn a_key_that_a_service_repeats_is_not_printed() {
    let services = Services::start(SystemClock.now()).await;
    let echo = Canned::json(401, r#"{"message": "hunter2 is no key"}"#);
    services.answer("brave", echo);
    let ended = with_keys(check(&services, &["-o", "json"]))
        .end()
        .await
        .expect(1);
    assert!(!format!("{ended:?}").contains("hunter2"));
    let rows = rows(&ended);
    let brave = rows.iter().find(|row| row["source"] == "brave").unwrap();
    assert_eq!(
        brave["detail"],
        "answered with http status 401: *** is no key"
    );
}

#[tokio::test]
async fn without_a_contact_nobody_is_asked() {
    let ended = Program::new(["sources", "check"]).end().await.expect(2);
    assert!(
        ended.stderr.contains("research.contact must be set"),
        "{}",
        ended.stderr
    );
}

#[tokio::test]
async fn a_source_that_does_not_exist_is_refused_with_the_nearest() {
    let misspelt = Program::new(["config", "check"]).env("LOVAGE__RESEARCH__SOURCES__NAVR", "true");
    let ended = misspelt.end().await.expect(2);
    assert!(
        ended.stderr.contains("research.sources.naver?"),
        "{}",
        ended.stderr
    );
}
