//! Where hits come from. Each source is a file here and a line in [`SOURCES`].

mod brave;
mod feed;
mod gdelt;
mod google_news;
mod hacker_news;
mod listing;
mod naver;
mod newsapi;
mod searxng;
mod serper;
mod service;
mod tavily;
mod text;
mod turns;
mod wikipedia;

pub use feed::FeedSource;
pub use service::{Service, Settings, SourceSpec};
pub use turns::Turns;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use url::Url;

use super::canon::bare_host;
use super::limits::HITS_MAX;
use super::published::Published;
use super::token::is_korean;
use crate::net::FetchError;
use crate::net::limits::URL_BYTES_MAX;
use crate::script::types::{Domains, PlannedQuery, Since};

/// Every search service that there is. Feeds are sources too, one each.
pub static SOURCES: [&SourceSpec; 10] = [
    &gdelt::SPEC,
    &hacker_news::SPEC,
    &wikipedia::SPEC,
    &google_news::SPEC,
    &searxng::SPEC,
    &naver::SPEC,
    &newsapi::SPEC,
    &brave::SPEC,
    &tavily::SPEC,
    &serper::SPEC,
];

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
    pub published: Option<Published>,
    /// `ko` or `en`, by its letters.
    pub lang: String,
    /// Name of the source that gave it.
    pub via: String,
}

/// A headline without an address that can be fetched: something to look for
/// at the other sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lead {
    /// Headline, without the name of the site.
    pub title: String,
    /// Host of the site that has it, where the source knows it.
    pub host: Option<String>,
    /// When it was published.
    pub published: Option<Published>,
}

/// What a source gives for one query.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Finds {
    /// Pages, best first.
    pub hits: Vec<Hit>,
    /// Headlines to look for, best first.
    pub leads: Vec<Lead>,
}

impl Finds {
    /// What of it the query admits, and no more than one list may hold.
    pub(crate) fn admitted(mut self, query: &Query) -> Self {
        self.hits.retain(|hit| query.admits(hit));
        self.hits.truncate(HITS_MAX);
        self.leads.truncate(HITS_MAX);
        self
    }
}

impl From<Vec<Hit>> for Finds {
    fn from(hits: Vec<Hit>) -> Self {
        Self {
            hits,
            leads: Vec::new(),
        }
    }
}

/// What a source is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// The words to search for.
    pub q: String,
    /// `ko` or `en`.
    pub lang: String,
    /// The time of asking.
    pub now: Timestamp,
    /// How old a page may be.
    pub since: Since,
    /// Whether a page can be too old: the sample's pages do not age.
    pub ages: bool,
    /// The sites that may be found.
    pub domains: Domains,
}

impl Query {
    /// A query of a plan.
    pub fn of(planned: &PlannedQuery, now: Timestamp, since: Since, domains: &Domains) -> Self {
        Self {
            q: planned.q.clone(),
            lang: planned.lang.clone(),
            now,
            since,
            ages: true,
            domains: domains.clone(),
        }
    }

    /// A query in the language of its words, for anything of the last week.
    pub fn about(words: &str, now: Timestamp) -> Self {
        let planned = PlannedQuery {
            q: words.to_owned(),
            lang: if is_korean(words) { "ko" } else { "en" }.to_owned(),
            why: String::new(),
        };
        Self::of(&planned, now, Since::default(), &Domains::default())
    }

    /// Whether it asks for Korean pages.
    pub fn is_korean(&self) -> bool {
        self.lang == "ko"
    }

    /// The time of the oldest page that may be found.
    pub fn oldest(&self) -> Timestamp {
        let age = SignedDuration::from_hours(i64::from(self.since.hours()));
        self.now.checked_sub(age).unwrap_or(Timestamp::MIN)
    }

    /// The age in whole days, at least 1.
    pub fn days(&self) -> u32 {
        self.since.hours().div_ceil(24)
    }

    /// Whether a page may be found: not too old, as far as its source knows, on
    /// a site that may be read, and at an address that can be asked for.
    fn admits(&self, hit: &Hit) -> bool {
        let host = hit.url.host_str().unwrap_or_default();
        let recent = |published: Published| published.latest() >= self.oldest();
        (!self.ages || hit.published.is_none_or(recent))
            && may_be_read(&self.domains, host)
            && hit.url.as_str().len() <= URL_BYTES_MAX
    }
}

