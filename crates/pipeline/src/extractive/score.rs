//! How much a sentence deserves to be copied, whatever section it goes to.

use std::ops::Range;
use std::sync::LazyLock;

use jiff::Timestamp;
use regex::Regex;

use crate::news::token::tokens;
use crate::script::types::{Article, Language};

use super::dangling::is_dangling;
use super::sentence::{sentences, without_byline};
use super::vector::{Space, Vector};

/// Sentences looked at per article; the rest of a long one is left out.
const SENTENCES_PER_ARTICLE_MAX: usize = 40;
/// Cosine below which two sentences are no neighbours in the LexRank graph.
const NEIGHBOUR_COSINE_MIN: f64 = 0.10;
/// LexRank's chance of following a neighbour (Erkan and Radev 2004).
const DAMPING: f64 = 0.85;
const LEXRANK_ROUNDS_MAX: usize = 50;
/// An article this old counts half as recent as one of today.
const RECENCY_DAYS: f64 = 7.0;

/// A sentence that may be copied.
pub(crate) struct Candidate<'a> {
    /// Where it stands.
    pub(crate) article: &'a Article,
    /// Its place in the article's text.
    pub(crate) range: Range<usize>,
    /// The sentence.
    pub(crate) text: &'a str,
    /// Its number in the article.
    pub(crate) index: usize,
    /// The candidate right before it in the same paragraph.
    pub(crate) previous: Option<usize>,
    /// Whether it leans on the sentence before it ("However, …").
    pub(crate) dangling: bool,
    /// The weighted sum, section cues left aside.
    pub(crate) score: f64,
}

/// All candidates, compared with one another.
pub(crate) struct Pool<'a> {
    pub(crate) candidates: Vec<Candidate<'a>>,
    space: Space,
    vectors: Vec<Vector>,
    similarity: Vec<Vec<f64>>,
}

impl<'a> Pool<'a> {
    /// The scored sentences of the articles, in their order.
    pub(crate) fn new(topic: &str, articles: &[&'a Article], now: Timestamp) -> Self {
        let mut candidates: Vec<Candidate<'a>> = Vec::new();
        for article in articles {
            collect(article, &mut candidates);
        }
        let documents: Vec<Vec<String>> = candidates.iter().map(|c| tokens(c.text)).collect();
        let space = Space::of(&documents);
        let vectors: Vec<Vector> = documents.iter().map(|d| space.vector(d)).collect();
        let similarity = vectors.iter().map(|v| space.cosines(v, &vectors)).collect();
        let mut pool = Self {
            candidates,
            space,
            vectors,
            similarity,
        };
        let scores = pool.scores(topic, now);
        for (candidate, score) in pool.candidates.iter_mut().zip(scores) {
            candidate.score = score;
        }
        pool
    }

    /// Cosine of two candidates.
    pub(crate) fn similarity(&self, one: usize, other: usize) -> f64 {
        self.similarity[one][other]
    }

    /// Cosine of every candidate with a text, as a share of the highest.
    pub(crate) fn likeness(&self, text: &str) -> Vec<f64> {
        let mut cosines = self
            .space
            .cosines(&self.space.vector(&tokens(text)), &self.vectors);
        scale_to_one(&mut cosines);
        cosines
    }

    fn scores(&self, topic: &str, now: Timestamp) -> Vec<f64> {
        let topical = self.likeness(topic);
        let central = self.lexrank(&topical);
        self.candidates
            .iter()
            .enumerate()
            .map(|(i, c)| {
                0.28 * topical[i]
                    + 0.24 * lead(c.index)
                    + 0.20 * central[i]
                    + 0.10 * figures(c.text)
                    + 0.08 * recency(c.article, now)
                    + 0.10 * length(c.text)
                    - if c.dangling { 0.18 } else { 0.0 }
            })
            .collect()
    }

    /// LexRank whose random jumps favour topical and leading sentences, as a
    /// share of the highest. Unbiased LexRank is worse than taking the lead.
    fn lexrank(&self, topical: &[f64]) -> Vec<f64> {
        let count = self.candidates.len();
        let mut bias: Vec<f64> = self
            .candidates
            .iter()
            .zip(topical)
            .map(|(c, t)| 0.5 * t + 0.5 * lead(c.index))
            .collect();
        let total: f64 = bias.iter().sum();
        bias.iter_mut().for_each(|b| *b /= total);
        let neighbours: Vec<Vec<(usize, f64)>> = (0..count).map(|i| self.neighbours(i)).collect();
        let mut rank = bias.clone();
        for _ in 0..LEXRANK_ROUNDS_MAX {
            let mut next: Vec<f64> = bias.iter().map(|b| (1.0 - DAMPING) * b).collect();
            for (i, near) in neighbours.iter().enumerate() {
                for (j, share) in near {
                    next[*j] += DAMPING * rank[i] * share;
                }
            }
            let moved: f64 = next.iter().zip(&rank).map(|(a, b)| (a - b).abs()).sum();
            rank = next;
            if moved < 1e-6 {
                break;
            }
        }
        scale_to_one(&mut rank);
        rank
    }

    /// The neighbours of a sentence, with shares that add up to 1.
    fn neighbours(&self, of: usize) -> Vec<(usize, f64)> {
        let row = self.similarity[of].iter().copied().enumerate();
        let mut near: Vec<(usize, f64)> = row
            .filter(|(j, cosine)| *j != of && *cosine >= NEIGHBOUR_COSINE_MIN)
            .collect();
        let total: f64 = near.iter().map(|(_, cosine)| cosine).sum();
        near.iter_mut().for_each(|(_, cosine)| *cosine /= total);
        near
    }
}

fn collect<'a>(article: &'a Article, candidates: &mut Vec<Candidate<'a>>) {
    let mut before: Option<(usize, usize)> = None; // candidate, its end
    for (index, range) in sentences(&article.text)
        .into_iter()
        .take(SENTENCES_PER_ARTICLE_MAX)
        .enumerate()
    {
        let range = without_byline(&article.text, range);
        let text = &article.text[range.clone()];
        if !is_copyable(text) {
            continue;
        }
        let adjacent = before.filter(|(_, end)| {
            let between = &article.text[*end..range.start];
            between.trim().is_empty() && !between.contains('\n')
        });
        before = Some((candidates.len(), range.end));
        candidates.push(Candidate {
            article,
            range,
            text,
            index,
            previous: adjacent.map(|(candidate, _)| candidate),
            dangling: is_dangling(text),
            score: 0.0,
        });
    }
}

