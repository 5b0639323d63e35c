//! Asks every source every query at once, and merges what they find.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::canon::canonical;
use super::lead::{RankedLead, follow, headline_tokens, ranked};
use super::limits::{QUERIES_AT_ONCE, SEARCH_TIMEOUT};
use super::source::{Finds, Hit, Lead, NewsSource, Query, SearchError};
use crate::net::Origin;
use crate::script::types::{QueryReport, Warning};

/// Damps the first ranks: reciprocal-rank fusion, `Σ 1 / (60 + rank)`
/// (Cormack, Clarke and Büttcher, SIGIR 2009).
const FUSION: f64 = 60.0;

/// A page worth reading, merged from every hit that leads to it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) url: Url,
    pub(crate) canonical: String,
    /// What a source said of it, if one did.
    pub(crate) hit: Option<Hit>,
    /// Whether the request names the page.
    pub(crate) seed: bool,
    /// Whose word it is: the operator's for pages of the site of a feed of theirs
    /// that the same feed names.
    pub(crate) origin: Origin,
}

impl Candidate {
    /// A page that the request names.
    pub(crate) fn seed(url: &Url) -> Self {
        Self {
            url: url.clone(),
            canonical: canonical(url),
            hit: None,
            seed: true,
            origin: Origin::Stranger,
        }
    }
}

/// What the sources found.
pub(crate) struct Found {
    /// Best first, each page once.
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) reports: Vec<QueryReport>,
    pub(crate) warnings: Vec<Warning>,
}

struct Answer {
    query: usize,
    source: usize,
    finds: Result<Finds, SearchError>,
}

impl Answer {
    fn hits(&self) -> &[Hit] {
        self.finds.as_ref().map_or(&[], |finds| &finds.hits)
    }

    fn leads(&self) -> &[Lead] {
        self.finds.as_ref().map_or(&[], |finds| &finds.leads)
    }
}

/// Ask every source every query, then look for the headlines that came without
/// an address, by the deadline if there is one. A source that fails is a warning.
pub(crate) async fn search(
    sources: &[Arc<dyn NewsSource>],
    queries: &[Query],
    deadline: Option<Instant>,
) -> Found {
    let answers = ask_all(sources, queries, deadline).await;
    let leads = ranked(answers.iter().map(Answer::leads));
    let mut lists: Vec<Vec<Hit>> = answers
        .iter()
        .map(|answer| answer.hits().to_vec())
        .collect();
    if let Some(like) = queries.first() {
        lists.extend(follow(sources, &leads, &lists, like, deadline).await);
    }
    let mut candidates = merge(&lists, &leads);
    let own = own_pages(&answers, sources);
    for candidate in &mut candidates {
        if own.contains(&candidate.url) {
            candidate.origin = Origin::Operator;
        }
    }
    Found {
        reports: reports(&answers, sources, queries),
        warnings: warnings(&answers, sources),
        candidates,
    }
}

/// Pages that a source names on its own site.
fn own_pages<'a>(answers: &'a [Answer], sources: &[Arc<dyn NewsSource>]) -> HashSet<&'a Url> {
    let own = answers.iter().flat_map(|answer| {
        let site = sources[answer.source].site();
        let hits = answer.hits().iter().map(|hit| &hit.url);
        hits.filter(move |url| site.as_ref() == Some(&url.origin()))
    });
    own.collect()
}

/// All sources at once, so that a slow one holds up nobody else.
async fn ask_all(
    sources: &[Arc<dyn NewsSource>],
    queries: &[Query],
    deadline: Option<Instant>,
) -> Vec<Answer> {
    let asks: Vec<_> = sources
        .iter()
        .enumerate()
        .map(|(source, of)| ask(source, &**of, queries, search_time(deadline)))
        .collect();
    let mut answers: Vec<Answer> = join_all(asks).await.into_iter().flatten().collect();
    // Sorted, so that the merge does not depend on who is faster.
    answers.sort_by_key(|answer| (answer.query, answer.source));
    answers
}

