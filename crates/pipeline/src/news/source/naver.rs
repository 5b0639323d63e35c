//! Naver's news search: the news of Korea.

use serde::Deserialize;

use super::service::{Found, Service, SourceSpec, entries};
use super::{Finds, Query, SearchError};
use crate::net::{Request, Want};

pub(super) static SPEC: SourceSpec = SourceSpec {
    gives: "news of Korea, newest first",
    traps: "marks the words found with <b>, inside words too; the publisher's own address is originallink, which may be empty; 25,000 requests a day",
    keys: &["naver_id", "naver_secret"],
    langs: &["ko"],
    ..SourceSpec::new("naver", "https://openapi.naver.com", |service, query| {
        Box::pin(search(service, query))
    })
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    title: Option<String>,
    // Naver writes it in small letters.
    #[serde(rename = "originallink")]
    original_link: Option<String>,
    link: Option<String>,
    description: Option<String>,
    pub_date: Option<String>,
}

async fn search(service: &Service, query: &Query) -> Result<Finds, SearchError> {
    let pairs = [
        ("query", query.q.as_str()),
        ("display", "100"),
        ("start", "1"),
        ("sort", "date"),
    ];
    let request = Request {
        secrets: vec![
            ("x-naver-client-id", service.key(0)),
            ("x-naver-client-secret", service.key(1)),
        ],
        ..service.get("v1/search/news.json", &pairs, Want::Answer)
    };
    let answer = service.json(request, query).await?;
    let items: Vec<Item> = entries(&answer, "items")?;
    let found = |item: &Item| {
        let with = |url: &Option<String>| {
            let found = Found {
                url: url.as_deref(),
                title: item.title.as_deref(),
                snippet: item.description.as_deref(),
                published: item.pub_date.as_deref(),
                ..Found::default()
            };
            service.hit(found, query)
        };
        with(&item.original_link).or_else(|| with(&item.link))
    };
    Ok(items.iter().filter_map(found).collect::<Vec<_>>().into())
}
