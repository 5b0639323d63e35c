//! Chooses sentences for each section.

use std::cmp::Ordering;

use crate::script::types::OutlineSection;

use super::cue::{Part, fits};
use super::score::{Candidate, Pool};

/// Sentences more alike than this say the same thing.
const REDUNDANT_COSINE: f64 = 0.55;
/// Sentences copied from one source: a digest, not a reprint.
const PER_SOURCE_MAX: usize = 5;
/// How much fitting the section counts beside the sentence's own score.
const FIT_WEIGHT: f64 = 0.20;
/// How much likeness to what is chosen already counts against it (MMR).
const LIKENESS_WEIGHT: f64 = 0.25;
/// What each sentence already copied from the same source counts against it.
const SAME_SOURCE_WEIGHT: f64 = 0.03;

/// For each section the chosen candidates, in the order chosen. `budgets`
/// says how many sentences each section may have; a candidate is chosen at
/// most once. A source gives no more than its share; where it is `ours` it
/// gives more before a section stays empty.
pub(crate) fn select(
    pool: &Pool<'_>,
    sections: &[OutlineSection],
    budgets: &[usize],
    ours: bool,
) -> Vec<Vec<usize>> {
    let mut choice = Choice {
        pool,
        fits: sections.iter().map(|section| fits(section, pool)).collect(),
        budgets,
        chosen: vec![Vec::new(); sections.len()],
    };
    let mut rarest_first: Vec<usize> = (0..sections.len()).collect();
    rarest_first.sort_by_key(|section| Part::of(&sections[*section]));
    choice.open(sections);
    let needs = [
        Need::SOME_SIGN,
        Need::NOTHING,
        Need::NOT_EVEN_A_FRESH_SOURCE,
    ];
    for need in needs.into_iter().filter(|need| need.fresh_source || ours) {
        for section in &rarest_first {
            // A sentence each, before anybody has a second one.
            if choice.chosen[*section].is_empty() {
                choice.pick(*section, need);
            }
        }
    }
    for need in [Need::SOME_SIGN, Need::NOTHING] {
        for section in &rarest_first {
            while choice.room(*section) > 0 && choice.pick(*section, need) {}
        }
    }
    choice.chosen
}

/// What a candidate must bring to be considered.
#[derive(Clone, Copy)]
struct Need {
    /// Some sign that it belongs to the section.
    fit: bool,
    /// A source that has not given its share yet.
    fresh_source: bool,
}

impl Need {
    const SOME_SIGN: Self = Self {
        fit: true,
        fresh_source: true,
    };
    const NOTHING: Self = Self {
        fit: false,
        fresh_source: true,
    };
    const NOT_EVEN_A_FRESH_SOURCE: Self = Self {
        fit: false,
        fresh_source: false,
    };
}

struct Choice<'p, 'a> {
    pool: &'p Pool<'a>,
    fits: Vec<Vec<f64>>,
    budgets: &'p [usize],
    chosen: Vec<Vec<usize>>,
}

impl Choice<'_, '_> {
    /// The first section opens with the opening of an article, so that the
    /// news itself does not end up as somebody's view: of the one that most
    /// others repeat, then of the best.
    fn open(&mut self, sections: &[OutlineSection]) {
        let candidates = self.pool.candidates.iter().enumerate();
        let lead = candidates
            .filter(|(_, c)| c.index == 0)
            .max_by(|(i, one), (j, other)| {
                let repeats = |c: &Candidate<'_>| c.article.source.also_reported_by.len();
                let by_repeats = repeats(one).cmp(&repeats(other));
                by_repeats.then(better(&(one.score, *i), &(other.score, *j)))
            });
        let first = sections.first().map(Part::of);
        if let (Some((lead, _)), Some(Part::Hook | Part::What)) = (lead, first) {
            self.chosen[0].push(lead);
        }
    }

    fn room(&self, section: usize) -> usize {
        self.budgets[section].saturating_sub(self.chosen[section].len())
    }

    /// Takes the best candidate, and the sentence it leans on where there is
    /// room for both. False when none is left.
    fn pick(&mut self, section: usize, need: Need) -> bool {
        let best = (0..self.pool.candidates.len())
            .filter_map(|candidate| Some((self.gain(candidate, section, need)?, candidate)))
            .max_by(better);
        let Some((_, best)) = best else {
            return false;
        };
        let leans_on = self.pool.candidates[best]
            .previous
            .filter(|_| self.pool.candidates[best].dangling);
        if let Some(before) = leans_on
            && self.room(section) >= 2
            && self.gain(before, section, Need::NOTHING).is_some()
        {
            self.chosen[section].push(before);
            if self.gain(best, section, need).is_none() {
                return true;
            }
        }
        self.chosen[section].push(best);
        true
    }

    /// What choosing a candidate for a section is worth; `None` when it may
    /// not be chosen.
    fn gain(&self, candidate: usize, section: usize, need: Need) -> Option<f64> {
        let fit = self.fits[section][candidate];
        if need.fit && fit == 0.0 {
            return None;
        }
        let (mut likeness, mut from_source) = (0.0_f64, 0_usize);
        for other in self.chosen.iter().flatten() {
            likeness = likeness.max(self.pool.similarity(candidate, *other));
            from_source += usize::from(self.same_source(candidate, *other));
        }
        let taken = self
            .chosen
            .iter()
            .flatten()
            .any(|other| *other == candidate);
        if taken
            || likeness > REDUNDANT_COSINE
            || (need.fresh_source && from_source >= PER_SOURCE_MAX)
        {
            return None;
        }
        Some(
            self.pool.candidates[candidate].score + FIT_WEIGHT * fit
                - LIKENESS_WEIGHT * likeness
                - SAME_SOURCE_WEIGHT * from_source as f64,
        )
    }

    fn same_source(&self, one: usize, other: usize) -> bool {
        let source = |i: usize| &self.pool.candidates[i].article.source.id;
        source(one) == source(other)
    }
}

/// The higher worth; of equals the earlier candidate.
fn better(one: &(f64, usize), other: &(f64, usize)) -> Ordering {
    one.0.total_cmp(&other.0).then(other.1.cmp(&one.1))
}
