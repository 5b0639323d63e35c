//! Shows a result: JSON, Markdown, chat text or a graph.
//!
//! All are pure functions of the result. Nothing in a result is trusted: titles
//! and sentences come from web pages.

mod chat;
mod graph;
mod markdown;
mod words;

use std::fmt;
use std::str::FromStr;

use crate::script::types::ScriptResult;

pub use graph::{Dialect, graph};
pub(crate) use markdown::escape;
pub(crate) use words::{name, one_line};

/// A rendering.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// The result itself.
    Json,
    /// A report with a timeline and tables.
    Markdown,
    /// Plain text for a conversation.
    Chat,
    /// Nodes and edges, as JSON.
    Graph,
}

impl Format {
    /// All renderings.
    pub const ALL: [Self; 4] = [Self::Json, Self::Markdown, Self::Chat, Self::Graph];

    /// The name used everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Markdown => "markdown",
            Self::Chat => "chat",
            Self::Graph => "graph",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A rendering that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected one of json, markdown, chat, graph, got {0:?}")]
pub struct UnknownFormat(pub String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|format| format.as_str() == text);
        found.ok_or_else(|| UnknownFormat(text.to_owned()))
    }
}

/// The result in a format; the graph in its canonical dialect, see [`graph`].
pub fn render(result: &ScriptResult, format: Format) -> String {
    match format {
        Format::Json => {
            serde_json::to_string_pretty(result).expect("a result holds nothing that JSON cannot")
        }
        Format::Markdown => markdown::markdown(result),
        Format::Chat => chat::chat(result),
        Format::Graph => graph(result, Dialect::Canonical, false),
    }
}

/// The `Content-Type` of a rendering.
pub fn content_type(format: Format) -> &'static str {
    match format {
        Format::Json | Format::Graph => "application/json",
        Format::Markdown => "text/markdown; charset=utf-8",
        Format::Chat => "text/plain; charset=utf-8",
    }
}
