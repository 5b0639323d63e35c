//! Entity tags: whether a caller has seen a body before.

use axum::http::{HeaderMap, header};
use sha2::{Digest, Sha256};

use crate::idempotency;

/// The strong tag of a body.
pub(crate) fn of(body: &[u8]) -> String {
    format!("\"{}\"", &idempotency::hex(&Sha256::digest(body))[..32])
}

/// Whether `If-None-Match` names the tag; a proxy may have marked it weak.
pub(crate) fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|known| known.trim())
        .any(|known| known == "*" || known.trim_start_matches("W/") == tag)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_tag_is_known_among_others_and_when_marked_weak() {
        let headers = |value: &'static str| {
            HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static(value))])
        };
        for known in ["\"a\"", "W/\"a\"", "\"b\", \"a\"", "*"] {
            assert!(is_known(&headers(known), "\"a\""), "{known}");
        }
        for other in ["\"b\"", "a", ""] {
            assert!(!is_known(&headers(other), "\"a\""), "{other}");
        }
    }
}
