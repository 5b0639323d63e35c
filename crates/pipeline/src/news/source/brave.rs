//! Brave's news search.

use serde::Deserialize;

use super::service::{Found, Service, SourceSpec, entries};
use super::text::cut;
use super::{Finds, Query, SearchError};
use crate::net::{Request, Want};

/// What it takes of a query, by its documentation.
const QUERY_CHARS_MAX: usize = 400;
const QUERY_WORDS_MAX: usize = 50;

pub(super) static SPEC: SourceSpec = SourceSpec {
    gives: "news of its own index",
    traps: "any field may be missing, the list too when nothing was found; times without an offset: the day is taken",
    keys: &["brave"],
    ..SourceSpec::new("brave", "https://api.search.brave.com", |service, query| {
        Box::pin(search(service, query))
    })
};

#[derive(Deserialize)]
struct Item {
    url: Option<String>,
    title: Option<String>,
    description: Option<String>,
    age: Option<String>,
    page_age: Option<String>,
    meta_url: Option<Site>,
}

#[derive(Deserialize)]
struct Site {
    hostname: Option<String>,
}

async fn search(service: &Service, query: &Query) -> Result<Finds, SearchError> {
    let (country, lang) = if query.is_korean() {
        ("KR", "ko")
    } else {
        ("US", "en")
    };
    let freshness = freshness(query);
    let pairs = [
        ("q", &*cut(&query.q, QUERY_CHARS_MAX, QUERY_WORDS_MAX)),
        ("country", country),
        ("search_lang", lang),
        ("freshness", &freshness),
        ("count", "20"),
    ];
    let request = Request {
        secrets: vec![("x-subscription-token", service.key(0))],
        ..service.get("res/v1/news/search", &pairs, Want::Answer)
    };
    let answer = service.json(request, query).await?;
    if answer.get("results").is_none() && answer.is_object() {
        return Ok(Finds::default());
    }
    let items: Vec<Item> = entries(&answer, "results")?;
    let found = |item: &Item| {
        let found = Found {
            url: item.url.as_deref(),
            title: item.title.as_deref(),
            snippet: item.description.as_deref(),
            site: item
                .meta_url
                .as_ref()
                .and_then(|site| site.hostname.as_deref()),
            published: item.page_age.as_deref().or(item.age.as_deref()),
        };
        service.hit(found, query)
    };
    Ok(items.iter().filter_map(found).collect::<Vec<_>>().into())
}

/// A day, a week or a month by name; anything longer by its dates.
fn freshness(query: &Query) -> String {
    match query.days() {
        0..=1 => "pd".to_owned(),
        2..=7 => "pw".to_owned(),
        8..=31 => "pm".to_owned(),
        _ => {
            let day = |time: jiff::Timestamp| time.strftime("%Y-%m-%d").to_string();
            format!("{}to{}", day(query.oldest()), day(query.now))
        }
    }
}
