//! The bundled sample: fictional pages and feeds, answered as a web server
//! would, so that everything behind the network runs as it does live.
//!
//! All hosts end in `.example`, which RFC 2606 keeps out of the real web.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use include_dir::{Dir, include_dir};
use serde::Deserialize;
use url::Url;

use super::limits::TOTAL_TIMEOUT;
use super::{Fetch, FetchError, Page, Request};

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/corpus");

const HTML: &str = "text/html; charset=utf-8";
/// As old sites send it: the charset stands in the page alone.
const HTML_WITHOUT_CHARSET: &str = "text/html";

/// Address, file, content type.
const FEEDS: [(&str, &str, &str); 4] = [
    (
        "https://daily.hanbit.example/feed.xml",
        "feed_rss_ko.xml",
        "application/rss+xml; charset=utf-8",
    ),
    (
        "https://www.hbtraffic.example/rss.xml",
        "feed_rss_euckr.xml",
        "text/xml",
    ),
    (
        "https://courier.lumenbay.example/atom.xml",
        "feed_atom_en.xml",
        "application/atom+xml; charset=utf-8",
    ),
    (
        "https://gridmonitor.example/feed.json",
        "feed_json_en.json",
        "application/feed+json",
    ),
];

/// Pages that no feed names, for the ways a page can fail: address, file, status.
const FAILING: [(&str, &str, u16); 6] = [
    (
        "https://dealwire.example/exclusive",
        "site/paywall.html",
        200,
    ),
    (
        "https://daily.hanbit.example/society",
        "site/list.html",
        200,
    ),
    ("https://shielded.example/story", "site/err.html", 403),
    ("https://checking.example/story", "site/err.html", 200),
    (
        "https://daily.hanbit.example/removed",
        "site/removed.html",
        404,
    ),
    (SLOW, "site/slow.html", 200),
];

/// Charts that the pages show: address, file. Further images that they name
/// are gone, as happens.
const IMAGES: [(&str, &str); 4] = [
    ("https://daily.hanbit.example/img/ko1.png", "img/ko1.png"),
    ("https://saebyeok.example/img/ko4.png", "img/ko4.png"),
    (
        "https://courier.lumenbay.example/img/en1.png",
        "img/en1.png",
    ),
    ("https://gridmonitor.example/img/en2.png", "img/en2.png"),
];
/// A page whose server thinks for longer than anybody waits.
const SLOW: &str = "https://slow.example/story";
const SLOWNESS: Duration = Duration::from_secs(60);

/// Topics that the sample covers.
const TOPICS: [&str; 2] = ["한빛시 자율주행 심야버스", "Lumen Bay tidal battery"];

/// One article of `index.json`; the other keys describe it for people.
#[derive(Deserialize)]
struct Listed {
    url: String,
    file: String,
    tpl: String,
}

struct Answer {
    status: u16,
    content_type: &'static str,
    body: &'static [u8],
}

/// Address without query, as the servers of the sample ignore it.
static ANSWERS: LazyLock<HashMap<String, Answer>> = LazyLock::new(|| {
    let index = file("index.json");
    let listed: Vec<Listed> = serde_json::from_slice(index).expect("index.json lists the pages");
    let articles = listed.into_iter().map(|page| {
        let content_type = if page.tpl == "legacy_euckr" {
            HTML_WITHOUT_CHARSET
        } else {
            HTML
        };
        let body = file(&format!("site/{}", page.file));
        (page.url, answer(200, content_type, body))
    });
    let feeds = FEEDS.map(|(url, path, kind)| (url.to_owned(), answer(200, kind, file(path))));
    let failing = FAILING.map(|(url, path, code)| (url.to_owned(), answer(code, HTML, file(path))));
    let images = IMAGES.map(|(url, path)| (url.to_owned(), answer(200, "image/png", file(path))));
    articles.chain(feeds).chain(failing).chain(images).collect()
});

static HOSTS: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let urls = ANSWERS.keys().map(|url| parsed(url));
    urls.filter_map(|url| url.host_str().map(str::to_owned))
        .collect()
});

fn file(path: &str) -> &'static [u8] {
    FILES
        .get_file(path)
        .expect("the sample holds every file it names")
        .contents()
}

fn answer(status: u16, content_type: &'static str, body: &'static [u8]) -> Answer {
    Answer {
        status,
        content_type,
        body,
    }
}

fn parsed(url: &str) -> Url {
    Url::parse(url).expect("the sample's addresses are valid")
}

/// Answers from the bundled sample: raw bytes, with status and content type.
#[derive(Debug, Clone, Copy, Default)]
pub struct CorpusFetcher;

impl CorpusFetcher {
    /// Addresses of the sample's feeds.
    pub fn feeds() -> Vec<Url> {
        FEEDS.iter().map(|(url, ..)| parsed(url)).collect()
    }

    /// Addresses of the sample's images.
    pub fn images() -> Vec<Url> {
        IMAGES.iter().map(|(url, _)| parsed(url)).collect()
    }

    /// Topics that the sample covers, one per language.
    pub fn topics() -> &'static [&'static str] {
        &TOPICS
    }
}

#[async_trait]
impl Fetch for CorpusFetcher {
    async fn send(&self, request: &Request) -> Result<Page, FetchError> {
        let Request { url, want, .. } = request;
        if !url.host_str().is_some_and(|host| HOSTS.contains(host)) {
            return Err(FetchError::Network("not a host of the sample".to_owned()));
        }
        let mut key = url.clone();
        key.set_query(None);
        key.set_fragment(None);
        if key.as_str() == SLOW {
            tokio::time::timeout(TOTAL_TIMEOUT, tokio::time::sleep(SLOWNESS))
                .await
                .map_err(|_| FetchError::Timeout(TOTAL_TIMEOUT.as_secs()))?;
        }
        let found = ANSWERS.get(key.as_str());
        let body = found.filter(|answer| answer.status < 300);
        if body.is_some_and(|answer| answer.body.len() > want.bytes_max()) {
            return Err(FetchError::TooLarge(want.bytes_max()));
        }
        Ok(Page {
            url: url.clone(),
            status: found.map_or(404, |answer| answer.status),
            content_type: found.map(|answer| answer.content_type.to_owned()),
            etag: None,
            last_modified: None,
            cache_control: None,
            retry_after: None,
            body: body.map_or(Bytes::new(), |answer| Bytes::from_static(answer.body)),
        })
    }
}
