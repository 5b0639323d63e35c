//! What each service is known to do that its documentation does not lead one
//! to expect.

use lovage_pipeline::news::Finds;
use lovage_tests::services::{Canned, Services};

use crate::{KEY, TOPIC, now, query, source};

/// The answer of a service, and what is made of it: headlines, or an error.
type Trap = (
    &'static str,
    Canned,
    Result<&'static [&'static str], &'static str>,
);

fn json(body: &str) -> Canned {
    Canned::json(200, body)
}

fn text(body: &str) -> Canned {
    Canned::of(200, "text/html; charset=utf-8", body.to_owned())
}

fn without_keys() -> Vec<Trap> {
    vec![
        (
            "gdelt",
            text("Your query was too short or too long.\n"),
            Err("says: Your query was too short or too long."),
        ),
        ("gdelt", json("{}"), Ok(&[])),
        (
            "gdelt",
            json(
                "{\"articles\": [{\"url\": \"https://a.example/1\", \"title\": \"raw\nline end\", \"seendate\": \"?\"}]}",
            ),
            Ok(&["raw line end"]),
        ),
        (
            "gdelt",
            json("{\"articles\": [{\"url\""),
            Err("cannot be read: EOF while parsing an object at line 1 column 20"),
        ),
        (
            "hacker_news",
            json(
                r#"{"hits": [{"title": "Ask HN", "url": null}, {"title": null, "url": "https://a.example/1"},
                              {"title": "A story", "url": "https://a.example/2", "created_at": null}]}"#,
            ),
            Ok(&["A story"]),
        ),
        (
            "searxng",
            Canned::of(
                403,
                "text/html",
                "<!doctype html><title>403 Forbidden</title>",
            ),
            Err(
                "answered with http status 403: allow json under search.formats in its settings.yml",
            ),
        ),
        (
            "searxng",
            json(
                r#"{"results": [], "unresponsive_engines": [["bing news", "timeout"], ["qwant news", "access denied"]]}"#,
            ),
            Err("says: no results, and these engines failed: bing news, qwant news"),
        ),
        (
            "searxng",
            json(
                r#"{"results": [{"url": "https://a.example/", "title": "One"}], "unresponsive_engines": [["x", "y"]]}"#,
            ),
            Ok(&["One"]),
        ),
        (
            "wikipedia",
            json(
                r#"{"error": {"code": "missingtitle", "info": "The page you specified doesn't exist."}}"#,
            ),
            Ok(&[]),
        ),
        (
            "wikipedia",
            json(r#"{"error": {"code": "ratelimited"}}"#),
            Err("says: ratelimited"),
        ),
        (
            "google_news",
            text("<html><title>Before you continue</title></html>"),
            Err("cannot be fetched: unexpected content type text/html; charset=utf-8"),
        ),
        (
            "google_news",
            Canned::of(200, "text/xml", "<html></html>"),
            Err("cannot be read: not an RSS feed"),
        ),
    ]
}

fn with_keys() -> Vec<Trap> {
    vec![
        (
            "naver",
            json(
                r#"{"items": [{"title": "심야<b>버스</b> &quot;연장&quot;", "originallink": "", "link": "https://n.news.naver.com/1",
                     "pubDate": "Fri, 20 Nov 2026 09:00:00 +0900"}]}"#,
            ),
            Ok(&["심야버스 \"연장\""]),
        ),
        (
            "naver",
            Canned::json(
                401,
                r#"{"errorMessage": "NID AUTH Result Invalid (1000)", "errorCode": "024"}"#,
            ),
            Err("answered with http status 401: NID AUTH Result Invalid (1000)"),
        ),
        (
            "newsapi",
            json(
                r#"{"status": "error", "code": "apiKeyInvalid", "message": "Your API key is invalid."}"#,
            ),
            Err("says: Your API key is invalid."),
        ),
        (
            "newsapi",
            json(
                r#"{"status": "ok", "articles": [{"title": "[Removed]", "url": "https://removed.com"},
                     {"title": "Left", "url": "https://a.example/1", "source": null}]}"#,
            ),
            Ok(&["Left"]),
        ),
        ("brave", json(r#"{"type": "news", "query": {}}"#), Ok(&[])),
        (
            "brave",
            json(
                r#"{"results": [{"title": "No address"}, {"url": "https://a.example/", "title": "Bare"}, "odd", 5]}"#,
            ),
            Ok(&["Bare"]),
        ),
        (
            "tavily",
            Canned::json(
                400,
                r#"{"detail": {"error": "Query is too long. Max query length is 400 characters."}}"#,
            ),
            Err(
                "answered with http status 400: Query is too long. Max query length is 400 characters.",
            ),
        ),
        (
            "serper",
            json(r#"{"message": "Unauthorized.", "statusCode": 403}"#),
            Err("cannot be read: no list \"news\" in the answer"),
        ),
        (
            "serper",
            json(
                r#"{"news": [{"title": "어제", "link": "https://a.example/1", "date": "3일 전"},
                              {"title": "지난달", "link": "https://a.example/2", "date": "1개월 전"}]}"#,
            ),
            Ok(&["어제", "지난달"]),
        ),
    ]
}