/// Whether a sentence is whole, of a fit length and free of addresses.
fn is_copyable(text: &str) -> bool {
    let (shortest, longest) = if Language::of(text) == Language::Ko {
        (24, 220)
    } else {
        (45, 400)
    };
    let finished = text.ends_with(['.', '!', '?', '"', '”', '’', ')', '。']);
    let fits = (shortest..=longest).contains(&text.chars().count());
    fits && finished && !text.contains('@') && !text.contains("http") && !text.contains("www.")
}

/// 1 for the first sentence of an article, falling.
pub(crate) fn lead(index: usize) -> f64 {
    1.0 / (1.0 + index as f64 / 2.0)
}

/// 0.5 for one quantity, 1 for two or more. Clock times and dates are none.
pub(crate) fn figures(text: &str) -> f64 {
    static FIGURE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"\d[\d,.]*\s?(?:시간|[시분월일년번호]|[ap]\.m)?")
            .expect("the figure pattern compiles")
    });
    let quantity = |figure: &str| {
        figure.ends_with("시간")
            || figure
                .trim_end()
                .ends_with(|c: char| c.is_ascii_digit() || ",.".contains(c))
    };
    let count = FIGURE
        .find_iter(text)
        .filter(|found| quantity(found.as_str()))
        .count();
    (count as f64 / 2.0).min(1.0)
}

fn recency(article: &Article, now: Timestamp) -> f64 {
    let published = article.source.published.as_deref();
    let Some(published) = published.and_then(|p| p.parse::<Timestamp>().ok()) else {
        return 0.0;
    };
    let days = (now.as_second() - published.as_second()).max(0) as f64 / 86_400.0;
    1.0 / (1.0 + days / RECENCY_DAYS)
}

/// 1 for a sentence that is easy to say in one breath, less outside of that.
fn length(text: &str) -> f64 {
    let (shortest, longest) = if Language::of(text) == Language::Ko {
        (25.0, 90.0)
    } else {
        (60.0, 200.0)
    };
    let chars = text.chars().count() as f64;
    (chars / shortest).min(longest / chars).min(1.0)
}

fn scale_to_one(values: &mut [f64]) {
    let highest = values.iter().copied().fold(0.0, f64::max);
    if highest > 0.0 {
        values.iter_mut().for_each(|v| *v /= highest);
    }
}
