//! Which articles are about the topic.

use std::collections::{BTreeSet, HashSet};

use crate::news::token::tokens;
use crate::script::types::{Article, Dossier, Verdict};

use super::vector::Space;

/// Below this an article is about something else.
const RELEVANCE_MIN: f64 = 0.25;
/// Below this share of the best article's relevance, likewise.
const SHARE_OF_BEST_MIN: f64 = 0.45;

/// The articles a script may rest on, most relevant first: readable, not a
/// duplicate, and about at least one of the `subjects` (the topic, and
/// queries that carry it into another language). Empty means that the
/// sources do not cover the topic, and that nothing should be written.
pub fn usable<'a>(subjects: &[&str], dossier: &'a Dossier) -> Vec<&'a Article> {
    let readable: Vec<&Article> = dossier
        .articles
        .iter()
        .filter(|a| {
            a.source.verdict == Verdict::Ok && a.source.duplicate_of.is_none() && !a.text.is_empty()
        })
        .collect();
    let documents: Vec<Vec<String>> = readable
        .iter()
        .map(|a| tokens(&format!("{}\n{}", a.source.title, a.text)))
        .collect();
    let scores = relevances(subjects, &documents);
    let best = scores.iter().copied().fold(0.0, f64::max);
    let floor = RELEVANCE_MIN.max(best * SHARE_OF_BEST_MIN);
    let mut kept: Vec<(f64, &Article)> = scores
        .into_iter()
        .zip(readable)
        .filter(|(score, _)| *score >= floor)
        .collect();
    kept.sort_by(|a, b| b.0.total_cmp(&a.0));
    kept.into_iter().map(|(_, article)| article).collect()
}

/// For each document its relevance to the subject it fits best: 0.7 of the
/// subject's words it holds, weighted by rarity, and 0.6 of the cosine.
/// Unweighted, a place name alone would let everything about the place in.
fn relevances(subjects: &[&str], documents: &[Vec<String>]) -> Vec<f64> {
    let space = Space::of(documents);
    let vectors: Vec<_> = documents.iter().map(|d| space.vector(d)).collect();
    let mut best = vec![0.0_f64; documents.len()];
    for subject in subjects {
        let words = tokens(subject);
        let wanted: BTreeSet<&str> = words.iter().map(String::as_str).collect();
        let total: f64 = wanted.iter().map(|w| space.weight(w)).sum();
        let cosines = space.cosines(&space.vector(&words), &vectors);
        for (number, document) in documents.iter().enumerate() {
            let held: HashSet<&str> = document.iter().map(String::as_str).collect();
            let covered: f64 = wanted
                .iter()
                .filter(|w| held.contains(*w))
                .map(|w| space.weight(w))
                .sum();
            let coverage = if total > 0.0 { covered / total } else { 0.0 };
            best[number] = best[number].max((0.7 * coverage + 0.6 * cosines[number]).min(1.0));
        }
    }
    best
}
