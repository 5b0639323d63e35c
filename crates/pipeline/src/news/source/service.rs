//! A search service: how it is asked, whatever it is.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

use super::text::{complaint, headline, name, plain};
use super::turns::Turns;
use super::{Finds, Hit, NewsSource, Query, SearchError};
use crate::net::{Fetch, Page, Request, Want};
use crate::news::limits::{ANSWERS_KEPT, SERVICE_OFF};
use crate::news::published;
use crate::news::token::is_korean;
use crate::secret::Secret;

/// What is known of a service before it is asked.
pub struct SourceSpec {
    /// Short and stable: its name in settings, reports and warnings.
    pub name: &'static str,
    /// What it gives, for people.
    pub gives: &'static str,
    /// How it differs from what one would expect, for people.
    pub traps: &'static str,
    /// Names of the keys it needs, as in the settings.
    pub keys: &'static [&'static str],
    /// Its address; empty where every operator has an own one.
    pub address: &'static str,
    /// The languages of its pages.
    pub langs: &'static [&'static str],
    /// Time between two requests, where they share their [`Turns`].
    pub pause: Duration,
    /// How many queries of one job it takes.
    pub queries_max: usize,
    /// How long an answer is used again; zero to ask anew each time.
    pub kept: Duration,
    /// Asks it.
    pub search: Search,
}

type Search = for<'a> fn(&'a Service, &'a Query) -> BoxFuture<'a, Result<Finds, SearchError>>;

impl SourceSpec {
    /// What most are: no key, no pause, every query, nothing kept.
    pub(super) const fn new(name: &'static str, address: &'static str, search: Search) -> Self {
        Self {
            name,
            gives: "",
            traps: "",
            keys: &[],
            address,
            langs: &["ko", "en"],
            pause: Duration::ZERO,
            queries_max: usize::MAX,
            kept: Duration::ZERO,
            search,
        }
    }
}

/// What the operator says of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Its address.
    pub address: Url,
    /// Its keys, in the order of [`SourceSpec::keys`].
    pub keys: Vec<Secret>,
}

/// A service that can be asked.
pub struct Service {
    spec: &'static SourceSpec,
    settings: Settings,
    fetch: Arc<dyn Fetch>,
    turns: Arc<Turns>,
    /// Held while it is asked, where answers are kept: the other queries wait
    /// for the same answer.
    kept: Mutex<Vec<Kept>>,
}

struct Kept {
    url: Url,
    until: Instant,
    answer: Arc<Value>,
}

impl Service {
    /// A service as it is set up. `settings` has a key for each that it needs;
    /// `turns` are those of everybody who asks it.
    pub fn new(
        spec: &'static SourceSpec,
        settings: Settings,
        fetch: Arc<dyn Fetch>,
        turns: Arc<Turns>,
    ) -> Self {
        Self {
            turns,
            spec,
            settings,
            fetch,
            kept: Mutex::default(),
        }
    }

