//! The same page is fetched once.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lovage_workflow::cache::{Cache, CacheKey, Shelf};
use sha2::{Digest, Sha256};

use super::head::Head;
use super::{Fetch, FetchError, Page, Request, Want};
use crate::sharing::{self, Worth};

/// A [`Fetch`] whose pages are kept and shared, while they are being read too.
///
/// Kept are answers with a 2xx status, and that a site has no robots.txt; not
/// what a site forbids to keep (`Cache-Control`, RFC 9111), and for no longer
/// than it allows. Failures are neither kept nor shared.
pub struct CachedFetch {
    inner: Arc<dyn Fetch>,
    cache: Arc<dyn Cache>,
    keep: Duration,
}

impl CachedFetch {
    /// Keeps what `inner` fetches for `keep` at most.
    pub fn new(inner: Arc<dyn Fetch>, cache: Arc<dyn Cache>, keep: Duration) -> CachedFetch {
        CachedFetch { inner, cache, keep }
    }

    fn worth(&self, page: &Page, want: Want) -> Worth {
        let no_robots = want == Want::Robots && matches!(page.status, 404 | 410);
        if !(200..300).contains(&page.status) && !no_robots {
            return None;
        }
        let allowed = allowed(page.cache_control.as_deref().unwrap_or_default())?;
        Some((written(page)?, self.keep.min(allowed)))
    }
}

/// How long a site lets a cache that many share keep an answer (RFC 9111,
/// section 5.2.2); nothing where it forbids it.
fn allowed(cache_control: &str) -> Option<Duration> {
    let mut allowed = Duration::MAX;
    let mut for_shared = false;
    for directive in cache_control.split(',') {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        let seconds = value.trim().trim_matches('"').parse().ok();
        match name.trim().to_ascii_lowercase().as_str() {
            "no-store" | "no-cache" | "private" => return None,
            "s-maxage" => {
                for_shared = true;
                allowed = Duration::from_secs(seconds?);
            }
            "max-age" if !for_shared => allowed = Duration::from_secs(seconds?),
            _ => {}
        }
    }
    Some(allowed)
}

/// The head on one line, then the body.
fn written(page: &Page) -> Option<Vec<u8>> {
    let mut bytes = serde_json::to_vec(&Head::of(page)).ok()?;
    bytes.push(b'\n');
    bytes.extend_from_slice(&page.body);
    Some(bytes)
}

fn read(bytes: &[u8]) -> Option<Page> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let head: Head = serde_json::from_slice(&bytes[..end]).ok()?;
    Some(head.with(bytes[end + 1..].to_vec().into()))
}

/// A key tells who asks, not what: it is no part of this. Nor is the version
/// that somebody has already: everyone gets the whole page. Who named the
/// address is: a stranger must not get what only the operator may ask for.
fn key(request: &Request) -> CacheKey {
    let mut address = request.url.clone();
    address.set_fragment(None);
    let digest = Sha256::new()
        .chain_update(request.origin.as_str())
        .chain_update("\n")
        .chain_update(request.want.as_str())
        .chain_update("\n")
        .chain_update(address.as_str())
        .chain_update("\n")
        .chain_update(request.json.as_deref().unwrap_or_default());
    CacheKey {
        shelf: Shelf::Page,
        digest: digest.finalize().into(),
    }
}

#[async_trait]
impl Fetch for CachedFetch {
    async fn send(&self, request: &Request) -> Result<Page, FetchError> {
        let worth = |page: &Page| self.worth(page, request.want);
        let fetch = self.inner.send(request);
        let got = sharing::get(&self.cache, key(request), read, worth, fetch).await?;
        Ok(got.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_says_how_long_it_may_be_kept() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        for (cache_control, expected) in [
            ("", Some(Duration::MAX)),
            ("public", Some(Duration::MAX)),
            ("max-age=60", seconds(60)),
            ("Public, Max-Age=\"60\"", seconds(60)),
            ("max-age=0", seconds(0)),
            ("max-age=600, s-maxage=5", seconds(5)),
            ("s-maxage=5, max-age=600", seconds(5)),
            ("no-store", None),
            ("max-age=60, NO-STORE", None),
            ("private", None),
            ("private=\"set-cookie\"", None),
            ("no-cache", None),
            ("max-age=soon", None),
        ] {
            assert_eq!(allowed(cache_control), expected, "{cache_control:?}");
        }
    }
}