/// Whether the request lets pages of this host be found.
fn may_be_read(domains: &Domains, host: &str) -> bool {
    let among = |hosts: &[String]| hosts.iter().any(|site| is_of(host, site));
    !among(&domains.deny) && (domains.allow.is_empty() || among(&domains.allow))
}

/// Whether a host is a site's own or a subdomain of it.
pub(crate) fn is_of(host: &str, site: &str) -> bool {
    let (host, site) = (bare_host(host), bare_host(site));
    let rest = host.strip_suffix(site);
    rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Why a source gave nothing. Holds no key and no address with one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// It could not be fetched.
    #[error("cannot be fetched: {0}")]
    Fetch(FetchError),
    /// It answered with an HTTP status other than 2xx.
    #[error("answered with http status {0}")]
    Status(u16),
    /// The same, and it said why.
    #[error("answered with http status {0}: {1}")]
    Refused(u16, String),
    /// It answered 200, and told of an error.
    #[error("says: {0}")]
    Complaint(String),
    /// Its answer cannot be read.
    #[error("cannot be read: {0}")]
    Invalid(String),
    /// It did not answer in time.
    #[error("did not answer within {0} s")]
    Timeout(u64),
    /// It has asked for a pause that is not over.
    #[error("asked to be left alone for another {0} s")]
    Off(u64),
    /// Too many are waiting for their turn.
    #[error("its next turn is {0} s away")]
    Busy(u64),
}

/// What trying a source gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// Pages or leads that fit the query.
    pub hits: usize,
    /// All that it holds, where it holds a list.
    pub entries: Option<usize>,
    /// Time of the newest of them.
    pub newest: Option<Timestamp>,
}

/// Something that finds pages for a query: a feed, a search service.
#[async_trait]
pub trait NewsSource: Send + Sync {
    /// A short, stable name for reports and warnings.
    fn name(&self) -> &str;

    /// Whether it has pages of this language (`ko`, `en`).
    fn speaks(&self, _: &str) -> bool {
        true
    }

    /// The site that it is a part of, where the operator named it: pages of that
    /// site that it gives are taken to be the operator's word.
    fn site(&self) -> Option<url::Origin> {
        None
    }

    /// How many queries of one job it takes.
    fn queries_max(&self) -> usize {
        usize::MAX
    }

    /// Pages for a query, best first. Finding none is not an error. Some may be
    /// older, or on other sites, than the query allows: they are left out later.
    ///
    /// # Errors
    /// When the source cannot be asked or understood.
    async fn search(&self, query: &Query) -> Result<Finds, SearchError>;

    /// Tries the source, for the person who set it up.
    ///
    /// # Errors
    /// As [`NewsSource::search`].
    async fn check(&self, query: &Query) -> Result<Trial, SearchError> {
        let found = self.search(query).await?.admitted(query);
        let times = found.hits.iter().map(|hit| hit.published);
        let leads = found.leads.iter().map(|lead| lead.published);
        Ok(Trial {
            hits: found.hits.len() + found.leads.len(),
            entries: None,
            newest: times.chain(leads).flatten().map(|time| time.at).max(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domains(allow: &[&str], deny: &[&str]) -> Domains {
        let owned = |hosts: &[&str]| hosts.iter().map(|host| (*host).to_owned()).collect();
        Domains {
            allow: owned(allow),
            deny: owned(deny),
        }
    }

    #[test]
    fn a_site_stands_for_its_subdomains() {
        for (allow, deny, host, may) in [
            (vec![], vec![], "a.example", true),
            (vec!["a.example"], vec![], "news.a.example", true),
            (vec!["www.a.example"], vec![], "a.example", true),
            (vec!["a.example"], vec![], "aa.example", false),
            (vec!["a.example"], vec![], "b.example", false),
            (vec!["a.example"], vec!["b.a.example"], "b.a.example", false),
            (vec![], vec!["a.example"], "m.a.example", false),
        ] {
            let domains = domains(&allow, &deny);
            assert_eq!(
                may_be_read(&domains, host),
                may,
                "{allow:?} {deny:?} {host}"
            );
        }
    }
}
