//! The text of an article: which part of the page it is.

use std::sync::LazyLock;

use dom_query::{Document, Matcher, NodeRef, Selection};
use dom_smoothie::{Config, Readability, TextMode};
use regex::Regex;
use url::Url;

use super::limits::TEXT_CHARS_MAX;
use crate::visible::visible;

/// From this length on readability is trusted over generic selectors.
const LONG_CHARS: usize = 1_500;
/// Below this length the text given in JSON-LD is preferred.
const SHORT_CHARS: usize = 250;

/// Ids and classes that Korean news systems give to the article's body.
pub(super) static KNOWN: LazyLock<Vec<Matcher>> = LazyLock::new(|| {
    [
        "#dic_area",
        "#newsct_article",
        "#articleBodyContents",
        "#articeBody",
        "#newsEndContents",
        "#article-view-content-div",
        "#harmonyContainer",
        "#cont_newstext",
        "#news_body_area",
        "#articleBody",
        "#article_body",
        "#articleText",
        "#newsContent",
    ]
    .map(selector)
    .into()
});

/// What sites elsewhere call it, the most telling first.
pub(super) static GENERIC: LazyLock<Vec<Matcher>> = LazyLock::new(|| {
    [
        "[itemprop=articleBody]",
        ".article-body",
        ".article__body",
        ".story-body",
        ".entry-content",
        ".post-content",
        ".article-content",
    ]
    .map(selector)
    .into()
});

/// What is laid over a page rather than part of it. A consent notice is
/// often the longest paragraph, and readability then takes it for the start.
static OVERLAYS: LazyLock<Matcher> = LazyLock::new(|| {
    selector(
        r#"[id*="cookie"], [class*="cookie"], [id*="consent"], [class*="consent"],
        [class*="newsletter"], [role="dialog"]"#,
    )
});

/// What says that it is not shown.
static UNSHOWN: LazyLock<Matcher> =
    LazyLock::new(|| selector(r#"[hidden], [aria-hidden="true"], [style]"#));
static UNSHOWN_STYLE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?ix) display\s*:\s*none | visibility\s*:\s*(?:hidden|collapse)
        | (?:font-size|opacity|max-height)\s*:\s*0(?:\.0+)?(?:px|em|rem|pt|%)?\s*(?:[;!]|$)
        | (?:text-indent|left|right|top)\s*:\s*-\d{3,}",
    )
    .expect("the pattern is valid")
});

/// Parts inside an article's body that are not its text.
static JUNK: LazyLock<Matcher> = LazyLock::new(|| {
    selector(
        "figure, figcaption, iframe, form, button, svg, nav, aside, .img_desc, .end_photo_org, \
         .ad-slot, .advertisement, .adsbygoogle, .byline, .share, .sharedaddy, .related, \
         .reporter_area, .copyright, .comment_area",
    )
});

static LINKS: LazyLock<Matcher> = LazyLock::new(|| selector("a"));

/// Compile a selector of this program.
pub(crate) fn selector(css: &str) -> Matcher {
    Matcher::new(css).expect("the selector is valid")
}

/// A text and how it was found.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Extracted {
    /// Paragraphs, one per line; boilerplate not yet removed.
    pub(crate) text: String,
    /// `selector`, `readability`, `generic` or `jsonld`.
    pub(crate) from: &'static str,
    /// Share of the characters that stand in links, 0 to 1.
    pub(crate) link_density: f64,
}

/// Find the article's text. Removes from the document what is not text.
///
/// Known Korean ids win when they hold at least half of what readability
/// finds; generic selectors are asked only about short texts, since on long
/// ones readability is the better judge; JSON-LD helps out pages that are
/// drawn by script.
pub(crate) fn extract(doc: &Document, url: &Url, linked_body: Option<&str>) -> Extracted {
    remove_overlays(doc);
    let readable = readable(doc, url);
    let chars = readable.text.chars().count();
    doc.select_matcher(&JUNK).remove();
    let holds_enough =
        |found: &Extracted| !found.text.is_empty() && found.text.chars().count() * 2 >= chars;
    if let Some(found) = selected(doc, &KNOWN, "selector").filter(holds_enough) {
        return found;
    }
    let best = match selected(doc, &GENERIC, "generic").filter(holds_enough) {
        Some(found) if chars < LONG_CHARS => found,
        _ => readable,
    };
    match linked_body.map(lines) {
        Some(text) if best.text.chars().count() < SHORT_CHARS && text.len() > best.text.len() => {
            Extracted {
                text,
                from: "jsonld",
                link_density: 0.0,
            }
        }
        _ => best,
    }
}

/// Some sites mark the whole page as awaiting consent: what holds most of the
/// text stays.
fn remove_overlays(doc: &Document) {
    remove_less_than_half(doc, &OVERLAYS, |_| true);
}

/// Orders to a model are put where no reader looks. Here, too, some sites
/// hide the whole page until a script shows it.
pub(crate) fn remove_hidden(doc: &Document) {
    remove_less_than_half(doc, &UNSHOWN, |node| {
        let by_style = |style: &str| UNSHOWN_STYLE.is_match(style);
        node.has_attr("hidden")
            || node.attr("aria-hidden").as_deref() == Some("true")
            || node.attr("style").is_some_and(|style| by_style(&style))
    });
}

fn remove_less_than_half(doc: &Document, places: &Matcher, goes: fn(&NodeRef<'_>) -> bool) {
    let all = doc.text().len();
    for node in doc.select_matcher(places).nodes() {
        if goes(node) && node.text().len() * 2 < all {
            node.remove_from_parent();
        }
    }
}

/// What readability takes for the article; nothing found is an empty text.
fn readable(doc: &Document, url: &Url) -> Extracted {
    let config = Config {
        text_mode: TextMode::Formatted,
        disable_json_ld: true,
        ..Config::default()
    };
    let parsed = Readability::with_document(doc.clone(), Some(url.as_str()), Some(config))
        .and_then(|mut readability| readability.parse());
    let Ok(article) = parsed else {
        return Extracted {
            link_density: density(&doc.text(), &doc.select_matcher(&LINKS)),
            ..Extracted::default()
        };
    };
    let content = Document::fragment(article.content);
    Extracted {
        text: lines(&article.text_content),
        from: "readability",
        link_density: density(&content.text(), &content.select_matcher(&LINKS)),
    }
}

fn selected(doc: &Document, places: &[Matcher], from: &'static str) -> Option<Extracted> {
    let found = places.iter().find_map(|place| {
        let found = doc.select_single_matcher(place);
        found.exists().then_some(found)
    })?;
    Some(Extracted {
        text: lines(&found.formatted_text()),
        from,
        link_density: density(&found.text(), &found.select_matcher(&LINKS)),
    })
}

fn density(text: &str, links: &Selection<'_>) -> f64 {
    let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).count();
    let all = letters(text);
    let linked: usize = links.iter().map(|link| letters(&link.text())).sum();
    if all == 0 {
        return 0.0;
    }
    // Counts of characters in one page are far below 2^52.
    linked as f64 / all as f64
}

/// What is seen of the lines, without outer or repeated blanks; empty ones and what exceeds the
/// limit are dropped.
fn lines(text: &str) -> String {
    let mut kept = String::new();
    let mut chars = 0;
    for line in visible(text).lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let line = words.join(" ");
        chars += line.chars().count() + 1;
        if chars > TEXT_CHARS_MAX {
            break;
        }
        if !line.is_empty() {
            kept.push_str(&line);
            kept.push('\n');
        }
    }
    kept.truncate(kept.trim_end().len());
    kept
}
