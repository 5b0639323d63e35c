//! Fetches on a tape.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use super::head::Head;
use super::{Fetch, FetchError, Page, Request};
use crate::tape::{Place, Tape};

/// A [`Fetch`] whose pages are recorded, failures too, or played: then nobody
/// is asked. The keys of a request are not recorded, nor what `mask` takes out
/// of an address.
pub struct TapedFetch {
    inner: Arc<dyn Fetch>,
    tape: Arc<Tape>,
    mask: fn(&str) -> String,
}

/// What came of a fetch.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Page { head: Box<Head>, body: Body },
    Error(FetchError),
}

/// Text stays readable.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Body {
    Text(String),
    Base64(String),
}

impl TapedFetch {
    /// Records what `inner` fetches, or plays it; `mask` takes what is secret
    /// out of an address.
    pub fn new(inner: Arc<dyn Fetch>, tape: Arc<Tape>, mask: fn(&str) -> String) -> TapedFetch {
        TapedFetch { inner, tape, mask }
    }

    fn place(&self, request: &Request) -> Place {
        let json = request.json.as_deref().map(String::from_utf8_lossy);
        let url = (self.mask)(request.url.as_str());
        let asked = json!({
            "url": url,
            "origin": request.origin.as_str(),
            "want": request.want.as_str(),
            "json": json,
        });
        self.tape.place("page", asked, &url)
    }

    fn outcome(&self, fetched: &Result<Page, FetchError>) -> Outcome {
        let page = match fetched {
            Ok(page) => page,
            Err(error) => return Outcome::Error(error.clone()),
        };
        let mut head = Head::of(page);
        // What the mask makes of an address is one.
        if let Ok(url) = Url::parse(&(self.mask)(head.url.as_str())) {
            head.url = url;
        }
        let body = match str::from_utf8(&page.body) {
            Ok(text) => Body::Text(text.to_owned()),
            Err(_) => Body::Base64(STANDARD.encode(&page.body)),
        };
        Outcome::Page {
            head: Box::new(head),
            body,
        }
    }
}

fn fetched(outcome: Outcome) -> Result<Page, FetchError> {
    let (head, body) = match outcome {
        Outcome::Page { head, body } => (head, body),
        Outcome::Error(error) => return Err(error),
    };
    let body = match body {
        Body::Text(text) => Bytes::from(text),
        Body::Base64(text) => {
            let bytes = STANDARD.decode(text).map_err(|error| {
                FetchError::Network(format!("the recorded body cannot be read: {error}"))
            })?;
            Bytes::from(bytes)
        }
    };
    Ok(head.with(body))
}

#[async_trait]
impl Fetch for TapedFetch {
    async fn send(&self, request: &Request) -> Result<Page, FetchError> {
        let place = self.place(request);
        if self.tape.is_playing() {
            return fetched(self.tape.read(&place, true).await);
        }
        // So that a page nobody waited for is known to have been asked for.
        self.tape.write(&place, &Value::Null).await;
        let page = self.inner.send(request).await;
        self.tape.write(&place, &self.outcome(&page)).await;
        page
    }
}
