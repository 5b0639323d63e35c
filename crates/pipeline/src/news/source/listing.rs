//! Hits that were read as a list, searched here: what a feed or a page of
//! events holds, as it knows no queries itself.

use std::collections::HashSet;

use super::{Hit, Query};
use crate::news::token::tokens;

/// Share of a query's tokens that an entry must hold. Low, because a headline
/// is short and the articles are ranked again once they are read.
const MATCH_MIN: f64 = 0.2;

pub(super) struct Listing(Vec<Entry>);

/// A hit and the tokens it is matched by.
struct Entry {
    hit: Hit,
    tokens: HashSet<String>,
}

impl Listing {
    pub(super) fn new(hits: impl IntoIterator<Item = Hit>) -> Self {
        Self(hits.into_iter().map(Entry::new).collect())
    }

    pub(super) fn hits(&self) -> impl ExactSizeIterator<Item = &Hit> {
        self.0.iter().map(|entry| &entry.hit)
    }

    /// Those that fit a query, best first.
    pub(super) fn matching(&self, query: &Query) -> Vec<Hit> {
        let asked: HashSet<String> = tokens(&query.q).into_iter().collect();
        let mut matching: Vec<(f64, &Hit)> = self
            .0
            .iter()
            .map(|entry| (entry.covers(&asked), &entry.hit))
            .filter(|(covered, _)| *covered >= MATCH_MIN)
            .collect();
        // Stable: of equal matches of one day, the list's own order decides.
        matching.sort_by(|(a, one), (b, other)| {
            b.total_cmp(a)
                .then_with(|| other.published.cmp(&one.published))
        });
        matching.into_iter().map(|(_, hit)| hit.clone()).collect()
    }
}

impl Entry {
    fn new(hit: Hit) -> Self {
        let snippet = hit.snippet.as_deref().unwrap_or_default();
        let tokens = tokens(&format!("{} {snippet}", hit.title));
        Self {
            tokens: tokens.into_iter().collect(),
            hit,
        }
    }

    /// Share of the asked tokens that the entry holds.
    fn covers(&self, asked: &HashSet<String>) -> f64 {
        if asked.is_empty() {
            return 0.0;
        }
        let held = asked.intersection(&self.tokens).count();
        // A query has a few dozen tokens, exact in a float.
        held as f64 / asked.len() as f64
    }
}
