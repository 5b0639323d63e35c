//! A Markdown report: text, timeline, sources, checks, usage.

use url::Url;

use crate::script::types::{ImageRecord, Origin, ResultStatus, ScriptResult, Section, Source};

use super::words::{Words, day, is_doubtful, name, one_line, title, words};

/// Entries of the timeline.
const TIMELINE_ENTRIES_MAX: usize = 12;
/// Characters of a timeline entry.
const TIMELINE_CHARS_MAX: usize = 60;
/// Narrow letters that fit beside one another in a timeline's box; wide ones count twice.
const BOX_LETTERS: usize = 20;

/// The report.
pub fn markdown(result: &ScriptResult) -> String {
    let words = words(result);
    let mut text = front_matter(result);
    text.push_str(&format!(
        "# {}\n\n> {}\n",
        escape(&result.title),
        escape(&result.generator.notice)
    ));
    if result.status == ResultStatus::InsufficientSources {
        insufficient(result, words, &mut text);
    } else {
        script(result, words, &mut text);
        timeline(result, words, &mut text);
    }
    sources(result, words, &mut text);
    if result.status != ResultStatus::InsufficientSources {
        checks(result, words, &mut text);
    }
    usage(result, words, &mut text);
    text
}

/// Values are JSON strings, which are YAML strings too. A viewer that knows no
/// front matter must find no HTML, link or image in them.
fn front_matter(result: &ScriptResult) -> String {
    let fields = [
        ("job", result.job_id.clone()),
        ("title", one_line(&result.title)),
        ("generator", result.generator.name.clone()),
        ("model", result.generator.model.clone().unwrap_or_default()),
        ("status", name(result.status)),
        ("corpus", name(result.corpus)),
        ("language", name(result.language)),
        ("date", result.created_at.to_string()),
    ];
    let mut text = String::from("---\n");
    for (key, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
        let value = serde_json::Value::from(value).to_string();
        let inert = value
            .replace('<', "\\u003c")
            .replace('[', "\\u005b")
            .replace("://", ":\\u002f/")
            .replace("www.", "www\\u002e");
        text.push_str(&format!("{key}: {inert}\n"));
    }
    text.push_str("---\n\n");
    text
}

fn insufficient(result: &ScriptResult, words: &Words, text: &mut String) {
    text.push_str(&format!("\n{}\n", words.insufficient));
    if !result.suggestions.is_empty() {
        text.push_str(&format!("\n{}\n\n", words.try_instead));
        for topic in &result.suggestions {
            text.push_str(&format!("- {}\n", escape(topic)));
        }
    }
}

fn script(result: &ScriptResult, words: &Words, text: &mut String) {
    for section in &result.script.sections {
        text.push_str(&format!("\n## {}\n", escape(&section.heading)));
        lines(section, &result.sources, text);
        images(section, result, text);
    }
    if result.script.lines().any(is_doubtful) {
        text.push_str(&format!("\n> {}\n", words.doubtful));
    }
    if !result.degraded.is_empty() {
        text.push_str(&format!(
            "\n> {} {}\n",
            words.degraded,
            escape(&result.degraded.join(", "))
        ));
    }
    if result.low_evidence {
        text.push_str(&format!("\n> {}\n", words.low_evidence));
    }
}

/// One sentence per line; a template line opens a paragraph.
fn lines(section: &Section, sources: &[Source], text: &mut String) {
    for (number, line) in section.lines.iter().enumerate() {
        if number == 0 || line.origin == Origin::Template {
            text.push('\n');
        }
        text.push_str(&escape(&line.text));
        for cite in &line.cites {
            let source = sources.iter().find(|s| s.id == cite.source);
            text.push_str(&format!(" {}", link(&format!("[{}]", cite.source), source)));
        }
        text.push_str(if is_doubtful(line) { " ⚠\n" } else { "\n" });
    }
}

/// From our own store only: a reader's viewer must not ask a stranger's server.
fn images(section: &Section, result: &ScriptResult, text: &mut String) {
    let own = |image: &&ImageRecord| image.used_in.as_ref() == Some(&section.id);
    for image in result.images.iter().filter(own) {
        let source = result.sources.iter().find(|s| s.id == image.source);
        let label = link(&format!("[{}]", image.source), source);
        text.push_str(&format!(
            "\n![{}](<{}>) {label}\n",
            escape(&image.alt),
            path(&image.stored)
        ));
    }
}

/// A path of ours as the target of a link; anything else is no path.
fn path(stored: &str) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || "/-_.".contains(*c);
    stored.chars().filter(plain).collect()
}

fn timeline(result: &ScriptResult, words: &Words, text: &mut String) {
    let mut entries: Vec<(&str, &Source)> = result
        .sources
        .iter()
        .filter(|s| s.used)
        .filter_map(|s| Some((day(s)?, s)))
        .collect();
    if entries.is_empty() {
        return;
    }
    entries.sort_by_key(|(day, _)| *day);
    text.push_str(&format!(
        "\n## {}\n\n```mermaid\ntimeline\n",
        words.timeline
    ));
    let heading = mermaid(&result.title);
    if !heading.is_empty() {
        text.push_str(&format!("  title {heading}\n"));
    }
    for (day, source) in entries.into_iter().take(TIMELINE_ENTRIES_MAX) {
        text.push_str(&format!(
            "  {day} : {} ({})\n",
            broken(&mermaid(title(source))),
            mermaid(&source.id)
        ));
    }
    text.push_str("```\n");
}

