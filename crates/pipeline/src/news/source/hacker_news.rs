//! Hacker News, through the search of Algolia.

use serde::Deserialize;

use super::service::{Found, Service, SourceSpec, entries};
use super::{Finds, Query, SearchError};
use crate::net::Want;

pub(super) static SPEC: SourceSpec = SourceSpec {
    gives: "pages that were discussed there, English",
    traps: "a story may have no address: it is a discussion and left out; at most 1000 hits for any query",
    langs: &["en"],
    ..SourceSpec::new("hacker_news", "https://hn.algolia.com", |service, query| {
        Box::pin(search(service, query))
    })
};

#[derive(Deserialize)]
struct Story {
    title: Option<String>,
    url: Option<String>,
    created_at: Option<String>,
    story_text: Option<String>,
}

async fn search(service: &Service, query: &Query) -> Result<Finds, SearchError> {
    let after = format!("created_at_i>{}", query.oldest().as_second());
    let pairs = [
        ("query", query.q.as_str()),
        ("tags", "story"),
        ("numericFilters", &after),
        ("hitsPerPage", "30"),
    ];
    let request = service.get("api/v1/search_by_date", &pairs, Want::Answer);
    let answer = service.json(request, query).await?;
    let stories: Vec<Story> = entries(&answer, "hits")?;
    let found = |story: &Story| {
        let found = Found {
            url: story.url.as_deref(),
            title: story.title.as_deref(),
            snippet: story.story_text.as_deref(),
            published: story.created_at.as_deref(),
            ..Found::default()
        };
        service.hit(found, query)
    };
    Ok(stories.iter().filter_map(found).collect::<Vec<_>>().into())
}
