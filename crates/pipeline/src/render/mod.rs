//! Shows a result: JSON, Markdown, chat text or a graph.
//!
//! All are pure functions of the result. Nothing in a result is trusted: titles
//! and sentences come from web pages. A format is one [`Rendering`] in a list:
//! the API, the command line and `all` read that list.

mod chat;
mod graph;
mod markdown;
mod rendering;
mod words;

use serde::de::DeserializeOwned;

use crate::script::types::ScriptResult;

pub use chat::chat;
pub use graph::{Dialect, graph};
pub(crate) use markdown::escape;
pub use markdown::markdown;
pub use rendering::{Choice, Given, Rendering};
pub(crate) use words::{name, one_line};

/// The viewer a graph is shaped for: the names of [`Dialect::ALL`].
const FOR: Choice = Choice {
    name: "for",
    values: &["canonical", "reactflow", "cytoscape", "d3"],
};
/// Whether a graph has a node per line.
const LINES: Choice = Choice {
    name: "lines",
    values: &["false", "true"],
};

/// How a script can be shown, beside JSON. To add a format, add its function here.
pub fn script() -> Vec<Rendering> {
    let [markdown, chat] = texts(markdown, chat);
    vec![markdown, chat, graph_of(|script: &ScriptResult| script)]
}

/// The two texts that every kind has: a report in Markdown, and one for a conversation.
pub(crate) fn texts<T: DeserializeOwned + 'static>(
    markdown: fn(&T) -> String,
    chat: fn(&T) -> String,
) -> [Rendering; 2] {
    [
        Rendering::new("markdown", "text/markdown; charset=utf-8", move |result| {
            Ok(markdown(result))
        }),
        Rendering::new("chat", "text/plain; charset=utf-8", move |result| {
            Ok(chat(result))
        }),
    ]
}

/// The graph of the script that a result is, or holds.
pub(crate) fn graph_of<T: DeserializeOwned>(
    script: impl Fn(&T) -> &ScriptResult + Send + Sync + 'static,
) -> Rendering {
    let drawn = move |result: &T, given: &Given<'_>| drawn(script(result), given);
    Rendering::with_options("graph", "application/json", &[FOR, LINES], drawn)
}

fn drawn(result: &ScriptResult, given: &Given<'_>) -> Result<String, String> {
    let dialect: Dialect = FOR
        .among(given)?
        .parse()
        .map_err(|error: graph::UnknownDialect| error.to_string())?;
    Ok(graph(result, dialect, LINES.among(given)? == "true"))
}
