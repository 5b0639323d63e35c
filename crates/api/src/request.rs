//! What happens around every request: its id, its log line, its failures.

use std::panic::AssertUnwindSafe;

use axum::extract::{Request, State as Extract};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use jiff::Timestamp;
use lovage_core::id::JobId;
use tokio::time::Instant;
use tracing::Instrument;

use crate::error::ApiError;
use crate::state::State;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Length of a request id that is taken over, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 128;
/// Characters of a path that are logged and repeated.
const PATH_CHARS_MAX: usize = 200;

/// Runs a request under its id; makes errors and panics problem documents; logs
/// one line, never a body or a query.
pub(crate) async fn handle(
    Extract(state): Extract<State>,
    request: Request,
    next: Next,
) -> Response {
    let id = request_id(request.headers(), state.clock.now());
    let method = request.method().clone();
    let path: String = request.uri().path().chars().take(PATH_CHARS_MAX).collect();
    let started = Instant::now();
    let span = tracing::info_span!("request", request_id = %id);
    async move {
        let response = match foreign_origin(&request) {
            Some(origin) => ApiError::CrossOrigin(origin).into_response(),
            None => {
                let outcome = AssertUnwindSafe(next.run(request)).catch_unwind().await;
                outcome.unwrap_or_else(|_| ApiError::Panicked.into_response())
            }
        };
        let response = finish(response, &path, &id);
        tracing::info!(
            %method,
            path,
            status = response.status().as_u16(),
            ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "request"
        );
        response
    }
    .instrument(span)
    .await
}

fn finish(mut response: Response, path: &str, id: &str) -> Response {
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        response = error.render(response, path, id);
    }
    let headers = response.headers_mut();
    let value = HeaderValue::from_str(id).expect("a request id is visible ASCII");
    headers.insert(REQUEST_ID, value);
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-cache, private"));
    response
}

/// Where a browser says that a changing request comes from, when it is not this
/// server: on loopback any page a person opens could otherwise cancel jobs.
fn foreign_origin(request: &Request) -> Option<String> {
    if request.method().is_safe() {
        return None;
    }
    let text = |name| {
        request
            .headers()
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let origin = text(header::ORIGIN)?;
    let (_, authority) = origin.split_once("://").unwrap_or(("", origin));
    (text(header::HOST) != Some(authority)).then(|| origin.chars().take(PATH_CHARS_MAX).collect())
}

/// The caller's id when it is a sane one, else a new UUIDv7.
fn request_id(headers: &HeaderMap, now: Timestamp) -> String {
    let sane = |id: &&str| {
        (1..=REQUEST_ID_BYTES_MAX).contains(&id.len())
            && id
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.:/+=".contains(&b))
    };
    headers
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(sane)
        .map_or_else(|| JobId::at(now).to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_another_site_may_look_but_not_change() {
        let from = |method: &str, origin: Option<&str>| {
            let mut request = axum::http::Request::builder()
                .method(method)
                .header("host", "localhost:8080");
            if let Some(origin) = origin {
                request = request.header("origin", origin);
            }
            foreign_origin(&request.body(axum::body::Body::empty()).unwrap())
        };
        assert_eq!(from("POST", None), None, "no browser");
        assert_eq!(from("POST", Some("http://localhost:8080")), None);
        assert_eq!(from("GET", Some("https://evil.example")), None);
        for foreign in ["https://evil.example", "null", "http://localhost:9999"] {
            assert_eq!(from("POST", Some(foreign)), Some(foreign.to_owned()));
        }
    }

    #[test]
    fn only_a_sane_request_id_is_taken_over() {
        let now = Timestamp::UNIX_EPOCH;
        let with = |value: &str| {
            let value = HeaderValue::from_str(value).unwrap();
            request_id(&HeaderMap::from_iter([(REQUEST_ID, value)]), now)
        };
        assert_eq!(with("trace-7f.a:1"), "trace-7f.a:1");
        for odd in ["", "a b", "a\"b", &"x".repeat(129)] {
            assert!(with(odd).parse::<uuid::Uuid>().is_ok(), "{odd:?}");
        }
        assert_eq!(request_id(&HeaderMap::new(), now).as_bytes()[14], b'7');
    }
}