/// The queries that a source takes, a few at once, within its time.
async fn ask(source: usize, of: &dyn NewsSource, queries: &[Query], time: Duration) -> Vec<Answer> {
    let deadline = Instant::now() + time;
    let taken: Vec<_> = queries
        .iter()
        .enumerate()
        .filter(|(_, asked)| of.speaks(&asked.lang))
        .take(of.queries_max())
        .map(|(query, asked)| async move {
            let late = SearchError::Timeout(time.as_secs_f64().ceil() as u64);
            let finds = timeout_at(deadline, of.search(asked)).await;
            Answer {
                query,
                source,
                finds: finds
                    .unwrap_or(Err(late))
                    .map(|finds| finds.admitted(asked)),
            }
        })
        .collect();
    stream::iter(taken)
        .buffer_unordered(QUERIES_AT_ONCE)
        .collect()
        .await
}

/// The time a source has: its own, or what is left before the deadline.
pub(crate) fn search_time(deadline: Option<Instant>) -> Duration {
    let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    left.map_or(SEARCH_TIMEOUT, |left| left.min(SEARCH_TIMEOUT))
}

fn merge(lists: &[Vec<Hit>], leads: &[RankedLead]) -> Vec<Candidate> {
    let mut merged: HashMap<String, (f64, Candidate)> = HashMap::new();
    for hits in lists {
        for (rank, hit) in hits.iter().enumerate() {
            let key = canonical(&hit.url);
            let (score, candidate) = merged.entry(key.clone()).or_insert_with(|| {
                let candidate = Candidate {
                    url: hit.url.clone(),
                    canonical: key,
                    hit: None,
                    seed: false,
                    origin: Origin::Stranger,
                };
                (0.0, candidate)
            });
            *score += fused(rank);
            candidate.merge(hit);
        }
    }
    for (score, candidate) in merged.values_mut() {
        let hit = candidate.hit.as_ref();
        let held = hit.map(|hit| headline_tokens(&hit.title));
        let told = held.and_then(|held| leads.iter().find(|lead| lead.fits(&held)));
        *score += told.map_or(0.0, |lead| fused(lead.rank));
    }
    let mut ranked: Vec<(f64, Candidate)> = merged.into_values().collect();
    ranked.sort_by(|(a, one), (b, other)| {
        b.total_cmp(a)
            .then_with(|| one.canonical.cmp(&other.canonical))
    });
    ranked.into_iter().map(|(_, candidate)| candidate).collect()
}

fn fused(rank: usize) -> f64 {
    // A list of hits is far shorter than 2^52.
    1.0 / (FUSION + rank as f64 + 1.0)
}

impl Candidate {
    /// The shortest address is kept, as it is the one without tracking; of
    /// what the sources say, the first of each.
    fn merge(&mut self, hit: &Hit) {
        if hit.url.as_str().len() < self.url.as_str().len() {
            self.url = hit.url.clone();
        }
        match &mut self.hit {
            None => self.hit = Some(hit.clone()),
            Some(known) => {
                known.published = known.published.or(hit.published);
                known.site = known.site.take().or_else(|| hit.site.clone());
            }
        }
    }
}

fn reports(
    answers: &[Answer],
    sources: &[Arc<dyn NewsSource>],
    queries: &[Query],
) -> Vec<QueryReport> {
    let report = |(index, query): (usize, &Query)| {
        let mut pages = BTreeSet::new();
        let mut via = BTreeSet::new();
        for answer in answers.iter().filter(|answer| answer.query == index) {
            for hit in answer.hits() {
                pages.insert(canonical(&hit.url));
                via.insert(sources[answer.source].name().to_owned());
            }
        }
        QueryReport {
            q: query.q.clone(),
            lang: query.lang.clone(),
            hits: pages.len(),
            via: via.into_iter().collect(),
        }
    };
    queries.iter().enumerate().map(report).collect()
}

/// One warning per source, however many queries it failed.
fn warnings(answers: &[Answer], sources: &[Arc<dyn NewsSource>]) -> Vec<Warning> {
    let mut failed: BTreeMap<usize, &SearchError> = BTreeMap::new();
    for answer in answers {
        if let Err(error) = &answer.finds {
            failed.entry(answer.source).or_insert(error);
        }
    }
    failed
        .into_iter()
        .map(|(source, error)| Warning {
            code: "source_failed".to_owned(),
            detail: format!("{}: {error}", sources[source].name()),
        })
        .collect()
}
