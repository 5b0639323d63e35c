//! The Markdown report as a person sees it: read by a Markdown library, its
//! Mermaid drawn by the real Mermaid, in a real browser.
//!
//! `tests/run` installs the browser and fetches Mermaid; without
//! `LOVAGE_TEST_MERMAID` these tests say so and pass.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod report;
mod viewer;

use lovage_pipeline::render::markdown;
use serde_json::{Value, json};

use report::{called, entry, hostile_titles, one_line, report, report_of};
use viewer::Viewer;

/// Entries of one timeline.
const ENTRIES: usize = 12;

#[tokio::test]
async fn a_report_is_a_page_with_its_timeline_tables_and_links() {
    let Some(viewer) = Viewer::start().await else {
        return;
    };
    let shown = viewer.show(&markdown(&report())).await;
    assert_eq!(
        shown["headings"],
        json!([
            "한빛시 심야버스",
            "무슨 일이 있었나",
            "타임라인",
            "출처",
            "검사",
            "사용량"
        ])
    );
    assert_eq!(shown["error"], Value::Null);
    assert_eq!(shown["svgs"], 1);
    assert_eq!(shown["boxes"], 4);
    let timeline = shown["timeline"].as_str().unwrap();
    for text in [
        "한빛시심야버스",
        "2026-11-12",
        "사고책임논의(S2)",
        "2026-11-16",
        "3개노선으로확대(S1)",
    ] {
        assert!(timeline.contains(text), "{text} in {timeline}");
    }
    let page = "https://a.example/news?a=%281%29%7C2";
    let other = "https://b.example/crash";
    assert_eq!(shown["links"], json!([page, other, page, other]));
    assert_eq!(shown["tables"], json!([[3, 7], [8, 2], [5, 2]]));
    let cells = [
        "S1",
        "3개 노선으로 확대",
        "한빛일보",
        "2026-11-16",
        "ok",
        "1",
        "–",
    ];
    assert_eq!(shown["rows"][0], json!(cells));
    assert_eq!(viewer.strangers().await, Vec::<String>::new());
    assert_eq!(viewer.browser.console().await, Vec::<String>::new());
}

#[tokio::test]
async fn titles_that_are_markup_stay_text_and_run_nothing() {
    let Some(viewer) = Viewer::start().await else {
        return;
    };
    for titles in hostile_titles().chunks(ENTRIES) {
        let shown = viewer.show(&markdown(&report_of(titles))).await;
        assert_eq!(shown["error"], Value::Null, "{titles:?}");
        assert_eq!(shown["svgs"], 1, "{titles:?}");
        // A day and an entry for each, and every text inside its box.
        assert_eq!(shown["boxes"], 2 * titles.len(), "{titles:?}");
        assert_eq!(shown["spilt"], json!([]), "{titles:?}");
        assert_eq!(shown["pwned"], Value::Null, "{titles:?}");
        assert_eq!(shown["strange"], json!([]), "{titles:?}");
        let heading = &shown["headings"][0];
        assert_eq!(heading, &json!(one_line(&titles[0])));
        let timeline = shown["timeline"].as_str().unwrap();
        for (place, title) in titles.iter().enumerate() {
            let entry = entry(title, place);
            assert!(
                timeline.contains(&entry),
                "{entry} of {title:?} in {timeline}"
            );
            let cell = &shown["rows"][place][1];
            assert_eq!(cell, &json!(one_line(called(title))), "{title:?}");
        }
        // Two links a source: at its sentence and in the table.
        assert_eq!(shown["links"].as_array().unwrap().len(), 2 * titles.len());
        for link in shown["links"].as_array().unwrap() {
            assert!(
                link.as_str().unwrap().starts_with("https://news.example/"),
                "{link}"
            );
        }
    }
    assert_eq!(viewer.strangers().await, Vec::<String>::new());
    assert_eq!(viewer.browser.console().await, Vec::<String>::new());
}

#[tokio::test]
async fn what_a_careless_report_would_do_is_seen() {
    let Some(viewer) = Viewer::start().await else {
        return;
    };
    let report = "# x\n\n[x](javascript:window.pwned=1) ![x](http://evil.example/p.png)\n\n\
        | a |\n|---|\n| b |\n\n```mermaid\ntimeline\n  a : b\n```\n";
    let shown = viewer.show(report).await;
    assert_eq!(shown["strange"].as_array().unwrap().len(), 2, "{shown}");
    assert_eq!(viewer.strangers().await, ["http://evil.example/p.png"]);
    let console = viewer.browser.console().await;
    assert!(console[0].contains("evil.example"), "{console:?}");

    let broken = viewer.show(&report.replace("timeline", "timelines")).await;
    assert!(broken["error"].is_string(), "{broken}");
}
