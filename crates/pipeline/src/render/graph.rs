//! Nodes and edges, for graph viewers.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use serde_json::{Value, json};

use crate::script::types::{ImageRecord, Script, ScriptResult, Section};

use super::words::{name, one_line, title};

/// Pixels between columns and rows, for viewers that lay nothing out.
const COLUMN_PX: usize = 240;
const ROW_PX: usize = 90;
/// Characters of a line's label.
const LABEL_CHARS_MAX: usize = 80;

/// The viewer a graph is shaped for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Dialect {
    /// `{"nodes", "edges"}`.
    #[default]
    Canonical,
    /// React Flow: nodes have a `position`, labels are in `data`.
    Reactflow,
    /// Cytoscape: everything is in `data`, under `elements`.
    Cytoscape,
    /// D3: edges are `links`.
    D3,
}

impl Dialect {
    /// All dialects.
    pub const ALL: [Self; 4] = [Self::Canonical, Self::Reactflow, Self::Cytoscape, Self::D3];

    fn name(self) -> &'static str {
        match self {
            Self::Canonical => "canonical",
            Self::Reactflow => "reactflow",
            Self::Cytoscape => "cytoscape",
            Self::D3 => "d3",
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A dialect that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected one of canonical, reactflow, cytoscape, d3, got {0:?}")]
pub struct UnknownDialect(pub String);

impl FromStr for Dialect {
    type Err = UnknownDialect;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|dialect| dialect.name() == text);
        found.ok_or_else(|| UnknownDialect(text.to_owned()))
    }
}

/// The result as a graph, in JSON. Without `lines`, sections point straight
/// at their sources and edges carry the number of citations as `weight`.
pub fn graph(result: &ScriptResult, dialect: Dialect, lines: bool) -> String {
    let mut graph = Graph::default();
    graph.request_and_steps(result);
    graph.queries_and_sources(result);
    graph.images(&result.images);
    graph.sections(&result.script, lines);
    let value = match dialect {
        Dialect::Canonical => json!({"nodes": graph.nodes, "edges": graph.edges}),
        Dialect::D3 => json!({"nodes": graph.nodes, "links": graph.edges}),
        Dialect::Cytoscape => json!({"elements": {
            "nodes": wrapped(&graph.nodes),
            "edges": wrapped(&graph.edges),
        }}),
        Dialect::Reactflow => graph.reactflow(),
    };
    serde_json::to_string_pretty(&value).expect("a JSON value can be written")
}

fn wrapped(items: &[impl Serialize]) -> Vec<Value> {
    items.iter().map(|item| json!({"data": item})).collect()
}

#[derive(Serialize)]
struct Node {
    id: String,
    kind: Kind,
    label: String,
    status: Option<String>,
    ms: Option<u64>,
    data: Value,
}

/// In the order of the columns.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Request,
    Step,
    Query,
    Section,
    Line,
    Source,
    Image,
}

#[derive(Serialize)]
struct Edge {
    id: String,
    source: String,
    target: String,
    kind: &'static str,
    weight: usize,
}

#[derive(Default)]
struct Graph {
    nodes: Vec<Node>,
    edges: Vec<Edge>,
}

impl Graph {
    fn node(&mut self, id: &str, kind: Kind, label: &str, status: Option<String>, data: Value) {
        let label = one_line(label);
        self.nodes.push(Node {
            id: id.to_owned(),
            kind,
            label,
            status,
            ms: None,
            data,
        });
    }

    fn edge(&mut self, source: &str, target: &str, kind: &'static str, weight: usize) {
        self.edges.push(Edge {
            id: format!("{source}>{target}"),
            source: source.to_owned(),
            target: target.to_owned(),
            kind,
            weight,
        });
    }

    fn request_and_steps(&mut self, result: &ScriptResult) {
        let data = json!({"type": result.request.script_type, "language": result.language, "generator": result.generator.name});
        self.node(
            "request",
            Kind::Request,
            &result.request.topic,
            Some(name(result.status)),
            data,
        );
        let mut before = "request".to_owned();
        for timing in &result.timings {
            let id = format!("step:{}", timing.step);
            let degraded = result.degraded.contains(&timing.step);
            let status = if degraded { "degraded" } else { "ok" };
            let data = json!({"items": timing.items, "failed": timing.failed});
            self.node(&id, Kind::Step, &timing.step, Some(status.to_owned()), data);
            if let Some(node) = self.nodes.last_mut() {
                node.ms = Some(timing.ms);
            }
            self.edge(&before, &id, "next", 1);
            before = id;
        }
    }

