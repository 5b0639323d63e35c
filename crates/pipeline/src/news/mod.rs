//! News research: find pages, read them, keep what fits the topic.
//!
//! [`Research::run`] asks every [`NewsSource`] every query, merges the hits,
//! reads the best of them by the rules of their sites, marks repeats, drops
//! what is beside the topic, and never fails: what goes wrong is a verdict of
//! a page or a warning, and finding nothing is an empty dossier.

mod article;
mod boilerplate;
mod canon;
mod date;
mod decode;
mod dossier;
mod duplicate;
mod host;
mod jsonld;
mod lead;
pub mod limits;
mod markup;
mod picture;
mod published;
pub(crate) mod rank;
mod robots;
mod search;
mod source;
mod text;
pub(crate) mod token;
mod verdict;
mod visit;

pub use published::Published;
pub use source::{
    FeedSource, Finds, Hit, Lead, NewsSource, Query, SOURCES, SearchError, Service, Settings,
    SourceSpec, Trial, Turns,
};

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};
use url::Url;

use self::dossier::{Digest, asks, digest};
use self::host::Hosts;
use self::limits::{ENOUGH_ARTICLES, HOST_GAP, READING_CUTOFF, READING_DEADLINE, READS_AT_ONCE};
use self::robots::Robots;
use self::search::Candidate;
use self::visit::{Visitor, unread};
use crate::net::{CorpusFetcher, Fetch};
use crate::script::types::{
    Article, Corpus, Domains, Dossier, PlannedQuery, Since, Source, Verdict, Warning,
};

/// Told how the research goes on. Called from the running task: must not block.
pub trait ResearchWatch: Send + Sync {
    /// The sources have answered; so many different pages were found.
    fn found(&self, hits: usize);
    /// A page has been looked at, `done` of `total`. Its id is still empty:
    /// ids follow relevance, which is known at the end.
    fn article(&self, source: &Source, done: usize, total: usize);
}

/// Nobody watches.
impl ResearchWatch for () {
    fn found(&self, _: usize) {}
    fn article(&self, _: &Source, _: usize, _: usize) {}
}

/// What a research is about.
#[derive(Debug, Clone, Copy)]
pub struct Inquiry<'a> {
    /// The topic as asked.
    pub topic: &'a str,
    /// The queries of the plan.
    pub queries: &'a [PlannedQuery],
    /// Pages that are read in any case, whatever their age and site.
    pub seed_urls: &'a [Url],
    /// Pages read at most.
    pub max_sources: usize,
    /// How old a page that is found may be. The sample's pages have no age.
    pub since: Since,
    /// The sites that may be found.
    pub domains: &'a Domains,
    /// The time of asking.
    pub now: Timestamp,
    /// When it ends with what it has, if there is such a time. The search has
    /// half of the time until then, and reading half of the rest once
    /// [`ENOUGH_ARTICLES`] are readable, so that there is time to write.
    pub deadline: Option<Instant>,
}

/// Finds and reads what is written about a topic.
pub struct Research {
    fetch: Arc<dyn Fetch>,
    sources: Vec<Arc<dyn NewsSource>>,
    hosts: Arc<Hosts>,
    robots: Arc<Robots>,
    corpus: Corpus,
    suggestions: Vec<String>,
}

impl Research {
    /// Research in the bundled sample; needs no network.
    pub fn sample() -> Self {
        let topics = CorpusFetcher::topics()
            .iter()
            .map(|topic| (*topic).to_owned());
        let fetch: Arc<dyn Fetch> = Arc::new(CorpusFetcher);
        Self {
            sources: feeds(CorpusFetcher::feeds(), &fetch),
            fetch,
            // Nobody is disturbed by reading from memory.
            hosts: Arc::new(Hosts::new(Duration::ZERO)),
            robots: Arc::default(),
            corpus: Corpus::Sample,
            suggestions: topics.collect(),
        }
    }

    /// Research in the pages that the given sources find, read through `fetch`.
    pub fn live(sources: Vec<Arc<dyn NewsSource>>, fetch: Arc<dyn Fetch>) -> Self {
        Self {
            sources,
            fetch,
            hosts: Arc::new(Hosts::new(HOST_GAP)),
            robots: Arc::default(),
            corpus: Corpus::Live,
            suggestions: Vec::new(),
        }
    }

    /// Where the pages come from.
    pub fn corpus(&self) -> Corpus {
        self.corpus
    }

    /// The door that pages come through; images share it and its bound.
    pub(crate) fn door(&self) -> &dyn Fetch {
        &*self.fetch
    }

    /// The same research with one more source.
    #[must_use]
    pub fn with_source(mut self, source: Arc<dyn NewsSource>) -> Self {
        self.sources.push(source);
        self
    }

    /// The same research with another time between two requests to one host.
    #[must_use]
    pub fn with_host_gap(mut self, gap: Duration) -> Self {
        self.hosts = Arc::new(Hosts::new(gap));
        self
    }

    /// The same research, with another one's turns at hosts and what it knows of them.
    #[must_use]
    pub fn mannered_as(mut self, other: &Research) -> Self {
        self.hosts = other.hosts.clone();
        self.robots = other.robots.clone();
        self
    }

