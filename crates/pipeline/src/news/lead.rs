//! Headlines without an address, looked for at the sources that have addresses.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, timeout};

use super::limits::LEADS_MAX;
use super::search::search_time;
use super::source::{Hit, Lead, NewsSource, Query, is_of};
use super::token::{is_korean, tokens};
use crate::script::types::Domains;

/// Share of the shorter headline's tokens that both hold when they tell of the
/// same thing: above what all headlines on one topic share, and below one, as
/// sites change their headlines.
const SAME_MIN: f64 = 0.75;
/// Fewer tokens than this say nothing about sameness.
const TOKENS_MIN: usize = 2;

/// A headline, and its place in the list it came in.
pub(crate) struct RankedLead {
    pub(crate) rank: usize,
    lead: Lead,
    tokens: HashSet<String>,
}

impl RankedLead {
    fn new(rank: usize, lead: &Lead) -> Self {
        Self {
            rank,
            tokens: headline_tokens(&lead.title),
            lead: lead.clone(),
        }
    }

    /// Whether a hit tells of the same thing, on whatever site: an agency's
    /// report is the same anywhere.
    /// `held` are the [`headline_tokens`] of the hit.
    pub(crate) fn fits(&self, held: &HashSet<String>) -> bool {
        let least = held.len().min(self.tokens.len());
        let shared = held.intersection(&self.tokens).count();
        // A headline has a few dozen tokens, exact in a float.
        least >= TOKENS_MIN && shared as f64 >= SAME_MIN * least as f64
    }

    /// The headline as a query, on its site where that is known.
    fn query(&self, like: &Query) -> Query {
        let korean = is_korean(&self.lead.title);
        let site = self.lead.host.clone();
        Query {
            q: self.lead.title.clone(),
            lang: if korean { "ko" } else { "en" }.to_owned(),
            domains: Domains {
                allow: site.map_or_else(|| like.domains.allow.clone(), |site| vec![site]),
                deny: like.domains.deny.clone(),
            },
            ..like.clone()
        }
    }

    fn may_be_found(&self, like: &Query) -> bool {
        let host = self.lead.host.as_deref().unwrap_or_default();
        let Domains { allow, deny } = &like.domains;
        let among = |sites: &[String]| sites.iter().any(|site| is_of(host, site));
        !among(deny) && (allow.is_empty() || host.is_empty() || among(allow))
    }
}

/// What a headline is compared by.
pub(crate) fn headline_tokens(title: &str) -> HashSet<String> {
    tokens(title).into_iter().collect()
}

/// Each headline once, best first.
pub(crate) fn ranked<'a>(lists: impl Iterator<Item = &'a [Lead]>) -> Vec<RankedLead> {
    let mut seen = HashSet::new();
    let mut ranked: Vec<RankedLead> = lists
        .flat_map(|list| list.iter().enumerate())
        .filter(|(_, lead)| seen.insert(&lead.title))
        .map(|(rank, lead)| RankedLead::new(rank, lead))
        .collect();
    // Stable: of equal ranks, the earlier query's comes first.
    ranked.sort_by_key(|lead| lead.rank);
    ranked
}

/// Looks for the best headlines that no hit fits yet: a list of hits for each
/// source that has any.
///
/// Sources that take few queries have had theirs. A failure here is no
/// warning: the source has answered, or failed, before.
pub(crate) async fn follow(
    sources: &[Arc<dyn NewsSource>],
    leads: &[RankedLead],
    known: &[Vec<Hit>],
    like: &Query,
    deadline: Option<Instant>,
) -> Vec<Vec<Hit>> {
    let known = known.iter().flatten();
    let known: Vec<_> = known.map(|hit| headline_tokens(&hit.title)).collect();
    let is_known = |lead: &RankedLead| known.iter().any(|held| lead.fits(held));
    let unknown = leads
        .iter()
        .filter(|lead| lead.may_be_found(like) && !is_known(lead))
        .take(LEADS_MAX);
    let asks = unknown.flat_map(|lead| {
        let query = lead.query(like);
        let asked = sources
            .iter()
            .filter(|of| of.speaks(&query.lang) && of.queries_max() == usize::MAX);
        let asks: Vec<_> = asked
            .map(|of| look_for(lead, &**of, query.clone(), search_time(deadline)))
            .collect();
        asks
    });
    let found = join_all(asks).await;
    found.into_iter().filter(|hits| !hits.is_empty()).collect()
}

async fn look_for(
    lead: &RankedLead,
    of: &dyn NewsSource,
    query: Query,
    time: Duration,
) -> Vec<Hit> {
    let found = timeout(time, of.search(&query)).await;
    let finds = found.ok().and_then(Result::ok).unwrap_or_default();
    let mut hits = finds.admitted(&query).hits;
    hits.retain(|hit| lead.fits(&headline_tokens(&hit.title)));
    hits
}