    /// The node of the first of these steps that was run, or the request.
    fn step(&self, names: &[&str]) -> String {
        let ids = names.iter().map(|name| format!("step:{name}"));
        ids.into_iter()
            .find(|id| self.nodes.iter().any(|node| node.id == *id))
            .unwrap_or_else(|| "request".to_owned())
    }

    fn queries_and_sources(&mut self, result: &ScriptResult) {
        let planner = self.step(&["plan"]);
        for (number, query) in result.queries.iter().enumerate() {
            let id = format!("query:{}", number + 1);
            let data = json!({"lang": query.lang, "hits": query.hits, "via": query.via});
            self.node(&id, Kind::Query, &query.q, None, data);
            self.edge(&planner, &id, "has", 1);
        }
        let finder = self.step(&["research", "fetch", "search"]);
        for source in &result.sources {
            let id = format!("source:{}", source.id);
            let url = matches!(source.url.scheme(), "http" | "https").then_some(&source.url);
            let data = json!({"url": url, "site": source.site, "published": source.published, "used": source.used, "citations": source.citations});
            self.node(
                &id,
                Kind::Source,
                title(source),
                Some(name(source.verdict)),
                data,
            );
            self.edge(&finder, &id, "found", 1);
        }
        for source in &result.sources {
            if let Some(original) = &source.duplicate_of {
                self.edge(
                    &format!("source:{}", source.id),
                    &format!("source:{original}"),
                    "duplicate_of",
                    1,
                );
            }
        }
    }

    fn images(&mut self, images: &[ImageRecord]) {
        for image in images {
            let id = format!("image:{}", image.id);
            let label = if image.alt.is_empty() {
                &image.id
            } else {
                &image.alt
            };
            let kind = image.analysis.as_ref().map(|seen| seen.kind);
            let data = json!({"stored": image.stored, "width": image.width, "height": image.height, "kind": kind, "used_in": image.used_in});
            self.node(&id, Kind::Image, label, None, data);
            self.edge(&id, &format!("source:{}", image.source), "image_of", 1);
        }
    }

    fn sections(&mut self, script: &Script, lines: bool) {
        let writer = self.step(&["write", "integrate"]);
        for section in &script.sections {
            let id = format!("section:{}", section.id);
            self.node(
                &id,
                Kind::Section,
                &section.heading,
                None,
                json!({"lines": section.lines.len()}),
            );
            self.edge(&writer, &id, "has", 1);
            if lines {
                self.lines(&id, section);
            } else {
                let sources = section
                    .lines
                    .iter()
                    .flat_map(|line| &line.cites)
                    .map(|c| &c.source);
                self.cites(&id, sources);
            }
        }
    }

    fn lines(&mut self, section_id: &str, section: &Section) {
        for line in &section.lines {
            let id = format!("line:{}", line.id);
            let label: String = line.text.chars().take(LABEL_CHARS_MAX).collect();
            let data = json!({"text": line.text, "origin": line.origin, "support": line.support});
            self.node(&id, Kind::Line, &label, Some(name(line.check)), data);
            self.edge(section_id, &id, "has", 1);
            self.cites(&id, line.cites.iter().map(|c| &c.source));
        }
    }

    /// One edge per source, as heavy as it is often cited.
    fn cites<'a>(&mut self, from: &str, sources: impl Iterator<Item = &'a String>) {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for source in sources {
            *counts.entry(source).or_default() += 1;
        }
        for (source, count) in counts {
            self.edge(from, &format!("source:{source}"), "cites", count);
        }
    }

    fn reactflow(&self) -> Value {
        let mut rows: HashMap<Kind, usize> = HashMap::new();
        let nodes: Vec<Value> = self
            .nodes
            .iter()
            .map(|node| {
                let row = rows.entry(node.kind).or_default();
                let position = json!({"x": node.kind as usize * COLUMN_PX, "y": *row * ROW_PX});
                *row += 1;
                let data = json!({"label": node.label, "kind": node.kind, "status": node.status, "ms": node.ms, "data": node.data});
                json!({"id": node.id, "position": position, "data": data})
            })
            .collect();
        let edges: Vec<Value> = self
            .edges
            .iter()
            .map(|edge| {
                let data = json!({"kind": edge.kind, "weight": edge.weight});
                json!({"id": edge.id, "source": edge.source, "target": edge.target, "data": data})
            })
            .collect();
        json!({"nodes": nodes, "edges": edges})
    }
}
