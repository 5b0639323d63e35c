//! The renderings of one fixed result. `LOVAGE_GOLDEN=write` rewrites the
//! golden files; the difference is for review.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use lovage_pipeline::render::{self, Dialect, Rendering, chat, graph, markdown};
use lovage_pipeline::script::types::{ResultStatus, Script, ScriptResult, Timing, Warning};
use lovage_workflow::Payload;
use pulldown_cmark::{Event, Options, Parser, Tag};
use serde_json::{Value, json};

/// Korean, degraded, with a hostile title, an odd address and a doubtful line.
fn result() -> ScriptResult {
    serde_json::from_value(json!({
        "schema": "script-result/1",
        "job_id": "0193-a",
        "status": "degraded",
        "created_at": "2026-11-21T00:00:00Z",
        "request": {"topic": "한빛시 심야버스", "type": "youtube"},
        "generator": {"kind": "llm", "name": "openai", "model": "gpt-x", "llm": true, "notice": "언어 모델이 썼습니다."},
        "corpus": "live",
        "degraded": ["plan"],
        "low_evidence": false,
        "language": "ko",
        "title": "한빛시 <심야버스>: 3개 노선 # 확대",
        "outline": [{"id": "what", "heading": "무슨 일이 있었나", "goal": "?", "target_words": 90}],
        "queries": [{"q": "한빛시 심야버스", "lang": "ko", "hits": 4, "via": ["feeds", "gdelt"]}],
        "sources": [
            source("S1", "https://a.example/news?a=(1)|2", "노선 3개로 | *확대* <script>alert(1)</script>", "2026-11-16T09:12:00+09:00", 2, Value::Null),
            source("S2", "javascript:alert(1)", "사고 책임: \"누가\" {지나}; www.evil.example", "2026-11-12T14:03:00+09:00", 1, Value::Null),
            source("S3", "https://c.example/copy", "복사된 기사", "yesterday", 0, json!("S1")),
        ],
        "images": [
            image("I1", "S1", "노선도 ](//evil.example) <img src=x>", json!("what")),
            image("I3", "S3", "", Value::Null),
        ],
        "script": {"seconds": 12, "words": 20, "sections": [
            {"id": "what", "heading": "무슨 일이 있었나", "lines": [
                line("L1", "한빛일보(2026년 11월 16일)에 따르면:", "template", &[], Value::Null, "none"),
                line("L2", "한빛시가 노선을 3개로 늘린다.", "llm", &["S2", "S1"], json!(0.9), "verified"),
                line("L3", "1. 요금은 *9000원*이다 <b>.", "llm", &["S1"], json!(0.5), "number_mismatch"),
            ]},
            {"id": "next", "heading": "앞으로", "lines": [
                line("L4", "(자료 없음)", "template", &[], Value::Null, "none"),
            ]},
        ]},
        "timings": [
            {"step": "plan", "started_at": "2026-11-21T00:00:00Z", "ms": 10, "items": null, "failed": null},
            {"step": "research", "started_at": "2026-11-21T00:00:00Z", "ms": 1200, "items": 3, "failed": 1},
            {"step": "write", "started_at": "2026-11-21T00:00:02Z", "ms": 2034, "items": null, "failed": null},
        ],
        "usage": {"calls": 2, "prompt_tokens": 812, "completion_tokens": null, "cached_tokens": null, "cost_usd": null, "cost_note": "no price for gpt-x"},
        "checks": {"citation_coverage": 1.0, "span_exact": null, "number_support": 0.5, "unknown_citations": 1, "urls_removed": 0, "sources_used": 2, "max_redundancy": 0.125},
        "suggestions": [],
        "warnings": [{"code": "source_failed", "detail": "gdelt: 429"}],
    }))
    .expect("the fixture is well-formed")
}

fn image(id: &str, source: &str, alt: &str, used_in: Value) -> Value {
    json!({
        "id": id, "source": source, "url": "https://a.example/i.jpg", "stored": format!("/v1/jobs/0193-a/images/{id}"),
        "alt": alt, "width": 1024, "height": 576, "bytes": 37632, "sha256": "00", "truncated": false,
        "analysis": {"what": "노선도", "text_in_image": "N1", "kind": "chart", "relevant": 2}, "used_in": used_in,
    })
}

