//! GDELT DOC 2.0: the world's online news of three months, in 65 languages.

use std::time::Duration;

use serde::Deserialize;

use super::service::{Found, Service, SourceSpec, entries};
use super::text::cut;
use super::{Finds, Query, SearchError};
use crate::net::Want;

/// Characters of a query that it takes.
const QUERY_CHARS_MAX: usize = 250;
/// Sites that are named in a query; with more it is called too long.
const SITES_MAX: usize = 5;

/// GDELT asks for a request in 5 s at most, so a job gets two.
pub(super) static SPEC: SourceSpec = SourceSpec {
    gives: "news sites of the world, last 3 months",
    traps: "one request in 5 s; tells errors as plain text with status 200; sends raw line ends inside JSON; an empty object when nothing was found",
    pause: Duration::from_secs(5),
    queries_max: 2,
    ..SourceSpec::new("gdelt", "https://api.gdeltproject.org", |service, query| {
        Box::pin(search(service, query))
    })
};

#[derive(Deserialize)]
struct Article {
    url: Option<String>,
    title: Option<String>,
    seendate: Option<String>,
    domain: Option<String>,
}

async fn search(service: &Service, query: &Query) -> Result<Finds, SearchError> {
    let timespan = match query.since.hours() {
        hours if hours < 24 => format!("{hours}h"),
        _ => format!("{}d", query.days()),
    };
    let expression = expression(query);
    let pairs = [
        ("query", expression.as_str()),
        ("mode", "ArtList"),
        ("format", "json"),
        ("maxrecords", "50"),
        ("timespan", &timespan),
        ("sort", "DateDesc"),
    ];
    let request = service.get("api/v2/doc/doc", &pairs, Want::Answer);
    let answer = service.json(request, query).await?;
    if answer.get("articles").is_none() && answer.is_object() {
        return Ok(Finds::default());
    }
    let articles: Vec<Article> = entries(&answer, "articles")?;
    let found = |article: &Article| {
        let found = Found {
            url: article.url.as_deref(),
            title: article.title.as_deref(),
            site: article.domain.as_deref(),
            published: article.seendate.as_deref(),
            ..Found::default()
        };
        service.hit(found, query)
    };
    Ok(articles.iter().filter_map(found).collect::<Vec<_>>().into())
}

/// The words, without what it would take for operators, then the limits.
fn expression(query: &Query) -> String {
    let is_operator = |c: char| matches!(c, '"' | '(' | ')' | ':' | '<' | '>' | '?' | '*');
    let words: String = query
        .q
        .chars()
        .map(|c| if is_operator(c) { ' ' } else { c })
        .collect();
    let lang = if query.is_korean() {
        "korean"
    } else {
        "english"
    };
    let mut text = format!(
        "{} sourcelang:{lang}",
        cut(&words, QUERY_CHARS_MAX, usize::MAX)
    );
    let allowed = &query.domains.allow;
    match allowed.len() {
        0 => {}
        1 => text.push_str(&format!(" domain:{}", allowed[0])),
        2..=SITES_MAX => {
            let sites: Vec<String> = allowed
                .iter()
                .map(|site| format!("domain:{site}"))
                .collect();
            text.push_str(&format!(" ({})", sites.join(" OR ")));
        }
        // What it finds is filtered by host in any case.
        _ => {}
    }
    text
}
