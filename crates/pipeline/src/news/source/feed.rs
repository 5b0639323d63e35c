//! The source that reads a feed.

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use feed_rs::model::{Entry, Feed};
use feed_rs::parser::Builder;
use jiff::Timestamp;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

use super::listing::Listing;
use super::service::retry_after;
use super::text::{headline, name, plain};
use super::{Finds, Hit, NewsSource, Query, SearchError, Trial};
use crate::net::{Fetch, Page, Request, Validators, Want};
use crate::news::date;
use crate::news::limits::{FEED_ENTRIES_MAX, FEED_FAILURE_KEPT, FEED_KEPT, SERVICE_OFF_MAX};
use crate::news::published::Published;
use crate::news::token::is_korean;

/// One RSS, Atom or JSON feed.
///
/// It is read once and kept for ten minutes, so that the queries of a run,
/// and of the runs beside it, share it. Then it is asked for what has changed.
pub struct FeedSource {
    name: String,
    url: Url,
    fetch: Arc<dyn Fetch>,
    /// Held while the feed is read: the other queries wait for the same answer.
    latest: Mutex<Option<Latest>>,
}

struct Latest {
    kept_until: Instant,
    /// What the last request came to.
    listing: Result<Arc<Listing>, SearchError>,
    /// The last version that was read, whatever came after it.
    version: Option<Version>,
}

#[derive(Clone)]
struct Version {
    listing: Arc<Listing>,
    called: Validators,
}

impl FeedSource {
    /// A source over the feed at `url`, which the operator has set, named by
    /// its host and path. What its entries link to on other sites,
    /// strangers have named.
    pub fn new(url: Url, fetch: Arc<dyn Fetch>) -> Self {
        let name = format!("{}{}", url.host_str().unwrap_or_default(), url.path());
        Self {
            name,
            url,
            fetch,
            latest: Mutex::new(None),
        }
    }

    async fn listing(&self, now: Timestamp) -> Result<Arc<Listing>, SearchError> {
        let mut latest = self.latest.lock().await;
        if let Some(latest) = latest.as_ref()
            && Instant::now() < latest.kept_until
        {
            return latest.listing.clone();
        }
        let known = latest.as_ref().and_then(|latest| latest.version.clone());
        let page = self.ask(known.as_ref()).await;
        let off = page
            .as_ref()
            .ok()
            .and_then(|page| retry_after(page, SystemTime::from(now)));
        let read = match page {
            Ok(page) => self.read(page, known.as_ref()).await,
            Err(error) => Err(error),
        };
        let kept = match read {
            Ok(_) => FEED_KEPT,
            Err(_) => off
                .unwrap_or_default()
                .clamp(FEED_FAILURE_KEPT, SERVICE_OFF_MAX),
        };
        let listing = read.as_ref().map(|version| Arc::clone(&version.listing));
        let listing = listing.map_err(SearchError::clone);
        *latest = Some(Latest {
            kept_until: Instant::now() + kept,
            listing: listing.clone(),
            version: read.ok().or(known),
        });
        listing
    }

    async fn ask(&self, known: Option<&Version>) -> Result<Page, SearchError> {
        let request = Request {
            known: known
                .map(|version| version.called.clone())
                .unwrap_or_default(),
            ..Request::of_operator(self.url.clone(), Want::Feed)
        };
        self.fetch.send(&request).await.map_err(SearchError::Fetch)
    }

    async fn read(&self, page: Page, known: Option<&Version>) -> Result<Version, SearchError> {
        match (page.status, known) {
            (200..300, _) => {}
            (304, Some(known)) => return Ok(known.clone()),
            (status, _) => return Err(SearchError::Status(status)),
        }
        let called = Validators {
            etag: page.etag,
            last_modified: page.last_modified,
        };
        let via = self.name.clone();
        let parse = move || parse(&page.body, &page.url, &via).map(Listing::new);
        let listing = tokio::task::spawn_blocking(parse)
            .await
            .map_err(|error| SearchError::Invalid(error.to_string()))??;
        Ok(Version {
            listing: Arc::new(listing),
            called,
        })
    }
}

#[async_trait]
impl NewsSource for FeedSource {
    fn site(&self) -> Option<url::Origin> {
        Some(self.url.origin())
    }

    fn name(&self) -> &str {
        &self.name
    }

    async fn search(&self, query: &Query) -> Result<Finds, SearchError> {
        let listing = self.listing(query.now).await?;
        Ok(listing.matching(query).into())
    }

