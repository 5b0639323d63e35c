//! Asks every source every query at once, and merges what they find.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream;
use url::Url;

use super::canon::canonical;
use super::feed::{Hit, NewsSource, SearchError};
use super::limits::{SEARCH_TIMEOUT, SEARCHES_AT_ONCE};
use crate::script::types::{PlannedQuery, QueryReport, Warning};

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
}

impl Candidate {
    /// A page that the request names.
    pub(crate) fn seed(url: &Url) -> Self {
        Self {
            url: url.clone(),
            canonical: canonical(url),
            hit: None,
            seed: true,
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
    hits: Result<Vec<Hit>, SearchError>,
}

/// Ask every source every query. A source that fails is a warning.
pub(crate) async fn search(sources: &[Arc<dyn NewsSource>], queries: &[PlannedQuery]) -> Found {
    let pairs =
        (0..queries.len()).flat_map(|query| (0..sources.len()).map(move |source| (query, source)));
    let asks: Vec<_> = pairs
        .map(|(query, source)| ask(query, &queries[query], source, &*sources[source]))
        .collect();
    // In the order asked, so that the merge does not depend on who is faster.
    let answers: Vec<Answer> = stream::iter(asks)
        .buffered(SEARCHES_AT_ONCE)
        .collect()
        .await;
    Found {
        reports: reports(&answers, sources, queries),
        warnings: warnings(&answers, sources),
        candidates: merge(&answers),
    }
}

async fn ask(query: usize, asked: &PlannedQuery, source: usize, of: &dyn NewsSource) -> Answer {
    let hits = tokio::time::timeout(SEARCH_TIMEOUT, of.search(asked))
        .await
        .unwrap_or(Err(SearchError::Timeout(SEARCH_TIMEOUT.as_secs())));
    Answer {
        query,
        source,
        hits,
    }
}

fn merge(answers: &[Answer]) -> Vec<Candidate> {
    let mut merged: HashMap<String, (f64, Candidate)> = HashMap::new();
    for hits in answers
        .iter()
        .filter_map(|answer| answer.hits.as_ref().ok())
    {
        for (rank, hit) in hits.iter().enumerate() {
            let key = canonical(&hit.url);
            let (score, candidate) = merged.entry(key.clone()).or_insert_with(|| {
                let candidate = Candidate {
                    url: hit.url.clone(),
                    canonical: key,
                    hit: None,
                    seed: false,
                };
                (0.0, candidate)
            });
            // A list of hits is far shorter than 2^52.
            *score += 1.0 / (FUSION + rank as f64 + 1.0);
            candidate.merge(hit);
        }
    }
    let mut ranked: Vec<(f64, Candidate)> = merged.into_values().collect();
    ranked.sort_by(|(a, one), (b, other)| {
        b.total_cmp(a)
            .then_with(|| one.canonical.cmp(&other.canonical))
    });
    ranked.into_iter().map(|(_, candidate)| candidate).collect()
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
    queries: &[PlannedQuery],
) -> Vec<QueryReport> {
    let report = |(index, query): (usize, &PlannedQuery)| {
        let mut pages = BTreeSet::new();
        let mut via = BTreeSet::new();
        for answer in answers.iter().filter(|answer| answer.query == index) {
            for hit in answer.hits.iter().flatten() {
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
        if let Err(error) = &answer.hits {
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
