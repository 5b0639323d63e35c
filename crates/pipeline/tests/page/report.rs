//! Results to be shown: a plain one, and ones whose titles are whatever a page
//! may call itself.

use lovage_pipeline::script::types::ScriptResult;
use serde_json::{Value, json};

const SITE: &str = "한빛일보";

/// A script from two pages.
pub(crate) fn report() -> ScriptResult {
    let sources = [
        source(
            "S1",
            "https://a.example/news?a=(1)|2",
            "3개 노선으로 확대",
            "2026-11-16",
        ),
        source(
            "S2",
            "https://b.example/crash",
            "사고 책임 논의",
            "2026-11-12",
        ),
    ];
    let lines = [
        line("L1", "한빛시가 노선을 3개로 늘린다.", "S1"),
        line("L2", "사고가 나면 누가 책임질지 논의한다.", "S2"),
    ];
    result("한빛시 심야버스", &sources, &lines)
}

/// A script from pages with these titles, which is called as the first of them.
pub(crate) fn report_of(titles: &[String]) -> ScriptResult {
    let (mut sources, mut lines) = (Vec::new(), Vec::new());
    for (place, title) in titles.iter().enumerate() {
        let id = format!("S{}", place + 1);
        let url = format!("https://news.example/{place}");
        sources.push(source(&id, &url, title, &format!("2026-11-{}", place + 10)));
        lines.push(line(&format!("L{place}"), title, &id));
    }
    result(&titles[0], &sources, &lines)
}

/// Titles that would be markup, a command or a program in Markdown, HTML or Mermaid.
pub(crate) fn hostile_titles() -> Vec<String> {
    let mut titles: Vec<String> = [
        // Programs
        "<script>window.pwned=1</script>",
        "<img src=x onerror=\"window.pwned=1\">",
        "<svg/onload=window.pwned=1>",
        "[click](javascript:window.pwned=1)",
        "[click][1] [1]: javascript:window.pwned=1",
        "<javascript:window.pwned=1>",
        "&lt;script&gt;window.pwned=1&lt;/script&gt; &#60;b&#62;",
        "<iframe srcdoc=\"<script>parent.pwned=1</script>\"></iframe>",
        "<a href='java\tscript:window.pwned=1'>x</a>",
        "</figure></main><script>window.pwned=1</script>",
        // What asks others
        "![x](https://evil.example/p.png)",
        "https://evil.example www.evil.example <https://evil.example> a@evil.example",
        "<link rel=stylesheet href=//evil.example/x.css>",
        "<style>@import url(//evil.example)</style>",
        // Mermaid
        "%%{init: {\"securityLevel\": \"loose\", \"theme\": \"dark\"}}%%",
        "click S1 href \"javascript:window.pwned=1\" _blank",
        "click S1 call window.pwned()",
        "section one : two : three",
        "title another title",
        "timeline",
        "accTitle: none",
        "accDescr { none }",
        "end",
        "a --> b ==> c -.-> d ::: e",
        "#quot; #35; #lt;b#gt; #9829;",
        "$$x^2$$ $x$ `x` ```mermaid",
        "```",
        "~~~",
        "2026-11-20 : 3월 : 4월",
        "<br/>a<br>b",
        "---",
        // Markdown
        "# heading",
        "1. list",
        "- item * item + item",
        "> quote",
        "| a | b |\n|---|---|",
        "a\\|b \\\\| c \\",
        "*bold* **bold** _it_ ~~gone~~ ~gone~",
        "[^1] [x] [ ] [link]",
        "===",
        "    code",
        "a  \nb\r\nc\u{2028}d\u{b}e\u{0}f",
        "&amp; &nbsp; &copy; &notit;",
        "!@#$%^&*()_+-=[]{}|;':\",./<>?`~",
        // Letters
        "한빛시, 자율주행 심야버스 3개 노선 확대…“안전 우선”",
        "👩‍👩‍👧‍👦 🇰🇷 ❤️ 🏳️‍🌈",
        "مرحبا \u{202e}gnp.exe\u{202c} שלום",
        "Z̸̧̛͚a̴l̵g̶o̷ e\u{301}\u{301}\u{301}\u{301}",
        "",
        " ",
    ]
    .map(str::to_owned)
    .into();
    titles.push("긴 제목 ".repeat(100));
    titles.push("w".repeat(500));
    titles.push("W".repeat(500));
    titles.push("自動運転深夜バス、三路線へ拡大".repeat(20));
    titles.push("https://news.example/".to_owned() + &"long-path/".repeat(30));
    titles
}

/// What the timeline says of a page with this title, without its spaces.
pub(crate) fn entry(title: &str, place: usize) -> String {
    let special = [':', ';', '#', '{', '}', '[', ']', '"', '<', '>', '`', '%'];
    let plain = one_line(&called(title).replace(special, " "));
    let cut: String = plain.chars().take(60).collect();
    let entry = format!("{cut}(S{})", place + 1);
    entry.split_whitespace().collect()
}

/// What a page with this title is called.
pub(crate) fn called(title: &str) -> &str {
    if title.trim().is_empty() { SITE } else { title }
}

/// The title without what breaks or hides text.
pub(crate) fn one_line(title: &str) -> String {
    let words = title.split(|c: char| c.is_whitespace() || c.is_control());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

fn source(id: &str, url: &str, title: &str, published: &str) -> Value {
    json!({
        "id": id, "url": url, "canonical_url": url, "title": title, "site": SITE, "author": null,
        "published": published, "date_from": "meta", "fetched_at": "2026-11-21T00:00:00Z", "lang": "ko",
        "verdict": "ok", "text_from": "selector", "chars": 500, "sha256": null, "relevance": 0.9,
        "used": true, "citations": 1, "duplicate_of": null, "also_reported_by": [], "error": null,
    })
}

fn line(id: &str, text: &str, source: &str) -> Value {
    let cites = json!([{"source": source, "start": 0, "end": 5, "quote": "x"}]);
    json!({"id": id, "text": text, "origin": "llm", "cites": cites, "support": 0.9, "check": "verified"})
}

fn result(title: &str, sources: &[Value], lines: &[Value]) -> ScriptResult {
    serde_json::from_value(json!({
        "schema": "script-result/1",
        "job_id": "0193-a",
        "status": "ok",
        "created_at": "2026-11-21T00:00:00Z",
        "request": {"topic": "한빛시 심야버스", "type": "youtube"},
        "generator": {"kind": "llm", "name": "openai", "model": "gpt-x", "llm": true, "notice": "언어 모델이 썼습니다."},
        "corpus": "live",
        "degraded": [],
        "low_evidence": false,
        "language": "ko",
        "title": title,
        "outline": [],
        "queries": [],
        "sources": sources,
        "script": {"seconds": 12, "words": 20, "sections": [
            {"id": "what", "heading": "무슨 일이 있었나", "lines": lines},
        ]},
        "timings": [],
        "usage": {"calls": 2, "prompt_tokens": 812, "completion_tokens": 90, "cached_tokens": null, "cost_usd": 0.01, "cost_note": null},
        "checks": {"citation_coverage": 1.0, "span_exact": null, "number_support": 1.0, "unknown_citations": 0, "urls_removed": 0, "sources_used": 2, "max_redundancy": 0.125},
        "suggestions": [],
        "warnings": [],
    }))
    .expect("the fixture is well-formed")
}
