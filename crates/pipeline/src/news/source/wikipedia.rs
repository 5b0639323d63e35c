//! Wikipedia's portal of current events: each day's news, picked by people,
//! with the reports they rest on.

use std::sync::Arc;
use std::time::Duration;

use dom_query::{Document, Selection};
use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::Offset;
use serde_json::Value;

use super::listing::Listing;
use super::service::{Found, Service, SourceSpec};
use super::{Finds, Hit, Query, SearchError};
use crate::net::Want;
use crate::news::limits::TAGS_MAX;
use crate::news::markup;

/// Days that are read, newest first; each is a request.
const DAYS_MAX: i32 = 7;

pub(super) static SPEC: SourceSpec = SourceSpec {
    gives: "the reports behind each day's events, English",
    traps: "English only; a day's page may not be written yet; links alone have no words to match, so the sentence around them is read",
    langs: &["en"],
    // Wikimedia asks for one request after the other.
    pause: Duration::from_millis(100),
    kept: Duration::from_secs(600),
    ..SourceSpec::new("wikipedia", "https://en.wikipedia.org", |service, query| {
        Box::pin(search(service, query))
    })
};

async fn search(service: &Service, query: &Query) -> Result<Finds, SearchError> {
    let today = Offset::UTC.to_datetime(query.now).date();
    let days = DAYS_MAX.min(i32::try_from(query.days()).unwrap_or(DAYS_MAX));
    let mut found = Vec::new();
    for back in 0..days {
        let Ok(day) = today.checked_sub(back.days()) else {
            break;
        };
        if let Some(page) = page(service, query, day).await? {
            found.push((day, page));
        }
    }
    let events = tokio::task::spawn_blocking(move || {
        found
            .iter()
            .flat_map(|(day, page)| events(page, *day))
            .collect::<Vec<_>>()
    });
    let events = events
        .await
        .map_err(|error| SearchError::Invalid(error.to_string()))?;
    let hits = events.iter().filter_map(|event| hit(service, query, event));
    Ok(Listing::new(hits).matching(query).into())
}

/// The HTML of a day; `None` when nobody has written it yet.
async fn page(
    service: &Service,
    query: &Query,
    day: Date,
) -> Result<Option<Arc<Value>>, SearchError> {
    let title = day.strftime("Portal:Current_events/%Y_%B_%-d").to_string();
    let pairs = [
        ("action", "parse"),
        ("page", title.as_str()),
        ("prop", "text"),
        ("format", "json"),
        ("formatversion", "2"),
    ];
    let request = service.get("w/api.php", &pairs, Want::Answer);
    let answer = service.json_kept(request, query).await?;
    match answer["error"]["code"].as_str() {
        Some("missingtitle") => Ok(None),
        Some(code) => Err(SearchError::Complaint(service.complaint(code))),
        None if answer["parse"]["text"].is_string() => Ok(Some(answer)),
        None => Err(SearchError::Invalid("no text in the answer".to_owned())),
    }
}

struct Event {
    url: String,
    what: String,
    site: String,
    day: String,
}

/// A sentence and the reports that it ends with: `… (Reuters) (AP)`.
fn events(page: &Value, day: Date) -> Vec<Event> {
    let html = page["parse"]["text"].as_str().unwrap_or_default();
    if markup::check(html, TAGS_MAX).is_err() {
        return Vec::new();
    }
    let doc = Document::fragment(html);
    let items = doc.select("li");
    let leaves = items.iter().filter(|item| item.select("li").is_empty());
    leaves.flat_map(|item| reports(&item, day)).collect()
}

fn reports(item: &Selection<'_>, day: Date) -> Vec<Event> {
    let text = item.text();
    let links = item.select("a.external");
    let event = |link: Selection<'_>| {
        let site = link.text();
        let site = site.trim().trim_matches(['(', ')']).to_owned();
        // The sentence ends where the first report is named.
        let what = text.split(&format!("({site})")).next().unwrap_or(&text);
        Some(Event {
            url: link.attr("href")?.to_string(),
            what: what.trim().to_owned(),
            site,
            day: day.to_string(),
        })
    };
    links.iter().filter_map(event).collect()
}

fn hit(service: &Service, query: &Query, event: &Event) -> Option<Hit> {
    let found = Found {
        url: Some(&event.url),
        title: Some(&event.what),
        site: Some(&event.site),
        published: Some(&event.day),
        ..Found::default()
    };
    service.hit(found, query)
}
