//! Reads a page: its text, and what it says of title, site, author and date.

use std::sync::LazyLock;

use dom_query::{Document, Matcher, NodeRef};
use url::Url;

use super::boilerplate::clean;
use super::canon::bare_host;
use super::date::{self, Dated};
use super::decode::decode;
use super::jsonld::Linked;
use super::limits::{DEPTH_MAX, NAME_CHARS_MAX, TAGS_MAX, TITLE_CHARS_MAX};
use super::markup::{self, Flood};
use super::picture::pictures;
use super::text::{extract, remove_hidden, selector};
use super::token::is_korean;
use super::verdict::{Signs, has_paywall, judge};
use crate::script::types::{PageImage, Verdict};
use crate::visible::visible;

/// Characters that are enough to tell a language.
const LANGUAGE_CHARS: usize = 2_000;
/// A longer remainder of a `<title>` is not the name of a site.
const SITE_CHARS_MAX: usize = 30;

static INVISIBLE: LazyLock<Matcher> =
    LazyLock::new(|| selector("script, style, noscript, template"));
static OG_TITLE: LazyLock<Matcher> = LazyLock::new(|| selector(r#"meta[property="og:title"]"#));
static OG_SITE: LazyLock<Matcher> = LazyLock::new(|| selector(r#"meta[property="og:site_name"]"#));
static AUTHOR: LazyLock<Matcher> =
    LazyLock::new(|| selector(r#"meta[name="author"], meta[property="article:author"]"#));
static HEADING: LazyLock<Matcher> = LazyLock::new(|| selector("h1"));
static PAGE_TITLE: LazyLock<Matcher> = LazyLock::new(|| selector("head > title"));
static BODY: LazyLock<Matcher> = LazyLock::new(|| selector("body"));

/// What was read from a page.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reading {
    pub(crate) title: Option<String>,
    pub(crate) site: String,
    pub(crate) author: Option<String>,
    pub(crate) published: Option<Dated>,
    /// ISO 639-1 where there is such a code, else 639-3.
    pub(crate) lang: Option<String>,
    pub(crate) verdict: Verdict,
    pub(crate) text_from: Option<&'static str>,
    /// Paragraphs, one per line; empty unless the verdict is `ok`.
    pub(crate) text: String,
    /// What the page shows; empty unless the verdict is `ok`.
    pub(crate) images: Vec<PageImage>,
}

/// The page is built to exhaust a parser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Oversized {
    #[error(transparent)]
    Flood(#[from] Flood),
    #[error("elements nested deeper than {DEPTH_MAX}")]
    Depth,
}

/// Read a page. Takes milliseconds of computing: not for the async loop.
///
/// `feed_title` is what the feed called it, which beats the page's own
/// title: old sites put their name there.
pub(crate) fn read(
    body: &[u8],
    content_type: Option<&str>,
    url: &Url,
    feed_title: Option<&str>,
) -> Result<Reading, Oversized> {
    let html = decode(body, content_type);
    markup::check(&html, TAGS_MAX)?;
    let doc = Document::from(html);
    check_depth(&doc)?;

    let linked = Linked::read(&doc);
    let page_title = text_of(&doc, &PAGE_TITLE);
    let title = feed_title
        .map(str::to_owned)
        .or_else(|| content_of(&doc, &OG_TITLE))
        .or_else(|| linked.headline.clone())
        .or_else(|| text_of(&doc, &HEADING))
        .or_else(|| page_title.clone())
        .map(|title| begin(&title, TITLE_CHARS_MAX));
    let site = site(&doc, &linked, title.as_deref(), page_title.as_deref(), url);
    let author = linked.author.clone().or_else(|| content_of(&doc, &AUTHOR));
    let author = author.map(|author| begin(&author, NAME_CHARS_MAX));

    doc.select_matcher(&INVISIBLE).remove();
    remove_hidden(&doc);
    let shown = doc.select_matcher(&BODY).text().to_string();
    let closed = linked.closed || has_paywall(&doc);
    // Dates are read before `extract` removes bylines from the document.
    let korean = is_korean(&shown);
    let published = date::from_page(&doc, linked.published.as_deref(), &shown, korean);
    let images = pictures(&doc, url);
    let extracted = extract(&doc, url, linked.body.as_deref());
    let text = clean(&extracted.text, title.as_deref());

    let verdict = judge(Signs {
        visible: &shown,
        raw: &extracted.text,
        clean: &text,
        link_density: extracted.link_density,
        closed,
    });
    let readable = verdict == Verdict::Ok;
    Ok(Reading {
        title,
        site: begin(&site, NAME_CHARS_MAX),
        author,
        published,
        lang: readable.then(|| language(&text)).flatten(),
        verdict,
        text_from: readable.then_some(extracted.from),
        text: if readable { text } else { String::new() },
        images: if readable { images } else { Vec::new() },
    })
}

/// Text extraction recurses into elements, so their depth is bounded before it.
fn check_depth(doc: &Document) -> Result<(), Oversized> {
    let mut level: Vec<NodeRef<'_>> = vec![doc.root()];
    for _ in 0..DEPTH_MAX {
        level = level
            .iter()
            .flat_map(|node| node.children_it(false))
            .collect();
        if level.is_empty() {
            return Ok(());
        }
    }
    Err(Oversized::Depth)
}

fn text_of(doc: &Document, place: &Matcher) -> Option<String> {
    squeezed(&doc.select_single_matcher(place).text())
}

fn content_of(doc: &Document, place: &Matcher) -> Option<String> {
    squeezed(&doc.select_single_matcher(place).attr("content")?)
}

/// What is seen of a text, blanks reduced to single spaces; `None` when
/// nothing is left.
pub(super) fn squeezed(text: &str) -> Option<String> {
    let text = visible(text);
    let words: Vec<&str> = text.split_whitespace().collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// So much of a text, from its beginning.
pub(super) fn begin(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

fn site(
    doc: &Document,
    linked: &Linked,
    title: Option<&str>,
    page_title: Option<&str>,
    url: &Url,
) -> String {
    content_of(doc, &OG_SITE)
        .or_else(|| linked.publisher.clone())
        .or_else(|| site_in_title(title?, page_title?))
        .unwrap_or_else(|| bare_host(url.host_str().unwrap_or_default()).to_owned())
}

/// `Headline | Site` without the headline; an old page's whole `<title>`.
fn site_in_title(title: &str, page_title: &str) -> Option<String> {
    let rest = match page_title.strip_prefix(title) {
        Some(rest) => rest.trim_start_matches([' ', '|', '-', '–', '—', ':', '·', '<', '«']),
        None => page_title,
    };
    let rest = rest.trim();
    (!rest.is_empty() && rest.chars().count() <= SITE_CHARS_MAX).then(|| rest.to_owned())
}

fn language(text: &str) -> Option<String> {
    let start: String = text.chars().take(LANGUAGE_CHARS).collect();
    let code = whatlang::detect(&start)?.lang().code();
    let short = match code {
        "kor" => "ko",
        "eng" => "en",
        "jpn" => "ja",
        "cmn" => "zh",
        "deu" => "de",
        "fra" => "fr",
        "spa" => "es",
        other => other,
    };
    Some(short.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_html(html: &str) -> Result<Reading, Oversized> {
        let url = Url::parse("https://www.n.example/a").unwrap();
        read(
            html.as_bytes(),
            Some("text/html; charset=utf-8"),
            &url,
            None,
        )
    }

    #[test]
    fn pages_built_to_exhaust_the_parser_are_refused() {
        let deep = "<div>".repeat(DEPTH_MAX + 1);
        assert_eq!(read_html(&deep), Err(Oversized::Depth));
        let wide = "<br>".repeat(TAGS_MAX + 1);
        let flood = Flood::Tags(TAGS_MAX);
        assert_eq!(read_html(&wide), Err(Oversized::Flood(flood)));
    }

    #[test]
    fn what_a_page_says_of_itself_is_kept_in_part() {
        let long = "x".repeat(TITLE_CHARS_MAX + NAME_CHARS_MAX);
        let meta = |name: &str| format!("<meta property=\"{name}\" content=\"{long}\">");
        let head = ["og:title", "og:site_name", "article:author"].map(meta);
        let reading = read_html(&format!("<head>{}</head>", head.concat())).unwrap();
        assert_eq!(reading.title.unwrap().len(), TITLE_CHARS_MAX);
        assert_eq!(reading.site.len(), NAME_CHARS_MAX);
        assert_eq!(reading.author.unwrap().len(), NAME_CHARS_MAX);
    }

    #[test]
    fn an_empty_page_is_too_short() {
        let reading = read_html("").unwrap();
        assert_eq!(reading.verdict, Verdict::TooShort);
        assert_eq!(reading.site, "n.example");
        assert_eq!(reading.text, "");
    }

    #[test]
    fn the_site_is_what_the_title_adds_to_the_headline() {
        assert_eq!(
            site_in_title("제목", "제목 – 도시이동연구소").as_deref(),
            Some("도시이동연구소")
        );
        assert_eq!(
            site_in_title("제목", "한빛교통신문").as_deref(),
            Some("한빛교통신문")
        );
        assert_eq!(site_in_title("제목", "제목"), None);
    }
}
