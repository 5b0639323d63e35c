//! A revision for a reader: Markdown with the diff, and text for a conversation.

use crate::render::{escape, one_line};

use super::types::{Change, Changed, ChapterId, DiffLine, ReviseResult};

/// Notice, request, diff, revised story.
pub(super) fn markdown(result: &ReviseResult) -> String {
    let mut text = format!(
        "# {}\n\n> {}\n\n**{}**\n\n{}\n",
        escape(&chapter(&result.chapter_id)),
        escape(&result.generator.notice),
        escape(&result.request.edit_request),
        summary(&result.changed),
    );
    for warning in &result.warnings {
        text.push_str(&format!("\n> ⚠ {}\n", escape(&warning.detail)));
    }
    if !result.diff.unified.is_empty() {
        text.push_str(&format!("\n## Diff\n\n{}", fenced(&result.diff.unified)));
    }
    text.push_str("\n## Story\n");
    for paragraph in result
        .story
        .split('\n')
        .filter(|line| !line.trim().is_empty())
    {
        text.push_str(&format!("\n{}\n", escape(paragraph)));
    }
    text
}

/// Notice, numbers, changed lines, revised story.
pub(super) fn chat(result: &ReviseResult) -> String {
    let mut text = format!(
        "{}\n\n{}: {}\n{}\n",
        result.generator.notice,
        one_line(&chapter(&result.chapter_id)),
        one_line(&result.request.edit_request),
        summary(&result.changed),
    );
    for warning in &result.warnings {
        text.push_str(&format!("⚠ {}\n", one_line(&warning.detail)));
    }
    let lines = result.diff.hunks.iter().flat_map(|hunk| &hunk.lines);
    let changed = lines.filter(|line| line.change != Change::Equal);
    let changed: Vec<_> = changed.map(marked).collect();
    if !changed.is_empty() {
        text.push_str(&format!("\n{}\n", changed.join("\n")));
    }
    text.push_str(&format!("\n{}\n", result.story.trim_end()));
    text
}

/// A line with its changed words in brackets.
fn marked(line: &DiffLine) -> String {
    let sign = if line.change == Change::Insert {
        '+'
    } else {
        '-'
    };
    let rewritten = line.pieces.iter().any(|piece| !piece.changed);
    let pieces = line.pieces.iter().map(|piece| {
        if piece.changed && rewritten {
            format!("[{}]", piece.text)
        } else {
            piece.text.clone()
        }
    });
    format!("{sign} {}", one_line(&pieces.collect::<String>()))
}

fn chapter(id: &ChapterId) -> String {
    match id {
        ChapterId::Number(number) => number.to_string(),
        ChapterId::Text(text) => text.clone(),
    }
}

fn summary(changed: &Changed) -> String {
    format!(
        "+{} −{} lines, +{} −{} words, {:.0} % kept",
        changed.lines_added,
        changed.lines_removed,
        changed.words_added,
        changed.words_removed,
        changed.kept * 100.0
    )
}

/// A code block that nothing inside of it can close.
fn fenced(text: &str) -> String {
    let longest = text
        .split(|c| c != '`')
        .map(str::len)
        .max()
        .unwrap_or_default();
    let fence = "`".repeat(longest.max(2) + 1);
    let end = if text.ends_with('\n') { "" } else { "\n" };
    format!("{fence}diff\n{text}{end}{fence}\n")
}