fn source(
    id: &str,
    url: &str,
    title: &str,
    published: &str,
    citations: usize,
    duplicate_of: Value,
) -> Value {
    json!({
        "id": id, "url": url, "canonical_url": url, "title": title, "site": "한빛일보", "author": null,
        "published": published, "date_from": "meta", "fetched_at": "2026-11-21T00:00:00Z", "lang": "ko",
        "verdict": "ok", "text_from": "selector", "chars": 500, "sha256": null, "relevance": 0.9,
        "used": citations > 0, "citations": citations, "duplicate_of": duplicate_of,
        "also_reported_by": [], "error": null,
    })
}

fn line(
    id: &str,
    text: &str,
    origin: &str,
    sources: &[&str],
    support: Value,
    check: &str,
) -> Value {
    let cites: Vec<Value> = sources
        .iter()
        .map(|source| json!({"source": source, "start": 0, "end": 5, "quote": "x"}))
        .collect();
    json!({"id": id, "text": text, "origin": origin, "cites": cites, "support": support, "check": check})
}

fn insufficient() -> ScriptResult {
    let mut result = result();
    result.status = ResultStatus::InsufficientSources;
    result.script = Script::default();
    result.suggestions = vec![
        "한빛시 자율주행 심야버스".to_owned(),
        "Lumen Bay tidal battery".to_owned(),
    ];
    result
        .sources
        .iter_mut()
        .for_each(|source| source.used = false);
    result
}

fn assert_golden(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(file);
    if std::env::var("LOVAGE_GOLDEN").is_ok_and(|mode| mode == "write") {
        fs::write(&path, text).expect("the fixture is well-formed");
    }
    let golden = fs::read_to_string(&path).expect("the fixture is well-formed");
    assert_eq!(
        text, golden,
        "{file} differs; LOVAGE_GOLDEN=write rewrites it"
    );
}

#[test]
fn all_renderings_are_as_recorded() {
    let json = serde_json::to_string_pretty(&result()).expect("a result has a JSON form");
    assert_golden("result.json", &json);
    assert_golden("result.md", &markdown(&result()));
    assert_golden("result.txt", &chat(&result()));
    assert_golden("insufficient.md", &markdown(&insufficient()));
    assert_golden("insufficient.txt", &chat(&insufficient()));
    for dialect in Dialect::ALL {
        for (lines, file) in [(false, "graph"), (true, "graph-lines")] {
            let drawn = sorted(&graph(&result(), dialect, lines));
            assert_golden(&format!("{file}.{dialect}.json"), &drawn);
        }
    }
}

/// A graph with its keys in one order, whatever order the map in use keeps.
fn sorted(graph: &str) -> String {
    let mut value: Value = serde_json::from_str(graph).expect("a graph is JSON");
    value.sort_all_objects();
    serde_json::to_string_pretty(&value).expect("JSON can be written")
}

fn shown(rendering: &Rendering, given: &[(&str, &str)]) -> Result<String, String> {
    let result = Payload::of(&result()).unwrap();
    rendering.show(&result, given)
}

#[test]
fn a_script_has_its_formats_with_their_media_types_and_parameters() {
    let table: Vec<_> = render::script()
        .into_iter()
        .map(|one| {
            let options: Vec<_> = one.options.iter().map(|o| (o.name, o.values)).collect();
            (one.format, one.content_type, options)
        })
        .collect();
    let dialects: &[&str] = &["canonical", "reactflow", "cytoscape", "d3"];
    let lines: &[&str] = &["false", "true"];
    assert_eq!(
        table,
        [
            ("markdown", "text/markdown; charset=utf-8", vec![]),
            ("chat", "text/plain; charset=utf-8", vec![]),
            (
                "graph",
                "application/json",
                vec![("for", dialects), ("lines", lines)]
            ),
        ]
    );
    assert_eq!(Dialect::ALL.map(|dialect| dialect.to_string()), dialects);
}

