//! The only door outward: every page and feed goes through a [`Fetch`].
//!
//! [`GuardedClient`] is the live one: it judges every address by [`guard`]
//! before it connects. [`CorpusFetcher`] reads the bundled sample.

mod cached;
pub mod client;
pub mod corpus;
pub mod guard;
mod head;
pub mod limits;
mod taped;

pub use cached::CachedFetch;
pub use client::{ClientSettings, GuardedClient};
pub use corpus::CorpusFetcher;
pub use guard::{PublicAddr, Refusal, check_url};
pub use taped::TapedFetch;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::secret::Secret;

/// A fetched body, decoded from its transfer encoding, not from its charset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Address of the last hop.
    pub url: Url,
    /// HTTP status of the last hop.
    pub status: u16,
    /// `Content-Type` as sent.
    pub content_type: Option<String>,
    /// `ETag` as sent.
    pub etag: Option<String>,
    /// `Last-Modified` as sent.
    pub last_modified: Option<String>,
    /// `Cache-Control` as sent.
    pub cache_control: Option<String>,
    /// `Retry-After` as sent.
    pub retry_after: Option<String>,
    /// The bytes; empty unless the status is 2xx, or an [`Want::Answer`] was asked for.
    pub body: Bytes,
}

/// What is asked: a GET, or a POST when there is a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Where.
    pub url: Url,
    /// Who named that address.
    pub origin: Origin,
    /// What kind of body is expected.
    pub want: Want,
    /// The version that is here already; when it still holds, the answer is a 304.
    pub known: Validators,
    /// Keys, by the header that carries them. They go to the host of `url` alone.
    pub secrets: Vec<(&'static str, Secret)>,
    /// A JSON document to post.
    pub json: Option<Bytes>,
}

impl Request {
    /// A plain GET of an address that anybody may have named.
    pub fn get(url: Url, want: Want) -> Self {
        Self::named_by(Origin::Stranger, url, want)
    }

    /// A plain GET of an address that stands in the operator's settings.
    pub fn of_operator(url: Url, want: Want) -> Self {
        Self::named_by(Origin::Operator, url, want)
    }

    /// A plain GET of an address that `origin` has named.
    pub(crate) fn named_by(origin: Origin, url: Url, want: Want) -> Self {
        Self {
            url,
            origin,
            want,
            known: Validators::default(),
            secrets: Vec::new(),
            json: None,
        }
    }

    /// Whether a redirect may be followed: not where that would hand a key or
    /// a document to whoever it leads to.
    fn may_move(&self) -> bool {
        self.secrets.is_empty() && self.json.is_none()
    }
}

/// Who named an address, which decides whether it may be a private one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The operator, in the settings, or a feed of theirs that names a page of its
    /// own site: on a trusted host it may be private.
    Operator,
    /// Anybody else: whoever asks for a job, an entry that leads to another site,
    /// a page, a redirect. It is public or refused, whatever hosts are trusted.
    Stranger,
}

impl Origin {
    /// Its name in keys and records.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Stranger => "stranger",
        }
    }
}

/// What a server called a version of a page by; sent back as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validators {
    /// For `If-None-Match`.
    pub etag: Option<String>,
    /// For `If-Modified-Since`.
    pub last_modified: Option<String>,
}

/// Fetches pages. The live one is guarded; the corpus one reads from the binary.
#[async_trait]
pub trait Fetch: Send + Sync {
    /// Ask, following redirects; a request with secrets or a document follows
    /// none. Whatever the status, an answer is a `Page`, not an error.
    async fn send(&self, request: &Request) -> Result<Page, FetchError>;

    /// GET a page that anybody may have named. The same as [`Fetch::send`] with
    /// nothing but an address.
    async fn get(&self, url: &Url, want: Want) -> Result<Page, FetchError> {
        self.send(&Request::get(url.clone(), want)).await
    }
}

/// What kind of body is expected, which decides type and size limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// An article page: HTML, at most 3 MB.
    Html,
    /// A feed: XML or JSON, at most 3 MB.
    Feed,
    /// robots.txt: text, at most 500 kB.
    Robots,
    /// An image: at most 8 MB and 15 s.
    Image,
    /// What a search service says: JSON, or text where it complains; at most
    /// 1 MB. Read whatever the status, for its reason.
    Answer,
}

impl Want {
    /// Most decoded bytes a body of this kind may have.
    pub fn bytes_max(self) -> usize {
        match self {
            Self::Html => limits::HTML_BYTES_MAX,
            Self::Feed => limits::FEED_BYTES_MAX,
            Self::Robots => limits::ROBOTS_BYTES_MAX,
            Self::Image => limits::IMAGE_BYTES_MAX,
            Self::Answer => limits::ANSWER_BYTES_MAX,
        }
    }

    /// Its name in keys and records.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Feed => "feed",
            Self::Robots => "robots",
            Self::Answer => "answer",
            Self::Image => "image",
        }
    }

    /// Most time a body of this kind may take, redirects included, where that
    /// is less than pages have.
    pub(crate) fn time_max(self) -> Option<Duration> {
        (self == Self::Image).then_some(limits::IMAGE_TIMEOUT)
    }

    /// The `Accept` header that asks for it.
    pub(crate) fn accept(self) -> &'static str {
        match self {
            Self::Html => "text/html, application/xhtml+xml;q=0.9",
            Self::Feed => {
                "application/rss+xml, application/atom+xml, application/feed+json, \
                 application/xml;q=0.9, text/xml;q=0.9, application/json;q=0.8"
            }
            Self::Robots => "text/plain",
            Self::Image => "image/jpeg, image/png, image/webp, image/gif;q=0.9, image/*;q=0.5",
            Self::Answer => "application/json",
        }
    }

    /// Whether a body of this media type is wanted.
    pub(crate) fn takes(self, media_type: &mime::Mime) -> bool {
        let essence = media_type.essence_str();
        match self {
            Self::Html => matches!(essence, "text/html" | "application/xhtml+xml"),
            Self::Feed => matches!(
                essence,
                "text/xml"
                    | "application/xml"
                    | "application/rss+xml"
                    | "application/atom+xml"
                    | "application/rdf+xml"
                    | "application/json"
                    | "application/feed+json"
            ),
            Self::Robots => essence == "text/plain",
            // What it really is, its first bytes say.
            Self::Image => media_type.type_() == mime::IMAGE,
            Self::Answer => {
                media_type.type_() == mime::TEXT
                    || media_type.subtype() == mime::JSON
                    || media_type.suffix() == Some(mime::JSON)
            }
        }
    }
}

/// Why a page could not be fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FetchError {
    /// The guard refused the address; says which rule.
    #[error("refused: {0}")]
    Refused(String),
    /// The name does not resolve, the connection failed or broke.
    #[error("network: {0}")]
    Network(String),
    /// Took longer than allowed.
    #[error("timed out after {0} s")]
    Timeout(u64),
    /// More bytes than allowed.
    #[error("larger than {0} bytes")]
    TooLarge(usize),
    /// A content type that is not wanted.
    #[error("unexpected content type {0}")]
    ContentType(String),
    /// A key that cannot stand in a header; never tells it.
    #[error("the key for {0} has characters that no header may have")]
    Header(String),
    /// Too many redirects.
    #[error("more than {0} redirects")]
    Redirects(usize),
}

impl From<Refusal> for FetchError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal.to_string())
    }
}
