//! Plain text for a conversation.

use crate::script::types::{Line, ResultStatus, ScriptResult, Source};

use super::words::{Words, day, is_doubtful, one_line, title, words};

/// Banner, title, sections with numbered citations, sources, one line of facts.
pub fn chat(result: &ScriptResult) -> String {
    let words = words(result);
    let mut text = format!(
        "{}\n\n{}\n",
        result.generator.notice,
        one_line(&result.title)
    );
    if result.status == ResultStatus::InsufficientSources {
        insufficient(result, words, &mut text);
    } else {
        script(result, words, &mut text);
    }
    text.push_str(&format!("\n{}\n", facts(result)));
    text
}

fn insufficient(result: &ScriptResult, words: &Words, text: &mut String) {
    text.push_str(&format!("\n{}\n", words.insufficient));
    if !result.suggestions.is_empty() {
        text.push_str(&format!("{}\n", words.try_instead));
        for topic in &result.suggestions {
            text.push_str(&format!("- {}\n", one_line(topic)));
        }
    }
}

fn script(result: &ScriptResult, words: &Words, text: &mut String) {
    let mut cited: Vec<&str> = Vec::new();
    for section in &result.script.sections {
        text.push_str(&format!("\n{}\n", one_line(&section.heading)));
        for line in &section.lines {
            text.push_str(&sentence(line, &mut cited));
        }
    }
    if result.script.lines().any(is_doubtful) {
        text.push_str(&format!("\n{}\n", words.doubtful));
    }
    if !result.degraded.is_empty() {
        text.push_str(&format!(
            "\n{} {}\n",
            words.degraded,
            result.degraded.join(", ")
        ));
    }
    if result.low_evidence {
        text.push_str(&format!("\n{}\n", words.low_evidence));
    }
    text.push_str(&format!("\n{}\n", words.sources));
    for (number, id) in cited.iter().enumerate() {
        if let Some(source) = result.sources.iter().find(|s| s.id == *id) {
            text.push_str(&format!("[{}] {}\n", number + 1, reference(source, words)));
        }
    }
}

/// A sentence with the numbers of its sources; new ones join `cited`.
fn sentence<'a>(line: &'a Line, cited: &mut Vec<&'a str>) -> String {
    let mut text = one_line(&line.text);
    for (i, cite) in line.cites.iter().enumerate() {
        let number = cited
            .iter()
            .position(|id| *id == cite.source)
            .unwrap_or_else(|| {
                cited.push(&cite.source);
                cited.len() - 1
            });
        text.push_str(&format!(
            "{}[{}]",
            if i == 0 { " " } else { "" },
            number + 1
        ));
    }
    text.push_str(if is_doubtful(line) { " ⚠\n" } else { "\n" });
    text
}

fn reference(source: &Source, words: &Words) -> String {
    let date = day(source).unwrap_or(words.no_date);
    let mut text = format!(
        "{} — {}, {date}",
        one_line(title(source)),
        one_line(&source.site)
    );
    if matches!(source.url.scheme(), "http" | "https") {
        text.push_str(&format!("\n    {}", source.url));
    }
    text
}

/// `4 sources · 0 LLM calls · 0.03 s · extractive`
fn facts(result: &ScriptResult) -> String {
    let ms: u64 = result.timings.iter().map(|timing| timing.ms).sum();
    format!(
        "{} sources · {} LLM calls · {:.2} s · {}",
        result.checks.sources_used,
        result.usage.calls,
        ms as f64 / 1000.0,
        result.generator.kind
    )
}
