//! Serper.dev: Google's news results.

use serde::Deserialize;
use serde_json::json;

use super::service::{Found, Service, SourceSpec, entries};
use super::{Finds, Query, SearchError};
use crate::net::{Request, Want};

pub(super) static SPEC: SourceSpec = SourceSpec {
    gives: "Google's news results",
    traps: "times are relative and in the language asked for (\"3일 전\"); an error has no list",
    keys: &["serper"],
    ..SourceSpec::new("serper", "https://google.serper.dev", |service, query| {
        Box::pin(search(service, query))
    })
};

#[derive(Deserialize)]
struct Item {
    title: Option<String>,
    link: Option<String>,
    snippet: Option<String>,
    date: Option<String>,
    source: Option<String>,
}

async fn search(service: &Service, query: &Query) -> Result<Finds, SearchError> {
    let (country, lang) = if query.is_korean() {
        ("kr", "ko")
    } else {
        ("us", "en")
    };
    let range = match query.since.hours() {
        0..=1 => "h",
        2..=24 => "d",
        25..=168 => "w",
        169..=744 => "m",
        _ => "y",
    };
    let body = json!({ "q": query.q, "gl": country, "hl": lang, "tbs": format!("qdr:{range}") });
    let request = Request {
        secrets: vec![("x-api-key", service.key(0))],
        json: Some(body.to_string().into()),
        ..service.get("news", &[], Want::Answer)
    };
    let answer = service.json(request, query).await?;
    let items: Vec<Item> = entries(&answer, "news")?;
    let found = |item: &Item| {
        let found = Found {
            url: item.link.as_deref(),
            title: item.title.as_deref(),
            snippet: item.snippet.as_deref(),
            site: item.source.as_deref(),
            published: item.date.as_deref(),
        };
        service.hit(found, query)
    };
    Ok(items.iter().filter_map(found).collect::<Vec<_>>().into())
}