    async fn check(&self, query: &Query) -> Result<Trial, SearchError> {
        let listing = self.listing(query.now).await?;
        let times = listing.hits().filter_map(|hit| hit.published);
        Ok(Trial {
            hits: Finds::from(listing.matching(query))
                .admitted(query)
                .hits
                .len(),
            entries: Some(listing.hits().len()),
            newest: times.map(|time| time.at).max(),
        })
    }
}

fn parse(body: &[u8], base: &Url, via: &str) -> Result<Vec<Hit>, SearchError> {
    let mut feed = read_feed(body, base, false)?;
    let undated = feed.entries.iter().any(|entry| entry.published.is_none());
    let mut titles = String::new();
    for title in feed.entries.iter().filter_map(|entry| entry.title.as_ref()) {
        titles.push_str(&title.content);
    }
    if undated && is_korean(&titles) {
        feed = read_feed(body, base, true)?;
    }
    Ok(feed
        .entries
        .into_iter()
        .take(FEED_ENTRIES_MAX)
        .filter_map(|entry| hit(entry, base, via))
        .collect())
}

/// Korean feeds often give local time without an offset; `korean` takes it so.
fn read_feed(body: &[u8], base: &Url, korean: bool) -> Result<Feed, SearchError> {
    let parser = Builder::new()
        .base_uri(Some(base.as_str()))
        // Through text, because the parser wants a type of its own time crate.
        .timestamp_parser(move |text| date::timestamp(text, korean)?.to_string().parse().ok())
        .build();
    // Bytes, not text: the XML declaration names the charset.
    parser
        .parse(body)
        .map_err(|error| SearchError::Invalid(error.to_string()))
}

/// `None` when the entry has no headline or no address that can be read.
fn hit(entry: Entry, base: &Url, via: &str) -> Option<Hit> {
    let link = entry
        .links
        .iter()
        .find(|link| link.rel.as_deref().is_none_or(|rel| rel == "alternate"))
        .or(entry.links.first())?;
    let url = base.join(&link.href).ok()?;
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    let title = headline(&entry.title?.content)?;
    let summary = entry.summary.map(|text| text.content);
    let body = || entry.content.and_then(|content| content.body);
    let snippet = summary.or_else(body).and_then(|text| plain(&text));
    let lang = if is_korean(&title) { "ko" } else { "en" };
    Some(Hit {
        url,
        title,
        snippet,
        site: entry.source.as_deref().and_then(name),
        published: entry.published.or(entry.updated).and_then(published),
        lang: lang.to_owned(),
        via: via.to_owned(),
    })
}

fn published(time: impl Into<SystemTime>) -> Option<Published> {
    Timestamp::try_from(time.into())
        .ok()
        .map(Published::exactly)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(body: &[u8]) -> Vec<Hit> {
        let base = Url::parse("https://n.example/feed.xml").unwrap();
        parse(body, &base, "feed").unwrap()
    }

    fn rss(item: &str) -> Vec<u8> {
        format!(
            r#"<?xml version="1.0"?><rss version="2.0"><channel><title>t</title>{item}</channel></rss>"#
        )
        .into_bytes()
    }

    #[test]
    fn markup_and_relative_addresses_are_resolved() {
        let hits = parsed(&rss("<item><title>A &amp;amp; B</title><link>/a</link>\
             <description>&lt;p&gt;First &lt;b&gt;part&lt;/b&gt;&lt;/p&gt;</description></item>"));
        assert_eq!(hits[0].title, "A & B");
        assert_eq!(hits[0].url.as_str(), "https://n.example/a");
        assert_eq!(hits[0].snippet.as_deref(), Some("First part"));
    }

    #[test]
    fn local_time_is_korean_in_a_korean_feed_only() {
        let item = |title: &str| {
            rss(&format!(
                "<item><title>{title}</title><link>https://n.example/a</link>\
                 <pubDate>2026-11-16 09:12:00</pubDate></item>"
            ))
        };
        let korean = parsed(&item("심야버스 노선"))[0].published;
        let expected = Published::exactly("2026-11-16T00:12:00Z".parse().unwrap());
        assert_eq!(korean, Some(expected));
        assert_eq!(parsed(&item("Night bus"))[0].published, None);
    }

    #[test]
    fn entries_that_cannot_be_read_are_left_out() {
        assert!(parsed(&rss("<item><title>no link</title></item>")).is_empty());
        let mail = "<item><title>mail</title><link>mailto:a@b.example</link></item>";
        assert!(parsed(&rss(mail)).is_empty());
    }

    #[test]
    fn what_is_no_feed_is_an_error() {
        let base = Url::parse("https://n.example/").unwrap();
        assert!(parse(b"<html></html>", &base, "feed").is_err());
        assert!(parse(b"", &base, "feed").is_err());
    }
}