fn sources(result: &ScriptResult, words: &Words, text: &mut String) {
    if result.sources.is_empty() {
        return;
    }
    let heading = match result.status {
        ResultStatus::InsufficientSources => words.looked_at,
        ResultStatus::Ok | ResultStatus::Degraded => words.sources,
    };
    text.push_str(&format!("\n## {heading}\n\n"));
    text.push_str("| id | title | site | date | verdict | used | duplicate of |\n|---|---|---|---|---|---|---|\n");
    for source in &result.sources {
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} | {} |\n",
            escape(&source.id),
            link(title(source), Some(source)),
            escape(&source.site),
            day(source).unwrap_or("–"),
            escape(&name(source.verdict)),
            if source.used {
                source.citations.to_string()
            } else {
                "–".to_owned()
            },
            source
                .duplicate_of
                .as_deref()
                .map_or_else(|| "–".to_owned(), escape),
        ));
    }
}

fn checks(result: &ScriptResult, words: &Words, text: &mut String) {
    let checks = &result.checks;
    let rows = [
        ("citation coverage", share(checks.citation_coverage)),
        ("exact spans", share(checks.span_exact)),
        ("number support", share(checks.number_support)),
        ("sources used", checks.sources_used.to_string()),
        (
            "unknown citations removed",
            checks.unknown_citations.to_string(),
        ),
        ("addresses removed", checks.urls_removed.to_string()),
        (
            "highest redundancy",
            checks
                .max_redundancy
                .map_or_else(unknown, |v| format!("{v:.2}")),
        ),
    ];
    text.push_str(&format!("\n## {}\n\n", words.checks));
    table(&rows, text);
}

fn usage(result: &ScriptResult, words: &Words, text: &mut String) {
    let usage = &result.usage;
    let count = |tokens: Option<u64>| tokens.map_or_else(unknown, |t| t.to_string());
    let cost = usage
        .cost_usd
        .map_or_else(unknown, |usd| format!("{usd:.4} USD"));
    let note = usage
        .cost_note
        .as_deref()
        .map_or_else(String::new, |n| format!(" ({})", escape(n)));
    let rows = [
        ("LLM calls", usage.calls.to_string()),
        ("prompt tokens", count(usage.prompt_tokens)),
        ("completion tokens", count(usage.completion_tokens)),
        ("cost", format!("{cost}{note}")),
    ];
    text.push_str(&format!("\n## {}\n\n", words.usage));
    table(&rows, text);
}

fn table(rows: &[(&str, String)], text: &mut String) {
    text.push_str("| figure | value |\n|---|---|\n");
    for (label, value) in rows {
        text.push_str(&format!("| {label} | {value} |\n"));
    }
}

fn share(value: Option<f64>) -> String {
    value.map_or_else(unknown, |v| format!("{:.0} %", v * 100.0))
}

fn unknown() -> String {
    "unknown".to_owned()
}

/// A link to a source's page; the bare label unless it is http or https.
fn link(label: &str, source: Option<&Source>) -> String {
    let label = escape(label);
    match source.filter(|s| matches!(s.url.scheme(), "http" | "https")) {
        Some(source) => format!("[{label}](<{}>)", target(&source.url)),
        None => label,
    }
}

/// An address without what would end it early, or keep it from ending.
fn target(url: &Url) -> String {
    let mut target = String::new();
    for c in url.as_str().chars() {
        match c {
            '(' | ')' | '<' | '>' | '|' | '\\' => {
                target.push_str(&format!("%{:02X}", u32::from(c)));
            }
            _ => target.push(c),
        }
    }
    target
}

/// Text as text: no Markdown, no HTML, no address that a viewer would link,
/// one line.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in one_line(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '#' | '|' | '~' | '!' => {
                escaped.push('\\');
                escaped.push(c);
            }
            _ => escaped.push(c),
        }
    }
    let mut escaped = escaped.replace("://", "\\://").replace("www.", "www&#46;");
    let digits = escaped.chars().take_while(char::is_ascii_digit).count();
    let after = escaped[digits..].chars().next();
    let lists = digits > 0 && matches!(after, Some('.' | ')'));
    if lists || (digits == 0 && matches!(after, Some('-' | '+' | '='))) {
        escaped.insert(digits, '\\'); // would start a list or underline a heading
    }
    escaped
}

/// Text that Mermaid takes as text.
fn mermaid(text: &str) -> String {
    let plain: String = text
        .chars()
        .map(|c| if ":;#{}[]\"<>`%".contains(c) { ' ' } else { c })
        .collect();
    one_line(&plain).chars().take(TIMELINE_CHARS_MAX).collect()
}

/// Mermaid's text with its line breaks in words that are wider than their box,
/// as all are in a language without spaces: it breaks lines at spaces only.
fn broken(text: &str) -> String {
    let (mut broken, mut width) = (String::new(), 0);
    for c in text.chars() {
        let is_narrow = c.is_ascii() && !c.is_ascii_uppercase() && !"mw".contains(c);
        let letter = if is_narrow { 1 } else { 2 };
        width = if c == ' ' { 0 } else { width + letter };
        if width > BOX_LETTERS {
            broken.push_str("<br>");
            width = letter;
        }
        broken.push(c);
    }
    broken
}
