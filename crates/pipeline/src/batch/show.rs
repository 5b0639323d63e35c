//! A batch as a table, and as lines for a conversation.

use crate::render::{escape, name, one_line};

use super::types::{BatchItem, BatchResult};

/// Counts and a table of the items.
pub(super) fn markdown(result: &BatchResult) -> String {
    let mut text = format!("# {}\n\n{}\n", escape(&result.kind), counts(result));
    text.push_str("\n| | about | state | status | job | error |\n|---|---|---|---|---|---|\n");
    for item in &result.items {
        let cells = [
            (item.index + 1).to_string(),
            escape(about(item)),
            escape(&name(item.state)),
            escape(item.status.as_deref().unwrap_or("–")),
            escape(item.job_id.as_deref().unwrap_or("–")),
            escape(&error(item)),
        ];
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    text
}

/// Counts, then a line for each item.
pub(super) fn chat(result: &BatchResult) -> String {
    let mut text = format!("{}\n", counts(result));
    for item in &result.items {
        let place = item.index + 1;
        let about = one_line(about(item));
        let state = name(item.state);
        let more = match (&item.job_id, &item.error) {
            (_, Some(_)) => format!(": {}", one_line(&error(item))),
            (Some(id), None) => format!(": {id}"),
            (None, None) => String::new(),
        };
        text.push_str(&format!("{place}. {about} – {state}{more}\n"));
    }
    text
}

fn counts(result: &BatchResult) -> String {
    let counts = result.counts;
    let mut parts = vec![format!(
        "{} of {} succeeded",
        counts.succeeded, counts.total
    )];
    for (count, what) in [
        (counts.failed, "failed"),
        (counts.cancelled, "cancelled"),
        (counts.refused, "refused"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    parts.join(", ")
}

fn about(item: &BatchItem) -> &str {
    let title = item.title.as_deref();
    title.or(item.about.as_deref()).unwrap_or("–")
}

fn error(item: &BatchItem) -> String {
    let error = item.error.as_ref();
    error.map_or_else(
        || "–".to_owned(),
        |error| format!("{} ({})", error.message, error.code),
    )
}
