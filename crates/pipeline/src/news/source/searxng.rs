//! SearXNG: a search engine of the operator's own, which asks others.

use serde::Deserialize;
use serde_json::Value;

use super::service::{Found, Service, SourceSpec, entries};
use super::{Finds, Query, SearchError};
use crate::net::Want;

pub(super) static SPEC: SourceSpec = SourceSpec {
    gives: "what your own SearXNG finds at the engines it asks",
    traps: "answers 403 unless its settings.yml allows json under search.formats; engines that failed are told beside an empty list; ages are a day, a month or a year",
    ..SourceSpec::new("searxng", "", |service, query| {
        Box::pin(search(service, query))
    })
};

#[derive(Deserialize)]
struct Item {
    url: Option<String>,
    title: Option<String>,
    content: Option<String>,
    #[serde(rename = "publishedDate")]
    published: Option<String>,
}

async fn search(service: &Service, query: &Query) -> Result<Finds, SearchError> {
    let range = match query.days() {
        0..=1 => "day",
        2..=31 => "month",
        _ => "year",
    };
    let pairs = [
        ("q", query.q.as_str()),
        ("format", "json"),
        ("categories", "news"),
        ("language", &query.lang),
        ("time_range", range),
    ];
    let request = service.get("search", &pairs, Want::Answer);
    let answer = service.json(request, query).await.map_err(explained)?;
    let items: Vec<Item> = entries(&answer, "results")?;
    let silent = silent_engines(&answer);
    if items.is_empty() && !silent.is_empty() {
        let why = format!(
            "no results, and these engines failed: {}",
            silent.join(", ")
        );
        return Err(SearchError::Complaint(why));
    }
    let found = |item: &Item| {
        let found = Found {
            url: item.url.as_deref(),
            title: item.title.as_deref(),
            snippet: item.content.as_deref(),
            published: item.published.as_deref(),
            ..Found::default()
        };
        service.hit(found, query)
    };
    Ok(items.iter().filter_map(found).collect::<Vec<_>>().into())
}

fn explained(error: SearchError) -> SearchError {
    match error {
        SearchError::Status(403) | SearchError::Refused(403, _) => SearchError::Refused(
            403,
            "allow json under search.formats in its settings.yml".to_owned(),
        ),
        other => other,
    }
}

/// Names of the engines that did not answer: `[["bing news", "timeout"], …]`.
fn silent_engines(answer: &Value) -> Vec<String> {
    let engines = answer["unresponsive_engines"]
        .as_array()
        .into_iter()
        .flatten();
    let named = engines.filter_map(|engine| engine[0].as_str().or(engine.as_str()));
    named
        .take(10)
        .map(|name| name.chars().take(40).collect())
        .collect()
}
