//! Which articles are about the topic.

use crate::news::rank;
use crate::script::types::{Article, Dossier, Verdict};

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
    let texts: Vec<String> = readable
        .iter()
        .map(|a| format!("{}\n{}", a.source.title, a.text))
        .collect();
    let scores = rank::relevance(subjects, &texts);
    let floor = rank::cut(scores.iter().copied());
    let mut kept: Vec<(f64, &Article)> = scores
        .into_iter()
        .zip(readable)
        .filter(|(score, _)| *score >= floor)
        .collect();
    kept.sort_by(|a, b| b.0.total_cmp(&a.0));
    kept.into_iter().map(|(_, article)| article).collect()
}
