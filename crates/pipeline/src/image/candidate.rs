//! Which images to fetch.

use std::collections::HashSet;

use serde::Serialize;
use url::Url;

use super::limits::{IMAGES_MAX, PER_ARTICLE_MAX};
use crate::script::types::{Article, Verdict};

/// An image to fetch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// `I1`, `I2`, … in the order of preference. Those that prove unfit leave gaps.
    pub id: String,
    /// Id of the source whose page shows it.
    pub source: String,
    /// Where it is.
    pub url: Url,
    /// What the page calls it; may be empty.
    pub alt: String,
}

/// At most `max` images of the readable articles, none twice.
///
/// The first image of every article comes before the second of any, the best
/// article first: an image serves where its article is cited, so many articles
/// with one are worth more than few with three. A repeat of another article
/// has the same pictures and is passed over.
pub fn candidates(articles: &[Article], max: usize) -> Vec<Candidate> {
    let usable = |article: &&Article| {
        let source = &article.source;
        source.verdict == Verdict::Ok && source.duplicate_of.is_none()
    };
    let articles: Vec<&Article> = articles.iter().filter(usable).collect();
    let rounds = (0..PER_ARTICLE_MAX).flat_map(|round| {
        let articles = articles.iter();
        articles.filter_map(move |article| Some((article, article.images.get(round)?)))
    });
    let mut seen = HashSet::new();
    rounds
        .filter(|(_, image)| seen.insert(&image.url))
        .take(max.min(IMAGES_MAX))
        .enumerate()
        .map(|(place, (article, image))| Candidate {
            id: format!("I{}", place + 1),
            source: article.source.id.clone(),
            url: image.url.clone(),
            alt: image.alt.clone(),
        })
        .collect()
}
