//! The deterministic check: does what a line says stand where it points?
//!
//! It compares words and numbers. It cannot see a reversed meaning, so it
//! flags and never says "true".

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;

use crate::extractive::sentence::sentences;
use crate::extractive::vector::Space;
use crate::news::token::tokens;

use super::hangul::mostly_hangul;
use super::number::{numbers, numbers_and_words, set_apart};
use super::types::{Check, Checks, Citation, Dossier, Line, Origin, Script, Verdict};

/// From this support on a line counts as verified. Set on a hand-made list
/// of paraphrases, inventions and wrong sources.
pub const SUPPORT_MIN: f64 = 0.35;
/// Below this support the passage is about something else.
const WEAK_MIN: f64 = 0.20;
/// A passage is at most this many sentences.
const PASSAGE_SENTENCES_MAX: usize = 3;
/// What each further sentence of a passage has to add.
const FURTHER_SENTENCE_COST: f64 = 0.05;

/// How well some sources carry a line.
#[derive(Debug, Clone, PartialEq)]
pub struct Support {
    /// Share of the line's words, weighted by rarity, that the passages hold.
    pub score: f64,
    /// The check's word.
    pub check: Check,
    /// The best passage of each source.
    pub passages: Vec<Citation>,
}

/// Judges every line: fills `support` and `check`, points the citations of
/// lines that were not copied at their best passages, and counts citations
/// in the dossier's sources. `unknown_citations` and `urls_removed` are the
/// parser's to tell and stay 0.
pub fn check(script: &mut Script, dossier: &mut Dossier) -> Checks {
    Verifier::new(dossier).check(script, dossier)
}

/// The readable sources, taken apart once for many lines.
pub struct Verifier {
    space: Space,
    sources: HashMap<String, Text>,
}

struct Text {
    text: String,
    korean: bool,
    numbers: BTreeSet<i128>,
    sentences: Vec<(Range<usize>, HashSet<String>)>,
}

impl Verifier {
    /// Takes the readable articles apart.
    pub fn new(dossier: &Dossier) -> Self {
        let mut documents = Vec::new();
        let mut sources = HashMap::new();
        for article in dossier
            .articles
            .iter()
            .filter(|a| a.source.verdict == Verdict::Ok)
        {
            let mut parts = Vec::new();
            for range in sentences(&article.text) {
                let words = tokens(&set_apart(&article.text[range.clone()]));
                parts.push((range, words.iter().cloned().collect()));
                documents.push(words);
            }
            let text = Text {
                text: article.text.clone(),
                korean: mostly_hangul(&article.text),
                numbers: numbers_and_words(&format!("{}\n{}", article.source.title, article.text)),
                sentences: parts,
            };
            sources.insert(article.source.id.clone(), text);
        }
        Self {
            space: Space::of(&documents),
            sources,
        }
    }

    /// As [`check`], of the dossier that this was made from.
    pub(crate) fn check(&self, script: &mut Script, dossier: &mut Dossier) -> Checks {
        for line in script.sections.iter_mut().flat_map(|s| &mut s.lines) {
            self.judge(line);
        }
        let mut checks = self.measure(script);
        for article in &mut dossier.articles {
            let source = &mut article.source;
            let cites = script.lines().flat_map(|line| &line.cites);
            source.citations = cites.filter(|cite| cite.source == source.id).count();
            source.used = source.citations > 0;
            checks.sources_used += usize::from(source.used);
        }
        checks
    }

    /// How well the named sources together carry a sentence. Sources that do
    /// not exist carry nothing.
    pub fn support(&self, sentence: &str, sources: &[&str]) -> Support {
        let words: BTreeSet<String> = tokens(&set_apart(sentence)).into_iter().collect();
        let weights: Vec<(String, f64)> = words
            .into_iter()
            .map(|word| {
                let weight = self.space.weight(&word);
                (word, weight)
            })
            .collect();
        let mut held = vec![false; weights.len()];
        let mut passages = Vec::new();
        for id in sources {
            let Some(text) = self.sources.get(*id) else {
                continue;
            };
            let (range, holds) = text.best_passage(&weights);
            held.iter_mut()
                .zip(holds)
                .for_each(|(all, one)| *all |= one);
            passages.push(Citation {
                source: (*id).to_owned(),
                start: range.start,
                end: range.end,
                quote: text.text[range].to_owned(),
            });
        }
        let score = share(&weights, &held);
        let check = self.word_for(sentence, score, &passages);
        Support {
            score,
            check,
            passages,
        }
    }

    fn word_for(&self, sentence: &str, score: f64, passages: &[Citation]) -> Check {
        let cited: Vec<&Text> = passages
            .iter()
            .filter_map(|p| self.sources.get(&p.source))
            .collect();
        let stated = numbers(sentence);
        if !cited.is_empty()
            && cited
                .iter()
                .all(|text| text.korean != mostly_hangul(sentence))
        {
            // Another language: only the numbers can be compared.
            let known = stated
                .iter()
                .all(|n| cited.iter().any(|text| text.numbers.contains(n)));
            return if known {
                Check::Weak
            } else {
                Check::NumberMismatch
            };
        }
        let quoted: BTreeSet<i128> = passages
            .iter()
            .flat_map(|p| numbers_and_words(&p.quote))
            .collect();
        if score < WEAK_MIN {
            Check::Unsupported
        } else if !stated.is_subset(&quoted) {
            Check::NumberMismatch
        } else if score < SUPPORT_MIN {
            Check::Weak
        } else {
            Check::Verified
        }
    }