/// What any of them may do.
fn at_any() -> Vec<Trap> {
    let echo = format!("{{\"message\": \"key {KEY} is unknown\\u0007\"}}");
    vec![
        (
            "serper",
            Canned::json(403, echo),
            Err("answered with http status 403: key *** is unknown"),
        ),
        (
            "newsapi",
            json(&format!(r#"{{"status": "error", "message": "{KEY}?"}}"#)),
            Err("says: ***?"),
        ),
        (
            "brave",
            Canned::of(500, "text/html", ""),
            Err("answered with http status 500"),
        ),
        (
            "brave",
            Canned::json(200, "[".repeat(500_000)),
            Err("cannot be read: recursion limit exceeded at line 1 column 128"),
        ),
        (
            "tavily",
            Canned::json(200, "x".repeat(1_000_001)),
            Err("cannot be fetched: larger than 1000000 bytes"),
        ),
        (
            "gdelt",
            json("{").endless(),
            Err("cannot be fetched: timed out after 1 s"),
        ),
        (
            "hacker_news",
            Canned::of(200, "image/png", "x"),
            Err("cannot be fetched: unexpected content type image/png"),
        ),
        (
            "naver",
            json(
                r#"{"items": [{"title": "x", "link": "javascript:alert(1)"}, {"title": "", "link": "https://a.example/"}]}"#,
            ),
            Ok(&[]),
        ),
    ]
}

#[tokio::test]
async fn every_known_trap_is_stepped_over() {
    let traps = [without_keys(), with_keys(), at_any()];
    for (name, canned, expected) in traps.into_iter().flatten() {
        let services = Services::start(now()).await;
        services.answer(name, canned);
        let found = source(&services, name).search(&query(TOPIC)).await;
        let titles = |found: Finds| {
            found
                .hits
                .into_iter()
                .map(|hit| hit.title)
                .collect::<Vec<_>>()
        };
        let found = found.map(titles).map_err(|error| error.to_string());
        let expected = expected.map(<[&str]>::to_vec).map_err(str::to_owned);
        let expected = expected.map(|titles| titles.into_iter().map(str::to_owned).collect());
        assert_eq!(found, expected, "{name}");
    }
}

#[tokio::test]
async fn a_long_query_is_cut_to_what_a_service_takes() {
    let long = "battery ".repeat(120);
    for (name, least, most) in [
        ("tavily", 390, 400),
        ("brave", 390, 400),
        ("gdelt", 240, 275),
    ] {
        let services = Services::start(now()).await;
        source(&services, name).search(&query(&long)).await.unwrap();
        let asked = &services.received(name)[0];
        let posted: serde_json::Value = serde_json::from_str(&asked.body).unwrap_or_default();
        let sent = ["q", "query"].iter().find_map(|key| asked.query.get(*key));
        let sent = sent
            .map(String::as_str)
            .or(posted["query"].as_str())
            .unwrap();
        assert!(
            (least..=most).contains(&sent.chars().count()),
            "{name}: {}",
            sent.len()
        );
    }
}

#[tokio::test]
async fn a_query_cannot_speak_to_gdelt_in_its_operators() {
    let services = Services::start(now()).await;
    let mut tricky = query("\"night bus\" (domain:evil.example)");
    tricky.domains.allow = vec!["a.example".into(), "b.example".into()];
    source(&services, "gdelt").search(&tricky).await.unwrap();
    let asked = &services.received("gdelt")[0].query["query"];
    assert_eq!(
        asked,
        "night bus domain evil.example sourcelang:english (domain:a.example OR domain:b.example)"
    );
}
