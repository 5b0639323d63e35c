//! The pictures of an article: which ones its page shows, and what it calls them.

use std::collections::HashSet;
use std::sync::LazyLock;

use dom_query::{Document, Matcher, NodeRef, Selection};
use url::Url;

use super::article::{begin, squeezed};
use super::text::{GENERIC, KNOWN, selector};
use crate::image::limits::{ALT_CHARS_MAX, HEIGHT_MIN, PER_ARTICLE_MAX, WIDTH_MIN};
use crate::net::limits::URL_BYTES_MAX;
use crate::script::types::PageImage;

/// A wider variant only costs more to fetch: what is kept is smaller.
const VARIANT_WIDTH_MAX: u32 = 1_600;

static OG_IMAGE: LazyLock<Matcher> = LazyLock::new(|| {
    selector(
        r#"meta[property="og:image"], meta[property="og:image:url"], meta[name="twitter:image"]"#,
    )
});
static OG_ALT: LazyLock<Matcher> = LazyLock::new(|| selector(r#"meta[property="og:image:alt"]"#));
/// Where an article is, when no known selector says.
static ARTICLE: LazyLock<Matcher> = LazyLock::new(|| selector("article, main, [role=main]"));
static IMAGES: LazyLock<Matcher> = LazyLock::new(|| selector("img"));
/// What stands inside an article without being its own.
static ALIEN: LazyLock<Matcher> = LazyLock::new(|| {
    selector(
        "aside, nav, footer, form, .related, .advertisement, .ad-slot, .adsbygoogle, .share, \
         .reporter_area, .byline, .comment_area",
    )
});

/// The page's own choice first, then those inside its article; none twice, at
/// most [`PER_ARTICLE_MAX`]. Has to look before the text is extracted, which
/// removes figures.
pub(super) fn pictures(doc: &Document, page: &Url) -> Vec<PageImage> {
    let inside = shown(doc, page);
    let chosen = chosen(doc, page).map(|url| {
        let same = inside.iter().find(|image| image.url == url);
        let alt = same.map(|image| image.alt.clone());
        let alt = alt.or_else(|| short(&doc.select_single_matcher(&OG_ALT).attr("content")?));
        PageImage {
            url,
            alt: alt.unwrap_or_default(),
        }
    });
    let mut seen = HashSet::new();
    chosen
        .into_iter()
        .chain(inside.iter().cloned())
        .filter(|image| seen.insert(image.url.clone()))
        .take(PER_ARTICLE_MAX)
        .collect()
}

fn chosen(doc: &Document, page: &Url) -> Option<Url> {
    address(&doc.select_single_matcher(&OG_IMAGE).attr("content")?, page)
}

fn shown(doc: &Document, page: &Url) -> Vec<PageImage> {
    let Some(article) = article(doc) else {
        return Vec::new();
    };
    let aliens = article.select_matcher(&ALIEN);
    let alien: HashSet<_> = aliens
        .select_matcher(&IMAGES)
        .nodes()
        .iter()
        .map(|node| node.id)
        .collect();
    let images = article.select_matcher(&IMAGES);
    let own = images
        .nodes()
        .iter()
        .filter(|node| !alien.contains(&node.id));
    own.filter_map(|node| read(node, page)).collect()
}

/// The part of the page that is its article; without one, nothing tells its
/// pictures from those around it.
fn article(doc: &Document) -> Option<Selection<'_>> {
    let places = KNOWN.iter().chain([&*ARTICLE]).chain(GENERIC.iter());
    let mut found = places.map(|place| doc.select_single_matcher(place));
    found.find(|place| place.exists())
}

fn read(image: &NodeRef<'_>, page: &Url) -> Option<PageImage> {
    let too_small = |name: &str, min: u32| {
        let value = image.attr(name).and_then(|value| value.trim().parse().ok());
        value.is_some_and(|value: u32| value < min)
    };
    if too_small("width", WIDTH_MIN) || too_small("height", HEIGHT_MIN) {
        return None;
    }
    let variant = ["data-srcset", "srcset"]
        .iter()
        .find_map(|name| widest(&image.attr(name)?, page));
    // Pages that load late keep the address of a placeholder in `src`.
    let late = ["data-src", "data-original", "data-lazy-src", "src"]
        .iter()
        .find_map(|name| address(&image.attr(name)?, page));
    let alt = image.attr("alt").and_then(|alt| short(&alt));
    Some(PageImage {
        url: variant.or(late)?,
        alt: alt.unwrap_or_default(),
    })
}

/// The widest variant that is not beyond use; of `srcset`s by width only.
fn widest(srcset: &str, page: &Url) -> Option<Url> {
    let variants = srcset.split(", ").filter_map(|variant| {
        let (url, width) = variant.trim().trim_end_matches(',').rsplit_once(' ')?;
        let width: u32 = width.strip_suffix('w')?.parse().ok()?;
        (WIDTH_MIN..=VARIANT_WIDTH_MAX)
            .contains(&width)
            .then_some((width, url))
    });
    let (_, url) = variants.max_by_key(|(width, _)| *width)?;
    address(url, page)
}

fn address(text: &str, page: &Url) -> Option<Url> {
    let text = text.trim();
    let url = page.join(text).ok().filter(|_| !text.is_empty())?;
    let fits = url.as_str().len() <= URL_BYTES_MAX;
    (fits && matches!(url.scheme(), "http" | "https")).then_some(url)
}

fn short(text: &str) -> Option<String> {
    Some(begin(&squeezed(text)?, ALT_CHARS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(html: &str) -> Vec<(String, String)> {
        let page = Url::parse("https://n.example/news/1").unwrap();
        let images = pictures(&Document::from(html), &page);
        let images = images.into_iter();
        images
            .map(|image| (image.url.to_string(), image.alt))
            .collect()
    }

    #[test]
    fn addresses_are_found_where_pages_keep_them() {
        let cases = [
            (r#"<img src="/a.jpg">"#, "https://n.example/a.jpg"),
            (
                r#"<img src="data:image/gif;base64,R0" data-src="b.jpg">"#,
                "https://n.example/news/b.jpg",
            ),
            (
                r#"<img src="/blank.gif" data-original="//cdn.example/c.jpg">"#,
                "https://cdn.example/c.jpg",
            ),
            (
                r#"<img src="/d.jpg" srcset="/d-400.jpg 400w, /d-1200.jpg 1200w, /d-4000.jpg 4000w">"#,
                "https://n.example/d-1200.jpg",
            ),
            (
                r#"<img src="/e.jpg" srcset="/e.jpg 1x, /e2.jpg 2x">"#,
                "https://n.example/e.jpg",
            ),
        ];
        for (image, url) in cases {
            let html = format!("<article><p>x</p>{image}</article>");
            assert_eq!(found(&html), [(url.to_owned(), String::new())], "{image}");
        }
    }

    #[test]
    fn what_is_no_picture_of_the_article_is_passed_over() {
        for html in [
            r#"<article><img src="/pixel.gif" width="1" height="1"></article>"#,
            r#"<article><aside><img src="/other.jpg"></aside></article>"#,
            r#"<article><img src="javascript:alert(1)"><img src="file:///etc/passwd"><img></article>"#,
            r#"<div><img src="/logo.png"></div><article>text</article>"#,
            r#"<div><img src="/somewhere.jpg"></div>"#,
            r#"<meta property="og:image" content="">"#,
        ] {
            assert_eq!(found(html), [], "{html}");
        }
    }

    #[test]
    fn the_pages_own_choice_comes_first_and_none_comes_twice() {
        let html = r#"<head><meta property="og:image" content="/b.jpg"></head>
            <article><img src="/a.jpg" alt=" An  alt "><img src="/b.jpg" alt="B"><img src="/c.jpg"><img src="/d.jpg"></article>"#;
        let found = found(html);
        let (urls, alts): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        assert_eq!(
            urls,
            ["b", "a", "c"].map(|name| format!("https://n.example/{name}.jpg"))
        );
        assert_eq!(alts, ["B", "An alt", ""]);
    }
}