    /// Fills `support` and `check`, and points the citations at their best passages.
    pub(crate) fn judge(&self, line: &mut Line) {
        if line.cites.is_empty() {
            line.support = None;
            line.check = Check::None;
        } else if self.is_verbatim(line) {
            line.support = Some(1.0);
            line.check = Check::Verbatim;
        } else {
            let sources: Vec<&str> = line.cites.iter().map(|cite| cite.source.as_str()).collect();
            let support = self.support(&line.text, &sources);
            line.support = Some(support.score);
            line.check = support.check;
            line.cites = support.passages;
        }
    }

    fn is_verbatim(&self, line: &Line) -> bool {
        line.origin == Origin::Extracted
            && line.cites.iter().all(|cite| {
                let text = self
                    .sources
                    .get(&cite.source)
                    .map(|text| text.text.as_str());
                text.and_then(|text| text.get(cite.start..cite.end)) == Some(&line.text)
            })
    }

    fn measure(&self, script: &Script) -> Checks {
        let factual: Vec<&Line> = script
            .lines()
            .filter(|l| l.origin != Origin::Template)
            .collect();
        let cited: Vec<&Line> = factual
            .iter()
            .copied()
            .filter(|l| !l.cites.is_empty())
            .collect();
        let copied: Vec<&Line> = factual
            .iter()
            .copied()
            .filter(|l| l.origin == Origin::Extracted)
            .collect();
        Checks {
            citation_coverage: ratio(cited.len(), factual.len()),
            span_exact: ratio(
                copied.iter().filter(|l| l.check == Check::Verbatim).count(),
                copied.len(),
            ),
            number_support: ratio(
                cited.iter().filter(|l| self.knows_numbers(l)).count(),
                cited.len(),
            ),
            max_redundancy: max_jaccard(&factual),
            ..Checks::default()
        }
    }

    /// Whether every number of a line stands somewhere in its sources.
    fn knows_numbers(&self, line: &Line) -> bool {
        let sources: Vec<&Text> = line
            .cites
            .iter()
            .filter_map(|c| self.sources.get(&c.source))
            .collect();
        numbers(&line.text)
            .iter()
            .all(|n| sources.iter().any(|text| text.numbers.contains(n)))
    }
}

impl Text {
    /// The passage that holds most of the words, and which of them it holds.
    /// Empty when no sentence holds any.
    fn best_passage(&self, weights: &[(String, f64)]) -> (Range<usize>, Vec<bool>) {
        let holds: Vec<Vec<bool>> = self
            .sentences
            .iter()
            .map(|(_, words)| {
                weights
                    .iter()
                    .map(|(word, _)| words.contains(word))
                    .collect()
            })
            .collect();
        let mut best = (0.0, 0..0, vec![false; weights.len()]);
        for first in 0..holds.len() {
            let mut held = vec![false; weights.len()];
            for (further, holds) in holds[first..]
                .iter()
                .take(PASSAGE_SENTENCES_MAX)
                .enumerate()
            {
                held.iter_mut()
                    .zip(holds)
                    .for_each(|(all, one)| *all |= one);
                let worth = share(weights, &held) - FURTHER_SENTENCE_COST * further as f64;
                if worth > best.0 {
                    let last = &self.sentences[first + further];
                    let range = self.sentences[first].0.start..last.0.end;
                    best = (worth, range, held.clone());
                }
            }
        }
        (best.1, best.2)
    }
}

/// Weight of the held words as a share of all, 0 when there are none.
fn share(weights: &[(String, f64)], held: &[bool]) -> f64 {
    let total: f64 = weights.iter().map(|(_, weight)| weight).sum();
    let inside: f64 = weights
        .iter()
        .zip(held)
        .filter(|(_, held)| **held)
        .map(|((_, w), _)| w)
        .sum();
    if total > 0.0 { inside / total } else { 0.0 }
}

fn ratio(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Highest Jaccard similarity of two lines' words; `None` below two lines.
fn max_jaccard(lines: &[&Line]) -> Option<f64> {
    let sets: Vec<BTreeSet<String>> = lines
        .iter()
        .map(|l| tokens(&l.text).into_iter().collect())
        .collect();
    let pairs = sets
        .iter()
        .enumerate()
        .flat_map(|(i, one)| sets[..i].iter().map(move |other| (one, other)));
    pairs
        .map(|(one, other)| {
            let union = one.union(other).count();
            if union == 0 {
                0.0
            } else {
                one.intersection(other).count() as f64 / union as f64
            }
        })
        .reduce(f64::max)
}