#[test]
fn a_format_shows_a_stored_result_as_its_parameters_say() {
    let renderings = render::script();
    let [report, talk, drawn] = &renderings[..] else {
        panic!("three formats: {renderings:?}");
    };
    assert_eq!(shown(report, &[]), Ok(markdown(&result())));
    assert_eq!(shown(talk, &[]), Ok(chat(&result())));
    assert_eq!(
        shown(drawn, &[]),
        Ok(graph(&result(), Dialect::Canonical, false))
    );
    for dialect in Dialect::ALL {
        for lines in [false, true] {
            let given = [("for", dialect.to_string()), ("lines", lines.to_string())];
            let given = given
                .each_ref()
                .map(|(name, value)| (*name, value.as_str()));
            assert_eq!(shown(drawn, &given), Ok(graph(&result(), dialect, lines)));
        }
    }
    let refused = shown(drawn, &[("for", "dot")]).unwrap_err();
    let expected = "expected for to be one of canonical, reactflow, cytoscape, d3, got \"dot\"";
    assert_eq!(refused, expected);
    let other = Payload::parse("[]").unwrap();
    let refused = report.show(&other, &[]).unwrap_err();
    assert!(
        refused.starts_with("the result has another shape: "),
        "{refused}"
    );
}

#[test]
fn an_own_format_is_one_function() {
    let own = Rendering::new("titles", "text/plain", |script: &ScriptResult| {
        let headings = script.script.sections.iter().map(|s| s.heading.as_str());
        Ok(headings.collect::<Vec<_>>().join("\n"))
    });
    assert_eq!(shown(&own, &[]), Ok("무슨 일이 있었나\n앞으로".to_owned()));
}

#[test]
fn json_reads_back_as_the_same_result() {
    let payload = Payload::of(&result()).unwrap();
    assert_eq!(payload.read::<ScriptResult>().unwrap(), result());
}

#[test]
fn markdown_lets_no_page_write_markup_or_links() {
    let text = markdown(&result());
    assert!(!text.contains("<script") && !text.contains("<b>"));
    assert!(!text.contains("javascript:"));
    let (before, block) = text.split_once("```mermaid").unwrap();
    let (_, after) = block.split_once("```").unwrap();
    assert!(!before.contains("www.evil") && !after.contains("www.evil"));
    assert!(text.contains("](<https://a.example/news?a=%281%29%7C2>)"));
    assert!(
        text.contains(
            "![노선도 \\](//evil.example) &lt;img src=x&gt;](</v1/jobs/0193-a/images/I1>)"
        )
    );
    assert!(text.contains("\n1\\. 요금은 \\*9000원\\*이다"));
}

/// Where the links and images lead, for a viewer that knows no front matter.
fn targets(markdown: &str) -> Vec<String> {
    let events = Parser::new_ext(markdown, Options::ENABLE_TABLES);
    let target = |event| match event {
        Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
            Some(dest_url.to_string())
        }
        _ => None,
    };
    events.filter_map(target).collect()
}

#[test]
fn a_title_makes_no_link_and_no_address_spoils_its_own() {
    let plain = markdown(&result());
    let title = "![a](https://evil.example/p.png) [b](//evil.example) <https://evil.example> www.evil.example";
    let mut hostile = result();
    hostile.title = title.to_owned();
    hostile.sources[0].url = "https://a.example/news?a=\\".parse().unwrap();
    let text = markdown(&hostile);
    let expected = targets(&plain)
        .into_iter()
        .map(|target| target.replace("?a=%281%29%7C2", "?a=%5C"));
    assert_eq!(targets(&text), expected.collect::<Vec<_>>());
    let (head, _) = text.split_once("\n---\n").unwrap();
    assert!(!head.contains("://") && !head.contains("www."), "{head}");
    let line = head.lines().find_map(|line| line.strip_prefix("title: "));
    let read: String = serde_json::from_str(line.unwrap()).unwrap();
    assert_eq!(read, title);
}

#[test]
fn every_link_leads_to_a_source() {
    let result = result();
    let text = chat(&result) + &markdown(&result);
    for address in text.split("http").skip(1).map(|rest| format!("http{rest}")) {
        let known = ["https://a.example/news?a=", "https://c.example/copy"];
        assert!(
            known.iter().any(|known| address.starts_with(known)),
            "{address}"
        );
    }
}

