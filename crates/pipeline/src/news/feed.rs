//! Where hits come from: the trait, and the source that reads a feed.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use dom_query::Document;
use feed_rs::model::{Entry as FeedEntry, Feed};
use feed_rs::parser::Builder;
use jiff::Timestamp;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

use super::article::squeezed;
use super::date;
use super::limits::{FEED_ENTRIES_MAX, FEED_FAILURE_KEPT, FEED_KEPT, HITS_MAX};
use super::token::{is_korean, tokens};
use crate::net::{Fetch, FetchError, Want};
use crate::script::types::PlannedQuery;

/// Share of a query's tokens that an entry must hold. Low, because a headline
/// is short and the articles are ranked again once they are read.
const MATCH_MIN: f64 = 0.2;

/// A page that may be about what was asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// Where it is.
    pub url: Url,
    /// Headline.
    pub title: String,
    /// Start or summary of the text, without markup.
    pub snippet: Option<String>,
    /// Name of the site, where the source knows it.
    pub site: Option<String>,
    /// When it was published.
    pub published: Option<Timestamp>,
    /// `ko` or `en`, by its letters.
    pub lang: String,
    /// Name of the source that gave it.
    pub via: String,
}

/// Why a source gave nothing. It is asked again in a later run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// It could not be fetched.
    #[error("cannot be fetched: {0}")]
    Fetch(FetchError),
    /// It answered with an HTTP status other than 2xx.
    #[error("answered with http status {0}")]
    Status(u16),
    /// Its answer cannot be read.
    #[error("cannot be read: {0}")]
    Invalid(String),
    /// It did not answer in time.
    #[error("did not answer within {0} s")]
    Timeout(u64),
}

/// Something that finds pages for a query: a feed, a search service.
#[async_trait]
pub trait NewsSource: Send + Sync {
    /// A short, stable name for reports and warnings.
    fn name(&self) -> &str;

    /// Pages for a query, best first. Finding none is not an error.
    ///
    /// # Errors
    /// When the source cannot be asked or understood.
    async fn search(&self, query: &PlannedQuery) -> Result<Vec<Hit>, SearchError>;
}

/// One RSS, Atom or JSON feed.
///
/// It is read once and kept for ten minutes, so that the queries of a run,
/// and of the runs beside it, share it.
pub struct FeedSource {
    name: String,
    url: Url,
    fetch: Arc<dyn Fetch>,
    /// Held while the feed is read: the other queries wait for the same answer.
    latest: Mutex<Option<Latest>>,
}

struct Latest {
    kept_until: Instant,
    entries: Result<Arc<Vec<Entry>>, SearchError>,
}

/// A hit and the tokens it is matched by.
struct Entry {
    hit: Hit,
    tokens: HashSet<String>,
}

impl FeedSource {
    /// A source over the feed at `url`, named by its host and path.
    pub fn new(url: Url, fetch: Arc<dyn Fetch>) -> Self {
        let name = format!("{}{}", url.host_str().unwrap_or_default(), url.path());
        Self {
            name,
            url,
            fetch,
            latest: Mutex::new(None),
        }
    }

    async fn entries(&self) -> Result<Arc<Vec<Entry>>, SearchError> {
        let mut latest = self.latest.lock().await;
        if let Some(latest) = latest.as_ref()
            && Instant::now() < latest.kept_until
        {
            return latest.entries.clone();
        }
        let entries = self.read().await.map(Arc::new);
        let kept = match entries {
            Ok(_) => FEED_KEPT,
            Err(_) => FEED_FAILURE_KEPT,
        };
        *latest = Some(Latest {
            kept_until: Instant::now() + kept,
            entries: entries.clone(),
        });
        entries
    }

    async fn read(&self) -> Result<Vec<Entry>, SearchError> {
        let page = self
            .fetch
            .get(&self.url, Want::Feed)
            .await
            .map_err(SearchError::Fetch)?;
        if !(200..300).contains(&page.status) {
            return Err(SearchError::Status(page.status));
        }
        let via = self.name.clone();
        tokio::task::spawn_blocking(move || parse(&page.body, &page.url, &via))
            .await
            .map_err(|error| SearchError::Invalid(error.to_string()))?
    }
}

#[async_trait]
impl NewsSource for FeedSource {
    fn name(&self) -> &str {
        &self.name
    }

    async fn search(&self, query: &PlannedQuery) -> Result<Vec<Hit>, SearchError> {
        let entries = self.entries().await?;
        let asked: HashSet<String> = tokens(&query.q).into_iter().collect();
        let mut matching: Vec<(f64, &Hit)> = entries
            .iter()
            .map(|entry| (entry.covers(&asked), &entry.hit))
            .filter(|(covered, _)| *covered >= MATCH_MIN)
            .collect();
        // Stable: of equal matches of one day, the feed's own order decides.
        matching.sort_by(|(a, one), (b, other)| {
            b.total_cmp(a)
                .then_with(|| other.published.cmp(&one.published))
        });
        Ok(matching
            .into_iter()
            .take(HITS_MAX)
            .map(|(_, hit)| hit.clone())
            .collect())
    }
}

impl Entry {
    /// Share of the asked tokens that the entry holds.
    fn covers(&self, asked: &HashSet<String>) -> f64 {
        if asked.is_empty() {
            return 0.0;
        }
        let held = asked
            .iter()
            .filter(|token| self.tokens.contains(*token))
            .count();
        // A query has a few dozen tokens, exact in a float.
        held as f64 / asked.len() as f64
    }
}

fn parse(body: &[u8], base: &Url, via: &str) -> Result<Vec<Entry>, SearchError> {
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
        .map(|hit| {
            let text = format!(
                "{} {}",
                hit.title,
                hit.snippet.as_deref().unwrap_or_default()
            );
            Entry {
                tokens: tokens(&text).into_iter().collect(),
                hit,
            }
        })
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
fn hit(entry: FeedEntry, base: &Url, via: &str) -> Option<Hit> {
    let link = entry
        .links
        .iter()
        .find(|link| link.rel.as_deref().is_none_or(|rel| rel == "alternate"))
        .or(entry.links.first())?;
    let url = base.join(&link.href).ok()?;
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    let title = plain(&entry.title?.content)?;
    let summary = entry.summary.map(|text| text.content);
    let body = || entry.content.and_then(|content| content.body);
    let snippet = summary.or_else(body).and_then(|text| plain(&text));
    let lang = if is_korean(&title) { "ko" } else { "en" };
    Some(Hit {
        url,
        title,
        snippet,
        site: entry.source,
        published: entry.published.or(entry.updated).and_then(moment),
        lang: lang.to_owned(),
        via: via.to_owned(),
    })
}

fn moment(time: impl Into<std::time::SystemTime>) -> Option<Timestamp> {
    Timestamp::try_from(time.into()).ok()
}

/// Text without markup; feeds escape it once more than they should.
fn plain(text: &str) -> Option<String> {
    if text.contains(['<', '&']) {
        squeezed(&Document::fragment(text).text())
    } else {
        squeezed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(body: &[u8]) -> Vec<Hit> {
        let base = Url::parse("https://n.example/feed.xml").unwrap();
        let entries = parse(body, &base, "feed").unwrap();
        entries.into_iter().map(|entry| entry.hit).collect()
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
        assert_eq!(korean, "2026-11-16T00:12:00Z".parse().ok());
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
