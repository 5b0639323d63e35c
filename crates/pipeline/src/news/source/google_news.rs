//! Google News as RSS: headlines to look for. Its links lead through Google
//! and cannot be resolved, so they are never used.

use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use super::service::{Service, SourceSpec};
use super::text::{headline, name};
use super::{Finds, Lead, Query, SearchError};
use crate::net::Want;
use crate::news::limits::FEED_ENTRIES_MAX;
use crate::news::published;
use crate::news::token::is_korean;

pub(super) static SPEC: SourceSpec = SourceSpec {
    gives: "headlines that the other sources are then asked for",
    traps: "links cannot be resolved, so nothing is fetched from it: headline and site of each entry are looked for at the other sources",
    ..SourceSpec::new(
        "google_news",
        "https://news.google.com",
        |service, query| Box::pin(search(service, query)),
    )
};

async fn search(service: &Service, query: &Query) -> Result<Finds, SearchError> {
    let age = match query.since.hours() {
        hours if hours < 24 => format!("{hours}h"),
        _ => format!("{}d", query.days()),
    };
    let (language, country, edition) = if query.is_korean() {
        ("ko", "KR", "KR:ko")
    } else {
        ("en-US", "US", "US:en")
    };
    let words = format!("{} when:{age}", query.q);
    let pairs = [
        ("q", words.as_str()),
        ("hl", language),
        ("gl", country),
        ("ceid", edition),
    ];
    let request = service.get("rss/search", &pairs, Want::Feed);
    let page = service.ask(request, query).await?;
    let now = query.now;
    let leads = tokio::task::spawn_blocking(move || {
        let items = items(&page.body)?;
        Ok(items
            .into_iter()
            .filter_map(|item| lead(item, now))
            .collect())
    });
    let leads: Result<Vec<Lead>, SearchError> = leads
        .await
        .map_err(|error| SearchError::Invalid(error.to_string()))?;
    Ok(Finds {
        hits: Vec::new(),
        leads: leads?,
    })
}

/// An `<item>`, as far as it is used.
#[derive(Default)]
struct Item {
    title: String,
    published: String,
    source: String,
    source_url: Option<String>,
}

/// Read by hand, because feed-rs drops `<source>`.
fn items(body: &[u8]) -> Result<Vec<Item>, SearchError> {
    let text = String::from_utf8_lossy(body);
    let mut reader = Reader::from_str(&text);
    let mut items = Vec::new();
    let mut open: Option<Item> = None;
    let mut field = String::new();
    let mut is_feed = false;
    while items.len() < FEED_ENTRIES_MAX {
        let event = reader.read_event();
        match event.map_err(|error| SearchError::Invalid(error.to_string()))? {
            Event::Start(tag) => {
                field = tag.name().as_ref().to_owned();
                is_feed |= field == "rss";
                match field.as_str() {
                    "item" => open = Some(Item::default()),
                    "source" => set_site(&mut open, &tag),
                    _ => {}
                }
            }
            Event::Text(text) => push(&mut open, &field, &text),
            Event::CData(text) => push(&mut open, &field, &text),
            // Left as written: `headline` reads them with the markup of the text.
            Event::GeneralRef(name) => push(&mut open, &field, &format!("&{};", &*name)),
            Event::End(tag) if tag.name().as_ref() == "item" => items.extend(open.take()),
            Event::End(_) => field.clear(),
            Event::Eof => break,
            _ => {}
        }
    }
    if is_feed {
        Ok(items)
    } else {
        Err(SearchError::Invalid("not an RSS feed".to_owned()))
    }
}

fn set_site(open: &mut Option<Item>, tag: &BytesStart<'_>) {
    let url = tag.try_get_attribute("url").ok().flatten();
    if let (Some(item), Some(url)) = (open, url) {
        item.source_url = Some(url.value.into_owned());
    }
}

fn push(open: &mut Option<Item>, field: &str, text: &str) {
    let Some(item) = open else {
        return;
    };
    match field {
        "title" => item.title.push_str(text),
        "pubDate" => item.published.push_str(text),
        "source" => item.source.push_str(text),
        _ => {}
    }
}

/// The headline without the name of the site that Google puts behind it.
fn lead(item: Item, now: jiff::Timestamp) -> Option<Lead> {
    let title = headline(&item.title)?;
    let site = name(&item.source).unwrap_or_default();
    let title = match title.strip_suffix(&site).map(str::trim_end) {
        Some(rest) if !site.is_empty() => rest.strip_suffix('-').unwrap_or(rest).trim_end(),
        _ => &title,
    };
    let host = item.source_url.and_then(|url| {
        let url = url::Url::parse(&url).ok()?;
        url.host_str().map(str::to_owned)
    });
    (!title.is_empty()).then(|| Lead {
        title: title.to_owned(),
        host,
        published: published::parse(&item.published, now, is_korean(title)),
    })
}
