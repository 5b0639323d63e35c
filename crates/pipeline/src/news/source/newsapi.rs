//! NewsAPI.org.

use serde::Deserialize;

use super::service::{Found, Service, SourceSpec, entries};
use super::{Finds, Query, SearchError};
use crate::net::{Request, Want};

/// Of articles that were taken down, only this is left.
const REMOVED: &str = "[Removed]";

pub(super) static SPEC: SourceSpec = SourceSpec {
    gives: "news sites in English",
    traps: "no Korean; tells errors as \"status\": \"error\"; articles taken down are listed as [Removed]; the developer plan is a day late",
    keys: &["newsapi"],
    langs: &["en"],
    ..SourceSpec::new("newsapi", "https://newsapi.org", |service, query| {
        Box::pin(search(service, query))
    })
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Article {
    source: Option<Publisher>,
    title: Option<String>,
    description: Option<String>,
    url: Option<String>,
    published_at: Option<String>,
}

#[derive(Deserialize)]
struct Publisher {
    name: Option<String>,
}

async fn search(service: &Service, query: &Query) -> Result<Finds, SearchError> {
    let from = query.oldest().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let (allow, deny) = (query.domains.allow.join(","), query.domains.deny.join(","));
    let mut pairs = vec![
        ("q", query.q.as_str()),
        ("from", &from),
        ("language", "en"),
        ("sortBy", "publishedAt"),
        ("pageSize", "50"),
    ];
    pairs.extend([("domains", allow.as_str()), ("excludeDomains", &deny)]);
    pairs.retain(|(_, value)| !value.is_empty());
    let request = Request {
        secrets: vec![("x-api-key", service.key(0))],
        ..service.get("v2/everything", &pairs, Want::Answer)
    };
    let answer = service.json(request, query).await?;
    if answer["status"] == "error" {
        let why = answer["message"].as_str().unwrap_or("error");
        return Err(SearchError::Complaint(service.complaint(why)));
    }
    let articles: Vec<Article> = entries(&answer, "articles")?;
    let there = articles
        .iter()
        .filter(|one| one.title.as_deref() != Some(REMOVED));
    let found = |article: &Article| {
        let found = Found {
            url: article.url.as_deref(),
            title: article.title.as_deref(),
            snippet: article.description.as_deref(),
            site: article
                .source
                .as_ref()
                .and_then(|source| source.name.as_deref()),
            published: article.published_at.as_deref(),
        };
        service.hit(found, query)
    };
    Ok(there.filter_map(found).collect::<Vec<_>>().into())
}
