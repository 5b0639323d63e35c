//! The passages shown to the language model, and nothing else.

use std::sync::LazyLock;

use regex::Regex;

use crate::extractive::sentence::{sentences, without_byline};
use crate::extractive::usable;
use crate::extractive::vector::Space;
use crate::llm::tokens_estimate;
use crate::news::token::tokens;

use super::prompt::unmarked;
use super::types::{Article, Dossier, Plan, ScriptRequest, Source};

/// Tokens of evidence for one script.
pub const TOKENS_MAX: usize = 8_000;
/// Passages of one source.
const PASSAGES_PER_SOURCE_MAX: usize = 6;
/// Characters of a passage; a longer paragraph is cut between sentences.
const PASSAGE_CHARS_MAX: usize = 500;
/// What standing first counts beside the cosine with the section.
const LEAD_WEIGHT: f64 = 0.2;

/// Quoted text of web pages, ready for a prompt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Passages under a `[S1] title | site | date` line per source, in the
    /// order of the dossier, between `<evidence>` tags that the pages cannot
    /// close.
    pub text: String,
    /// Ids of the sources in it: the only ones that may be cited. Empty means
    /// that nothing covers the topic and that the model must not be asked.
    pub sources: Vec<String>,
    /// Estimated tokens of `text`.
    pub tokens: usize,
}

/// The best passages for each section in turn, until `tokens_max` is spent.
/// Ask again with less when the model says that the prompt is too long.
pub fn select(
    request: &ScriptRequest,
    plan: &Plan,
    dossier: &Dossier,
    tokens_max: usize,
) -> Evidence {
    let mut subjects = vec![request.topic.as_str()];
    subjects.extend(plan.queries.iter().map(|query| query.q.as_str()));
    let articles = usable(&subjects, dossier);
    let passages: Vec<Passage<'_>> = articles.iter().flat_map(|a| passages(a)).collect();
    let mut chosen = choose(&ranked(request, plan, &passages), &passages, tokens_max);
    chosen.sort_unstable();
    render(
        &articles,
        &chosen.into_iter().map(|i| &passages[i]).collect::<Vec<_>>(),
    )
}

struct Passage<'a> {
    source: &'a Source,
    /// Its number in the article.
    index: usize,
    text: String,
}

/// The paragraphs of an article, long ones cut between sentences.
fn passages(article: &Article) -> Vec<Passage<'_>> {
    let mut found: Vec<Passage<'_>> = Vec::new();
    let mut end_before = 0;
    for range in sentences(&article.text) {
        let new_paragraph = article.text[end_before..range.start].contains('\n');
        end_before = range.end;
        let sentence = quotable(&article.text[without_byline(&article.text, range)]);
        match found.last_mut() {
            Some(last)
                if !new_paragraph
                    && last.text.chars().count() + sentence.chars().count() < PASSAGE_CHARS_MAX =>
            {
                last.text.push(' ');
                last.text.push_str(&sentence);
            }
            _ => found.push(Passage {
                source: &article.source,
                index: found.len(),
                text: sentence,
            }),
        }
    }
    found
}

/// What begins a mark, or looks to a model as if it did.
static MARK: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[\[【［〔]\s*([sSｓＳ]\s*\d)").expect("the pattern is valid"));

/// Text that cannot end the quotation, nor pass for one of our marks.
fn quotable(text: &str) -> String {
    let text: String = text.chars().take(PASSAGE_CHARS_MAX * 2).collect();
    let plain = unmarked(&text);
    // Headings are ours.
    let bare = plain.trim_start_matches(['#', '＃', ' ']);
    MARK.replace_all(bare, "($1").into_owned()
}

/// Per section all passages, best first.
fn ranked(request: &ScriptRequest, plan: &Plan, passages: &[Passage<'_>]) -> Vec<Vec<usize>> {
    let documents: Vec<Vec<String>> = passages.iter().map(|p| tokens(&p.text)).collect();
    let space = Space::of(&documents);
    let vectors: Vec<_> = documents.iter().map(|d| space.vector(d)).collect();
    let rank = |section: &super::types::OutlineSection| {
        let asked = tokens(&format!(
            "{} {} {}",
            request.topic, section.heading, section.goal
        ));
        let mut scores = space.cosines(&space.vector(&asked), &vectors);
        for (score, passage) in scores.iter_mut().zip(passages) {
            *score += LEAD_WEIGHT / (1.0 + passage.index as f64);
        }
        let mut order: Vec<usize> = (0..passages.len()).collect();
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        order
    };
    plan.sections.iter().map(rank).collect()
}

/// Lets the sections take turns, so that none spends the budget alone.
fn choose(ranked: &[Vec<usize>], passages: &[Passage<'_>], tokens_max: usize) -> Vec<usize> {
    let mut chosen: Vec<usize> = Vec::new();
    let mut left = tokens_max.saturating_sub(tokens_estimate(OPEN) + tokens_estimate(CLOSE));
    for turn in 0..passages.len() {
        for order in ranked {
            let candidate = order[turn];
            let source = passages[candidate].source;
            let siblings = chosen
                .iter()
                .filter(|i| passages[**i].source.id == source.id)
                .count();
            if chosen.contains(&candidate) || siblings >= PASSAGES_PER_SOURCE_MAX {
                continue;
            }
            let heading = if siblings == 0 {
                tokens_estimate(&heading(source))
            } else {
                0
            };
            let cost = heading + tokens_estimate(&passages[candidate].text) + 1;
            if cost <= left {
                left -= cost;
                chosen.push(candidate);
            }
        }
    }
    chosen
}

const OPEN: &str = "<evidence>\n";
const CLOSE: &str = "</evidence>\n";

fn heading(source: &Source) -> String {
    let date = source
        .published
        .as_deref()
        .and_then(|p| p.get(..10))
        .unwrap_or("no date");
    let (title, site) = (quotable(&source.title), quotable(&source.site));
    format!(
        "[{}] {} | {} | {}\n",
        source.id,
        title.replace('|', "/"),
        site.replace('|', "/"),
        quotable(date)
    )
}

fn render(articles: &[&Article], passages: &[&Passage<'_>]) -> Evidence {
    let mut evidence = Evidence {
        text: OPEN.to_owned(),
        ..Evidence::default()
    };
    for article in articles {
        let own: Vec<_> = passages
            .iter()
            .filter(|p| p.source.id == article.source.id)
            .collect();
        if own.is_empty() {
            continue;
        }
        evidence.sources.push(article.source.id.clone());
        evidence.text.push_str(&heading(&article.source));
        for passage in own {
            evidence.text.push_str(&passage.text);
            evidence.text.push('\n');
        }
    }
    evidence.text.push_str(CLOSE);
    evidence.tokens = tokens_estimate(&evidence.text);
    evidence
}
