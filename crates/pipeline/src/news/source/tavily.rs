//! Tavily's search.

use serde::Deserialize;
use serde_json::json;

use super::service::{Found, Service, SourceSpec, entries};
use super::text::{cut, without_sites};
use super::{Finds, Query, SearchError};
use crate::net::{Request, Want};
use crate::secret::Secret;

/// With more it answers 400.
const QUERY_CHARS_MAX: usize = 400;

pub(super) static SPEC: SourceSpec = SourceSpec {
    gives: "news, ranked for language models",
    traps: "400 for a query above 400 characters, so it is cut; site: finds nothing, so sites are named in include_domains",
    keys: &["tavily"],
    ..SourceSpec::new("tavily", "https://api.tavily.com", |service, query| {
        Box::pin(search(service, query))
    })
};

#[derive(Deserialize)]
struct Item {
    title: Option<String>,
    url: Option<String>,
    content: Option<String>,
    published_date: Option<String>,
}

async fn search(service: &Service, query: &Query) -> Result<Finds, SearchError> {
    let (words, mut sites) = without_sites(&query.q);
    if !query.domains.allow.is_empty() {
        sites.clone_from(&query.domains.allow);
    }
    let body = json!({
        "query": cut(&words, QUERY_CHARS_MAX, usize::MAX),
        "topic": "news",
        "days": query.days(),
        "max_results": 10,
        "include_domains": sites,
        "exclude_domains": query.domains.deny,
    });
    let bearer = format!("Bearer {}", service.key(0).expose());
    let request = Request {
        secrets: vec![("authorization", Secret::new(bearer))],
        json: Some(body.to_string().into()),
        ..service.get("search", &[], Want::Answer)
    };
    let answer = service.json(request, query).await?;
    let items: Vec<Item> = entries(&answer, "results")?;
    let found = |item: &Item| {
        let found = Found {
            url: item.url.as_deref(),
            title: item.title.as_deref(),
            snippet: item.content.as_deref(),
            published: item.published_date.as_deref(),
            ..Found::default()
        };
        service.hit(found, query)
    };
    Ok(items.iter().filter_map(found).collect::<Vec<_>>().into())
}