    /// A GET of an address of the service.
    pub(super) fn get(&self, path: &str, query: &[(&str, &str)], want: Want) -> Request {
        let mut url = self.settings.address.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path.split('/'));
        }
        url.query_pairs_mut().extend_pairs(query);
        Request::of_operator(url, want)
    }

    /// The key at a place of [`SourceSpec::keys`].
    pub(super) fn key(&self, place: usize) -> Secret {
        let key = self.settings.keys.get(place).cloned();
        key.unwrap_or_else(|| Secret::new(""))
    }

    /// Asks for a JSON document.
    pub(super) async fn json(&self, request: Request, query: &Query) -> Result<Value, SearchError> {
        let page = self.ask(request, query).await?;
        let body = page.body.clone();
        let read = tokio::task::spawn_blocking(move || read_json(&body));
        let read = read
            .await
            .map_err(|error| SearchError::Invalid(error.to_string()))?;
        read.map_err(|error| match error {
            // Some services tell errors as text, with a status of success.
            NotJson::Text(text) => SearchError::Complaint(self.complaint(&text)),
            NotJson::Broken(why) => SearchError::Invalid(why),
        })
    }

    /// The same, or the answer of a while ago.
    pub(super) async fn json_kept(
        &self,
        request: Request,
        query: &Query,
    ) -> Result<Arc<Value>, SearchError> {
        let url = request.url.clone();
        let mut kept = self.kept.lock().await;
        let known = kept.iter().find(|one| one.url == url);
        if let Some(known) = known.filter(|one| Instant::now() < one.until) {
            return Ok(Arc::clone(&known.answer));
        }
        let answer = Arc::new(self.json(request, query).await?);
        kept.retain(|one| one.url != url && Instant::now() < one.until);
        if kept.len() == ANSWERS_KEPT {
            kept.remove(0);
        }
        kept.push(Kept {
            url,
            until: Instant::now() + self.spec.kept,
            answer: Arc::clone(&answer),
        });
        Ok(answer)
    }

    /// Asks when its turn has come; an answer that is no success is an error.
    pub(super) async fn ask(&self, request: Request, query: &Query) -> Result<Page, SearchError> {
        self.turns.take().await?;
        let page = self
            .fetch
            .send(&request)
            .await
            .map_err(SearchError::Fetch)?;
        if matches!(page.status, 429 | 503) {
            let asked = retry_after(&page, SystemTime::from(query.now));
            self.turns.leave_alone(asked.unwrap_or(SERVICE_OFF));
        }
        if (200..300).contains(&page.status) {
            return Ok(page);
        }
        Err(match said(&page.body) {
            Some(text) => SearchError::Refused(page.status, self.complaint(&text)),
            None => SearchError::Status(page.status),
        })
    }

    /// What it complains of, as it may be shown.
    pub(super) fn complaint(&self, text: &str) -> String {
        complaint(text, &self.settings.keys)
            .unwrap_or_else(|| "nothing that can be read".to_owned())
    }

    /// A hit of this service; `None` without a headline or a web address.
    pub(super) fn hit(&self, found: Found<'_>, query: &Query) -> Option<Hit> {
        let url = Url::parse(found.url?.trim()).ok()?;
        if !matches!(url.scheme(), "http" | "https") {
            return None;
        }
        let title = headline(found.title?)?;
        let korean = is_korean(&title);
        let parse = |text| published::parse(text, query.now, korean);
        Some(Hit {
            snippet: found.snippet.and_then(plain),
            site: found.site.and_then(name),
            published: found.published.and_then(parse),
            lang: if korean { "ko" } else { "en" }.to_owned(),
            via: self.spec.name.to_owned(),
            title,
            url,
        })
    }
}

/// A hit as a service gives it; anything may be missing.
#[derive(Default)]
pub(super) struct Found<'a> {
    pub(super) url: Option<&'a str>,
    pub(super) title: Option<&'a str>,
    pub(super) snippet: Option<&'a str>,
    pub(super) site: Option<&'a str>,
    pub(super) published: Option<&'a str>,
}

#[async_trait]
impl NewsSource for Service {
    fn name(&self) -> &str {
        self.spec.name
    }

    fn speaks(&self, lang: &str) -> bool {
        self.spec.langs.contains(&lang)
    }

    fn queries_max(&self) -> usize {
        self.spec.queries_max
    }

    async fn search(&self, query: &Query) -> Result<Finds, SearchError> {
        (self.spec.search)(self, query).await
    }
}

/// The entries of a list, without those of another shape than documented.
///
/// # Errors
/// When the answer has no such list.
pub(super) fn entries<T: DeserializeOwned>(
    answer: &Value,
    name: &str,
) -> Result<Vec<T>, SearchError> {
    let list = answer[name]
        .as_array()
        .ok_or_else(|| SearchError::Invalid(format!("no list {name:?} in the answer")))?;
    let read = list.iter().map(T::deserialize);
    Ok(read.filter_map(Result::ok).collect())
}

/// The time that an answer asks to be left alone for.
pub(super) fn retry_after(page: &Page, now: SystemTime) -> Option<Duration> {
    let text = page.retry_after.as_deref()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let then = httpdate::parse_http_date(text).ok()?;
    Some(then.duration_since(now).unwrap_or_default())
}

enum NotJson {
    Text(String),
    Broken(String),
}

fn read_json(body: &Bytes) -> Result<Value, NotJson> {
    let error = match serde_json::from_slice(body) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    if !matches!(body.trim_ascii_start().first(), Some(b'{' | b'[')) {
        return Err(NotJson::Text(String::from_utf8_lossy(body).into_owned()));
    }
    // Headlines are sent with raw line ends in them, which JSON forbids.
    let clean: Vec<u8> = body
        .iter()
        .map(|byte| if byte.is_ascii_control() { b' ' } else { *byte })
        .collect();
    serde_json::from_slice(&clean).map_err(|_| NotJson::Broken(error.to_string()))
}

/// What a refusal says, wherever it says it.
fn said(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let Ok(value) = serde_json::from_str::<Value>(&text) else {
        return plain(&text);
    };
    [
        "/message",
        "/errorMessage",
        "/error/detail",
        "/error/message",
        "/detail/error",
        "/detail",
        "/error",
    ]
    .iter()
    .find_map(|place| value.pointer(place)?.as_str().map(str::to_owned))
}
