//! From articles as read to the dossier: relevance, repeats, order, ids.

use super::duplicate::repeats;
use super::rank::{cut, relevance};
use super::search::Candidate;
use super::token::is_korean;
use crate::script::types::{Article, PlannedQuery, Verdict, Warning};

/// What remains of the articles, and what was dropped.
pub(crate) struct Digest {
    /// Readable ones by relevance, then repeats, then what could not be read.
    pub(crate) articles: Vec<Article>,
    pub(crate) warnings: Vec<Warning>,
}

/// Drop what is beside the topic, mark repeats, order and number the rest.
///
/// Takes milliseconds of computing: not for the async loop.
pub(crate) fn digest(asks: &[String], mut articles: Vec<(Candidate, Article)>) -> Digest {
    let warnings = drop_irrelevant(asks, &mut articles);
    let mut articles: Vec<Article> = articles.into_iter().map(|(_, article)| article).collect();
    let texts: Vec<&str> = articles
        .iter()
        .map(|article| article.text.as_str())
        .collect();
    let repeats = repeats(&texts);

    let mut order: Vec<usize> = (0..articles.len()).collect();
    order.sort_by(|&a, &b| {
        let rank = |i: usize| {
            let readable = articles[i].source.verdict == Verdict::Ok;
            (!readable, repeats[i].is_some())
        };
        let relevance = |i: usize| articles[i].source.relevance.unwrap_or(0.0);
        rank(a)
            .cmp(&rank(b))
            .then_with(|| relevance(b).total_cmp(&relevance(a)))
            .then_with(|| a.cmp(&b))
    });
    let mut ids = vec![String::new(); articles.len()];
    for (place, &i) in order.iter().enumerate() {
        ids[i] = format!("S{}", place + 1);
    }
    for &i in &order {
        articles[i].source.id.clone_from(&ids[i]);
        if let Some(original) = repeats[i] {
            articles[i].source.duplicate_of = Some(ids[original].clone());
            articles[original]
                .source
                .also_reported_by
                .push(ids[i].clone());
        }
    }
    let mut numbered: Vec<Option<Article>> = articles.into_iter().map(Some).collect();
    Digest {
        articles: order.iter().filter_map(|&i| numbered[i].take()).collect(),
        warnings,
    }
}

/// Score the readable articles and drop those below the cut. A page that the
/// request names is dropped with a warning, as somebody expects to see it.
fn drop_irrelevant(asks: &[String], articles: &mut Vec<(Candidate, Article)>) -> Vec<Warning> {
    let readable = |article: &Article| article.source.verdict == Verdict::Ok;
    let texts: Vec<String> = articles
        .iter()
        .filter(|(_, article)| readable(article))
        // Twice the title: a headline says what an article is about.
        .map(|(_, article)| format!("{0}\n{0}\n{1}", article.source.title, article.text))
        .collect();
    let asks: Vec<&str> = asks.iter().map(String::as_str).collect();
    let scores = relevance(&asks, &texts);
    let needed = cut(scores.iter().copied());
    let mut scores = scores.into_iter();
    for (_, article) in articles.iter_mut().filter(|(_, article)| readable(article)) {
        article.source.relevance = scores.next();
    }
    let fits = |article: &Article| article.source.relevance.is_none_or(|score| score >= needed);
    let warnings = articles
        .iter()
        .filter(|(candidate, article)| candidate.seed && !fits(article))
        .map(|(candidate, _)| Warning {
            code: "seed_not_relevant".to_owned(),
            detail: format!("{}: not about the topic", candidate.url),
        })
        .collect();
    articles.retain(|(_, article)| fits(article));
    warnings
}

/// What the articles are measured against: the topic, and the queries in the
/// other language, whose articles cannot share a word with it.
pub(crate) fn asks(topic: &str, queries: &[PlannedQuery]) -> Vec<String> {
    let korean = is_korean(topic);
    let others = queries.iter().filter(|query| is_korean(&query.q) != korean);
    let others = others.map(|query| query.q.clone());
    std::iter::once(topic.to_owned()).chain(others).collect()
}
