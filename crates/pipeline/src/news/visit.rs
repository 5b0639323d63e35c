//! Fetches and reads one page, by the rules of its site.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::article::{self, Reading};
use super::canon::bare_host;
use super::date;
use super::host::{Hosts, Off};
use super::limits::ARTICLE_TIMEOUT;
use super::robots::{Access, Robots};
use super::search::Candidate;
use crate::digest::sha256_hex;
use crate::net::{Fetch, FetchError, Origin, Page, Request, Want};
use crate::script::types::{Article, Source, Verdict};

/// What a visit needs of the world.
pub(crate) struct Visitor<'a> {
    pub(crate) fetch: &'a dyn Fetch,
    pub(crate) robots: &'a Robots,
    pub(crate) hosts: &'a Hosts,
    /// The time that goes into `fetched_at`.
    pub(crate) now: Timestamp,
}

/// Why a page has no reading; each becomes a verdict.
enum Unread {
    Robots(String),
    Refused(String),
    Paywall,
    Failed(String),
}

impl From<Off> for Unread {
    fn from(off: Off) -> Self {
        Self::Refused(off.to_string())
    }
}

impl From<FetchError> for Unread {
    fn from(error: FetchError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl Visitor<'_> {
    /// Read a page. Never fails: what goes wrong is the article's verdict.
    pub(crate) async fn visit(&self, candidate: &Candidate) -> Article {
        let mut article = unread(candidate, self.now);
        match self.read(candidate).await {
            Ok((page, reading)) => {
                article.source.url = page.url;
                fill(&mut article, reading, candidate);
            }
            Err(why) => {
                let (verdict, error) = match why {
                    Unread::Robots(error) => (Verdict::Robots, error),
                    Unread::Refused(error) => (Verdict::Blocked, error),
                    Unread::Paywall => (Verdict::Paywall, "http status 402".to_owned()),
                    Unread::Failed(error) => (Verdict::Error, error),
                };
                article.source.verdict = verdict;
                article.source.error = Some(error);
            }
        }
        article
    }

    async fn read(&self, candidate: &Candidate) -> Result<(Page, Reading), Unread> {
        let page = self.page(candidate).await?;
        // A redirect may have led to a site with rules of its own.
        if page.url.host() != candidate.url.host() {
            self.access(&page.url, Origin::Stranger).await?;
        }
        match page.status {
            200..300 => {}
            402 => return Err(Unread::Paywall),
            401 | 403 | 429 | 451 | 503 => {
                return Err(Unread::Refused(format!("http status {}", page.status)));
            }
            status => return Err(Unread::Failed(format!("http status {status}"))),
        }
        let feed_title = candidate.hit.as_ref().map(|hit| hit.title.clone());
        let read = tokio::task::spawn_blocking(move || {
            let content_type = page.content_type.as_deref();
            let reading = article::read(&page.body, content_type, &page.url, feed_title.as_deref());
            (page, reading)
        });
        let (page, reading) = read
            .await
            .map_err(|error| Unread::Failed(error.to_string()))?;
        let reading = reading.map_err(|error| Unread::Failed(error.to_string()))?;
        Ok((page, reading))
    }

    /// The seconds that a site wants between requests, where it may be read.
    async fn access(&self, url: &Url, origin: Origin) -> Result<Option<Duration>, Unread> {
        let asked = self.robots.access(self.fetch, self.hosts, url, origin);
        let Access { closed, delay } = asked.await?;
        match closed {
            Some(why) => Err(Unread::Robots(why)),
            None => Ok(delay),
        }
    }

    async fn page(&self, candidate: &Candidate) -> Result<Page, Unread> {
        let delay = self.access(&candidate.url, candidate.origin).await?;
        let (page, begin) = self.ask(candidate, delay).await?;
        if !may_pass(&page) {
            return Ok(page?);
        }
        let again = timeout_at(begin + ARTICLE_TIMEOUT, self.ask(candidate, delay));
        match again.await {
            Ok(asked) => Ok(asked?.0?),
            Err(_) => Ok(page?),
        }
    }

    /// One request, when the host's turn has come, and when that was.
    async fn ask(
        &self,
        candidate: &Candidate,
        delay: Option<Duration>,
    ) -> Result<(Result<Page, FetchError>, Instant), Off> {
        let _turn = self.hosts.turn(&candidate.url, delay).await?;
        let begin = Instant::now();
        let request = Request::named_by(candidate.origin, candidate.url.clone(), Want::Html);
        let page = self.fetch.send(&request).await;
        if let Ok(page) = &page
            && matches!(page.status, 403 | 429 | 503)
        {
            // Where a redirect led, if there was one: that host refused.
            self.hosts.refused(&page.url);
        }
        Ok((page, begin))
    }
}

/// Whether a failure may be gone at the next request.
fn may_pass(page: &Result<Page, FetchError>) -> bool {
    match page {
        Ok(page) => matches!(page.status, 500 | 502 | 504),
        Err(error) => matches!(error, FetchError::Network(_)),
    }
}

/// The article of a page that has not been read.
pub(crate) fn unread(candidate: &Candidate, now: Timestamp) -> Article {
    let hit = candidate.hit.as_ref();
    let host = candidate.url.host_str().unwrap_or_default();
    Article {
        source: Source {
            id: String::new(),
            url: candidate.url.clone(),
            canonical_url: candidate.canonical.clone(),
            title: hit.map_or_else(|| candidate.url.to_string(), |hit| hit.title.clone()),
            site: hit
                .and_then(|hit| hit.site.clone())
                .unwrap_or_else(|| bare_host(host).to_owned()),
            author: None,
            published: None,
            date_from: None,
            fetched_at: now,
            lang: None,
            verdict: Verdict::Error,
            text_from: None,
            chars: 0,
            sha256: None,
            relevance: None,
            used: false,
            citations: 0,
            duplicate_of: None,
            also_reported_by: Vec::new(),
            error: Some("not read in time".to_owned()),
        },
        text: String::new(),
        images: Vec::new(),
    }
}

fn fill(article: &mut Article, reading: Reading, candidate: &Candidate) {
    let source = &mut article.source;
    // A feed gives the minute where an address gives the day.
    let from_hit = || {
        let hit = candidate.hit.as_ref()?;
        Some(date::from_hit(hit.published?, hit.lang == "ko"))
    };
    let dated = reading
        .published
        .or_else(from_hit)
        .or_else(|| date::from_url(&source.url));
    if let Some(title) = reading.title {
        source.title = title;
    }
    source.site = reading.site;
    source.author = reading.author;
    source.date_from = dated.as_ref().map(|dated| dated.from.to_owned());
    source.published = dated.map(|dated| dated.published);
    source.lang = reading.lang;
    source.verdict = reading.verdict;
    source.text_from = reading.text_from.map(str::to_owned);
    source.chars = reading.text.chars().count();
    source.sha256 = (!reading.text.is_empty()).then(|| sha256_hex(&reading.text));
    source.error = None;
    article.text = reading.text;
    article.images = reading.images;
}