    /// Find and read at most `max_sources` pages, those of `seed_urls` first.
    ///
    /// Dropping the future stops it; a page being parsed is finished unseen.
    pub async fn run(&self, inquiry: &Inquiry<'_>, watch: &dyn ResearchWatch) -> Dossier {
        let Inquiry {
            topic,
            queries,
            seed_urls,
            max_sources,
            deadline,
            ..
        } = *inquiry;
        let half = deadline.map(half_way);
        let found = search::search(&self.sources, &self.asked(inquiry), half).await;
        watch.found(found.candidates.len());
        let mut warnings = found.warnings;
        let candidates = choose(seed_urls, found.candidates, max_sources, &mut warnings);
        let read = self
            .read_all(candidates, inquiry, watch, &mut warnings)
            .await;
        let asks = asks(topic, queries);
        let digested = tokio::task::spawn_blocking(move || digest(&asks, read)).await;
        let articles = match digested {
            Ok(Digest {
                articles,
                warnings: dropped,
            }) => {
                warnings.extend(dropped);
                articles
            }
            Err(error) => {
                warnings.push(warning("research_failed", error.to_string()));
                Vec::new()
            }
        };
        let nothing = !articles.iter().any(is_readable);
        Dossier {
            articles,
            queries: found.reports,
            suggestions: if nothing {
                self.suggestions.clone()
            } else {
                Vec::new()
            },
            corpus: self.corpus,
            warnings,
        }
    }

    fn asked(&self, inquiry: &Inquiry<'_>) -> Vec<Query> {
        let (now, since, domains) = (inquiry.now, inquiry.since, inquiry.domains);
        let queries = inquiry.queries.iter();
        queries
            .map(|planned| Query {
                ages: self.corpus == Corpus::Live,
                ..Query::of(planned, now, since, domains)
            })
            .collect()
    }

    /// Read the candidates; those not reached in time say so.
    async fn read_all(
        &self,
        candidates: Vec<Candidate>,
        &Inquiry { now, deadline, .. }: &Inquiry<'_>,
        watch: &dyn ResearchWatch,
        warnings: &mut Vec<Warning>,
    ) -> Vec<(Candidate, Article)> {
        let visitor = Visitor {
            fetch: &*self.fetch,
            robots: &self.robots,
            hosts: &self.hosts,
            now,
        };
        let total = candidates.len();
        // By the candidate's place, not by who is faster.
        let mut articles: Vec<Article> = candidates.iter().map(|one| unread(one, now)).collect();
        let visits: Vec<_> = candidates
            .iter()
            .enumerate()
            .map(|(place, candidate)| {
                let visit = visitor.visit(candidate);
                async move { (place, visit.await) }
            })
            .collect();
        let mut visits = stream::iter(visits).buffer_unordered(READS_AT_ONCE);
        let begin = Instant::now();
        let by = |limit, deadline: Option<Instant>| {
            let own = begin + limit;
            deadline.map_or(own, |deadline| deadline.min(own))
        };
        let ends = [
            by(READING_CUTOFF, deadline),
            by(READING_DEADLINE, deadline.map(half_way)),
        ];
        let (mut done, mut readable) = (0, 0);
        while done < total {
            let end = ends[usize::from(readable >= ENOUGH_ARTICLES)];
            let Ok(Some((place, article))) = timeout_at(end, visits.next()).await else {
                break;
            };
            done += 1;
            readable += usize::from(is_readable(&article));
            watch.article(&article.source, done, total);
            articles[place] = article;
        }
        drop(visits);
        if done < total {
            let late = format!("{} of {total} pages not read in time", total - done);
            warnings.push(warning("research_deadline", late));
        }
        candidates.into_iter().zip(articles).collect()
    }
}

/// A source for each feed, read through `fetch`.
pub fn feeds(urls: Vec<Url>, fetch: &Arc<dyn Fetch>) -> Vec<Arc<dyn NewsSource>> {
    let source = |url| Arc::new(FeedSource::new(url, Arc::clone(fetch))) as Arc<dyn NewsSource>;
    urls.into_iter().map(source).collect()
}

/// The middle between now and then.
fn half_way(then: Instant) -> Instant {
    let now = Instant::now();
    now + then.saturating_duration_since(now) / 2
}

/// The pages to read: those of the request, then the best found, each once.
fn choose(
    seeds: &[Url],
    found: Vec<Candidate>,
    max: usize,
    warnings: &mut Vec<Warning>,
) -> Vec<Candidate> {
    let mut seen = HashSet::new();
    let named = seeds.iter().map(Candidate::seed).map(|mut seed| {
        let known = found.iter().find(|one| one.canonical == seed.canonical);
        seed.hit = known.and_then(|one| one.hit.clone());
        seed
    });
    let named: Vec<Candidate> = named.collect();
    let mut chosen: Vec<Candidate> = named
        .into_iter()
        .chain(found)
        .filter(|candidate| seen.insert(candidate.canonical.clone()))
        .collect();
    let beyond = chosen.split_off(max.min(chosen.len()));
    for candidate in beyond.iter().filter(|candidate| candidate.seed) {
        let detail = format!("{}: beyond max_sources", candidate.url);
        warnings.push(warning("seed_not_read", detail));
    }
    chosen
}

fn is_readable(article: &Article) -> bool {
    article.source.verdict == Verdict::Ok
}

fn warning(code: &str, detail: String) -> Warning {
    Warning {
        code: code.to_owned(),
        detail,
    }
}