#[test]
fn the_timeline_is_plain_text_sorted_by_date() {
    let text = markdown(&result());
    let block = text
        .split("```mermaid\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let lines: Vec<&str> = block.lines().collect();
    assert_eq!(lines[0], "timeline");
    assert_eq!(lines[1], "  title 한빛시 심야버스 3개 노선 확대");
    assert_eq!(
        lines[2],
        "  2026-11-12 : 사고 책임 누가 지나 www.evil.example (S2)"
    );
    assert!(lines[3].starts_with("  2026-11-16 : 노선 3개로 | *확대* script alert(1) /script"));
    assert_eq!(lines.len(), 4);
}

#[test]
fn a_long_timeline_is_cut() {
    let mut result = result();
    let mut source = result.sources[0].clone();
    source.title = "가".repeat(200);
    result.sources = vec![source; 30];
    let text = markdown(&result);
    assert_eq!(text.matches("\n  2026-11-16 : ").count(), 12);
    assert!(
        !text
            .split("```mermaid")
            .nth(1)
            .unwrap()
            .split("```")
            .next()
            .unwrap()
            .contains(&"가".repeat(61))
    );
}

#[test]
fn chat_numbers_sources_by_first_use_and_marks_doubt() {
    let text = chat(&result());
    assert!(text.contains("한빛시가 노선을 3개로 늘린다. [1][2]\n"));
    assert!(text.contains("[2] ⚠\n"));
    assert!(text.contains("[1] 사고 책임"));
    assert!(text.ends_with("2 sources · 2 LLM calls · 3.24 s · llm\n"));
}

#[test]
fn without_sources_every_text_says_so_and_what_to_try() {
    for text in [chat(&insufficient()), markdown(&insufficient())] {
        assert!(
            text.contains("원고를 쓰지 않았습니다") && text.contains("- Lumen Bay tidal battery"),
            "{text}"
        );
    }
    let mut english = insufficient();
    english.language = lovage_pipeline::script::types::Language::En;
    assert!(chat(&english).contains("no script was written"));
}

#[test]
fn graphs_are_whole_in_every_dialect() {
    for lines in [false, true] {
        let canonical: Value =
            serde_json::from_str(&graph(&result(), Dialect::Canonical, lines)).unwrap();
        let nodes = canonical["nodes"].as_array().unwrap();
        let edges = canonical["edges"].as_array().unwrap();
        let has = |id: &Value| nodes.iter().any(|node| &node["id"] == id);
        assert!(
            edges
                .iter()
                .all(|edge| has(&edge["source"]) && has(&edge["target"]))
        );
        assert_eq!(nodes.iter().any(|node| node["kind"] == "line"), lines);
        let mut ids: Vec<&str> = nodes
            .iter()
            .chain(edges)
            .map(|item| item["id"].as_str().unwrap())
            .collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);

        let other =
            |dialect| serde_json::from_str::<Value>(&graph(&result(), dialect, lines)).unwrap();
        assert_eq!(other(Dialect::D3)["links"], canonical["edges"]);
        let cytoscape = other(Dialect::Cytoscape);
        assert_eq!(
            cytoscape["elements"]["nodes"][0]["data"],
            canonical["nodes"][0]
        );
        let reactflow = other(Dialect::Reactflow);
        assert_eq!(reactflow["nodes"].as_array().unwrap().len(), nodes.len());
        assert!(
            reactflow["nodes"]
                .as_array()
                .unwrap()
                .iter()
                .all(|n| n["position"]["x"].is_number())
        );
        assert_eq!(
            reactflow["nodes"][2]["position"],
            json!({"x": 240, "y": 90})
        );
        assert_eq!(reactflow["nodes"][0]["data"]["label"], "한빛시 심야버스");
    }
}

#[test]
fn an_edge_to_a_source_weighs_its_citations() {
    let graph: Value = serde_json::from_str(&graph(&result(), Dialect::Canonical, false)).unwrap();
    let edges = graph["edges"].as_array().unwrap();
    let edge = edges
        .iter()
        .find(|e| e["id"] == "section:what>source:S1")
        .unwrap();
    assert_eq!(
        (edge["kind"].as_str(), edge["weight"].as_u64()),
        (Some("cites"), Some(2))
    );
    assert!(
        edges
            .iter()
            .any(|e| e["kind"] == "duplicate_of" && e["target"] == "source:S1")
    );
}

#[test]
fn an_empty_result_renders() {
    let mut result = insufficient();
    result.sources.clear();
    result.queries.clear();
    result.timings = Vec::<Timing>::new();
    result.warnings = Vec::<Warning>::new();
    let payload = Payload::of(&result).unwrap();
    for rendering in render::script() {
        assert!(!rendering.show(&payload, &[]).unwrap().is_empty());
    }
}
