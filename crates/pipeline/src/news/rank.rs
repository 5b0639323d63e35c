//! How well an article fits the topic.
//!
//! `0.7 · coverage + 0.6 · cosine`, both weighted by how rare a word is among
//! the articles found. Without the weights, a place name that every article
//! of a town's newspaper carries would let all of them in.

use std::collections::{HashMap, HashSet};

use super::token::tokens;

const COVERAGE_WEIGHT: f64 = 0.7;
const COSINE_WEIGHT: f64 = 0.6;
/// Below this an article is about something else.
const RELEVANCE_MIN: f64 = 0.25;
/// Below this share of the best, an article is beside the topic.
const SHARE_OF_BEST_MIN: f64 = 0.45;
/// Tokens of an article that are counted; news says early what it is about.
const TOKENS_MAX: usize = 4_000;

/// Words that say what kind of text is wanted, not what it is about: no article
/// has to hold them.
const FORM_WORDS: [&str; 36] = [
    "analysis",
    "article",
    "background",
    "criticism",
    "explained",
    "explainer",
    "explanation",
    "figures",
    "guide",
    "headlines",
    "history",
    "introduction",
    "latest",
    "news",
    "overview",
    "recent",
    "report",
    "script",
    "story",
    "summary",
    "today",
    "update",
    "updates",
    "video",
    "기사",
    "뉴스",
    "대본",
    "배경",
    "분석",
    "설명",
    "소식",
    "숫자",
    "우려",
    "정리",
    "최신",
    "해설",
];

type Counts = HashMap<String, f64>;

/// Relevance of each text to the ask that it fits best, 0 to 1.
///
/// There is more than one ask when queries in another language look for
/// articles that cannot share a word with the topic.
pub(crate) fn relevance(asks: &[&str], texts: &[String]) -> Vec<f64> {
    let texts: Vec<Counts> = texts.iter().map(|text| counts(text)).collect();
    let weights = Weights::of(&texts);
    let asks: Vec<Counts> = asks.iter().map(|ask| subject(ask)).collect();
    let best = |text: &Counts| {
        asks.iter()
            .map(|ask| weights.fit(ask, text))
            .fold(0.0, f64::max)
    };
    texts.iter().map(best).collect()
}

/// The relevance that an article needs, given that of all of them.
pub(crate) fn cut(relevances: impl Iterator<Item = f64>) -> f64 {
    let best = relevances.fold(0.0, f64::max);
    f64::max(RELEVANCE_MIN, SHARE_OF_BEST_MIN * best)
}

/// What an ask is about; all of it when it names nothing but a form.
fn subject(ask: &str) -> Counts {
    let whole = counts(ask);
    let about: Counts = whole
        .iter()
        .filter(|(word, _)| !FORM_WORDS.contains(&word.as_str()))
        .map(|(word, n)| (word.clone(), *n))
        .collect();
    if about.is_empty() { whole } else { about }
}

fn counts(text: &str) -> Counts {
    let mut counts = Counts::new();
    for token in tokens(text).into_iter().take(TOKENS_MAX) {
        *counts.entry(token).or_default() += 1.0;
    }
    counts
}

/// Inverse document frequency: `ln((n + 1) / (df + 0.5))`.
struct Weights {
    texts: f64,
    holding: HashMap<String, f64>,
}

impl Weights {
    fn of(texts: &[Counts]) -> Self {
        let mut holding = HashMap::new();
        for token in texts.iter().flat_map(Counts::keys) {
            *holding.entry(token.clone()).or_default() += 1.0;
        }
        Self {
            texts: texts.len() as f64,
            holding,
        }
    }

    fn weight(&self, token: &str) -> f64 {
        // A word that no article holds weighs no more than one that a single
        // article holds: a rare word in the topic must not hide the rest.
        let holding = self.holding.get(token).copied().unwrap_or(1.0);
        ((self.texts + 1.0) / (holding + 0.5)).ln()
    }

    fn fit(&self, ask: &Counts, text: &Counts) -> f64 {
        let score =
            COVERAGE_WEIGHT * self.coverage(ask, text) + COSINE_WEIGHT * self.cosine(ask, text);
        score.clamp(0.0, 1.0)
    }

    /// Weighted share of the ask's tokens that the text holds.
    fn coverage(&self, ask: &Counts, text: &Counts) -> f64 {
        let asked: HashSet<&String> = ask.keys().collect();
        let all: f64 = sum(asked.iter().map(|token| self.weight(token)));
        let held = asked.iter().filter(|token| text.contains_key(**token));
        ratio(sum(held.map(|token| self.weight(token))), all)
    }

    /// Cosine of the tf-idf vectors, `tf = 1 + ln(count)`.
    fn cosine(&self, ask: &Counts, text: &Counts) -> f64 {
        let value = |token: &str, count: f64| (1.0 + count.ln()) * self.weight(token);
        let dot = sum(ask.iter().filter_map(|(token, &count)| {
            let other = *text.get(token)?;
            Some(value(token, count) * value(token, other))
        }));
        let norm = |counts: &Counts| {
            sum(counts
                .iter()
                .map(|(token, &count)| value(token, count).powi(2)))
            .sqrt()
        };
        ratio(dot, norm(ask) * norm(text))
    }
}

/// Sum that does not depend on the order of a hash map: equal runs must give
/// equal results to the last bit.
fn sum(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.iter().sum()
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts() -> Vec<String> {
        [
            "Lumen Bay switched on a tidal battery. The tidal battery stores power.",
            "What the Lumen Bay tidal battery proves. The battery is cheap.",
            "A tidal battery and the herring of Lumen Bay.",
            "The Lumen Bay ferry will cut two sailings in Lumen Bay.",
        ]
        .map(str::to_owned)
        .into()
    }

    #[test]
    fn sharing_only_the_place_is_not_enough() {
        let scores = relevance(&["Lumen Bay tidal battery"], &texts());
        let cut = cut(scores.iter().copied());
        assert!(scores[..3].iter().all(|score| *score >= cut), "{scores:?}");
        assert!(scores[3] < cut, "{scores:?}");
    }

    #[test]
    fn a_word_for_the_kind_of_text_hides_nothing() {
        for topic in [
            "Lumen Bay tidal battery news",
            "Lumen Bay tidal battery explained",
            "latest Lumen Bay tidal battery overview",
        ] {
            assert_eq!(
                relevance(&[topic], &texts()),
                relevance(&["Lumen Bay tidal battery"], &texts()),
                "{topic}"
            );
        }
    }

    #[test]
    fn another_topic_in_the_same_place_fits_nothing() {
        let scores = relevance(&["Lumen Bay casino scandal"], &texts());
        let cut = cut(scores.iter().copied());
        assert!(scores.iter().all(|score| *score < cut), "{scores:?}");
    }

    #[test]
    fn one_unknown_word_does_not_hide_the_rest() {
        let scores = relevance(&["Lumen Bay tidal battery subsidies"], &texts());
        assert!(scores[0] >= cut(scores.iter().copied()), "{scores:?}");
    }

    #[test]
    fn the_cut_is_a_floor_or_a_share_of_the_best() {
        assert_eq!(cut([0.3, 0.1].into_iter()), RELEVANCE_MIN);
        assert_eq!(cut([0.4, 1.0].into_iter()), 0.45);
    }

    #[test]
    fn nothing_asked_or_nothing_found_is_zero() {
        assert_eq!(relevance(&[""], &["a text".to_owned()]), [0.0]);
        assert!(relevance(&["topic"], &[]).is_empty());
    }
}
