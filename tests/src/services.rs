//! A stand-in for every search service that news research asks, for tests
//! without a network.
//!
//! All are one server on 127.0.0.1, each under its own name. Without a script
//! each answers in the shape that it documents, with a page of its own and one
//! that all of them know; scripted, it does what the real one does at its worst.

mod documented;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri, header};
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Running services. Dropping them stops them.
pub struct Services {
    desk: Arc<Desk>,
    server: JoinHandle<()>,
}

struct Desk {
    address: SocketAddr,
    now: Timestamp,
    scripts: Mutex<HashMap<String, Canned>>,
    received: Mutex<Vec<Received>>,
}

/// One request, as it arrived.
#[derive(Debug, Clone)]
pub struct Received {
    /// The service it was for.
    pub service: String,
    /// How.
    pub method: Method,
    /// The path below the service's address.
    pub path: String,
    /// The query as it was sent, decoded.
    pub query: HashMap<String, String>,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: String,
}

/// An answer that was written before.
#[derive(Debug, Clone)]
pub struct Canned {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
    ends: bool,
}

impl Canned {
    /// A JSON document.
    pub fn json(status: u16, body: impl Into<String>) -> Self {
        Self::of(status, "application/json", body.into())
    }

    /// Any body.
    pub fn of(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            headers: vec![("content-type", content_type.to_owned())],
            body: body.into(),
            ends: true,
        }
    }

    /// The same with a header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The same, but its body never ends.
    #[must_use]
    pub fn endless(self) -> Self {
        Self {
            ends: false,
            ..self
        }
    }

    fn response(self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() =
            StatusCode::from_u16(self.status).expect("a test names real statuses");
        for (name, value) in self.headers {
            let value = value.parse().expect("a test writes valid headers");
            response.headers_mut().append(name, value);
        }
        *response.body_mut() = if self.ends {
            Body::from(self.body)
        } else {
            let begun = stream::iter([Ok::<_, std::io::Error>(self.body)]);
            Body::from_stream(begun.chain(stream::pending()))
        };
        response
    }
}

impl Services {
    /// Starts on a free port, in the current tokio runtime. What it tells is of
    /// the hours before `now`.
    ///
    /// # Panics
    /// When no port can be bound.
    pub async fn start(now: Timestamp) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a free port of 127.0.0.1 can be bound");
        let address = listener.local_addr();
        let desk = Arc::new(Desk {
            address: address.expect("a bound socket has an address"),
            now,
            scripts: Mutex::default(),
            received: Mutex::default(),
        });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&desk));
        let server = tokio::spawn(async move {
            // Serving ends only when this task is aborted.
            let _ = axum::serve(listener, router).await;
        });
        Self { desk, server }
    }

    /// `host:port` of all of them.
    pub fn host(&self) -> String {
        self.desk.address.to_string()
    }

    /// Address of a service; of `feed` it is the feed itself.
    pub fn address(&self, service: &str) -> String {
        self.desk.url(service)
    }

    /// Address of the page that all of them know.
    pub fn shared_page(&self) -> String {
        self.desk.url("page/shared")
    }

    /// Address of the page that only one service knows.
    pub fn page_of(&self, service: &str) -> String {
        self.desk.url(&format!("page/{service}"))
    }

    /// What a service answers from now on, whatever it is asked.
    pub fn answer(&self, service: &str, answer: Canned) {
        lock(&self.desk.scripts).insert(service.to_owned(), answer);
    }

    /// What a service was asked so far.
    pub fn received(&self, service: &str) -> Vec<Received> {
        let received = lock(&self.desk.received);
        let of = received.iter().filter(|request| request.service == service);
        of.cloned().collect()
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Desk {
    fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }
}

async fn answer(
    State(desk): State<Arc<Desk>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let (service, path) = match uri.path()[1..].split_once('/') {
        Some((service, path)) => (service, path),
        None => (&uri.path()[1..], ""),
    };
    let known = headers.get(header::IF_NONE_MATCH).cloned();
    let request = Received {
        service: service.to_owned(),
        method,
        path: path.to_owned(),
        query: pairs(uri.query().unwrap_or_default()),
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let scripted = lock(&desk.scripts).get(service).cloned();
    let canned = scripted.unwrap_or_else(|| documented::answer(&desk, &request));
    lock(&desk.received).push(request);
    let tag = canned.headers.iter().find(|(name, _)| *name == "etag");
    let same = tag.is_some_and(|(_, tag)| known.is_some_and(|known| known == tag.as_str()));
    if same {
        return Canned::of(304, "text/plain", "").response();
    }
    canned.response()
}

/// The pairs of a query, as forms encode them.
fn pairs(query: &str) -> HashMap<String, String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next(), rest.next()].map(|digit| digit.unwrap_or(b'0'));
                let digits = String::from_utf8_lossy(&digits).into_owned();
                u8::from_str_radix(&digits, 16).unwrap_or(b'?')
            }
            byte => byte,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
