//! A page without its body, as a document.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use url::Url;

use super::Page;

/// All of a page but its bytes.
#[derive(Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) url: Url,
    status: u16,
    content_type: Option<String>,
    etag: Option<String>,
    last_modified: Option<String>,
    cache_control: Option<String>,
    retry_after: Option<String>,
}

impl Head {
    pub(super) fn of(page: &Page) -> Head {
        Head {
            url: page.url.clone(),
            status: page.status,
            content_type: page.content_type.clone(),
            etag: page.etag.clone(),
            last_modified: page.last_modified.clone(),
            cache_control: page.cache_control.clone(),
            retry_after: page.retry_after.clone(),
        }
    }

    pub(super) fn with(self, body: Bytes) -> Page {
        Page {
            url: self.url,
            status: self.status,
            content_type: self.content_type,
            etag: self.etag,
            last_modified: self.last_modified,
            cache_control: self.cache_control,
            retry_after: self.retry_after,
            body,
        }
    }
}
