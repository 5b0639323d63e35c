//! The guard's tables, and the live client against a server on this machine.
//!
//! The server is reached as a trusted host at an address that the operator
//! named, so that everything but the address rule runs as it does towards the
//! public web.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod addresses;
mod any_address;
mod bodies;
mod names;

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use futures_util::{StreamExt, stream};
use lovage_pipeline::net::client::Timeouts;
use lovage_pipeline::net::guard::Lookup;
use lovage_pipeline::net::limits::{FEED_BYTES_MAX, HTML_BYTES_MAX};
use lovage_pipeline::net::{
    ClientSettings, CorpusFetcher, Fetch, FetchError, GuardedClient, Page, Request, Want,
};
use tokio::net::TcpListener;
use tokio::sync::Barrier;
use tokio::task::JoinHandle;
use url::Url;

const HTML: [(header::HeaderName, &str); 1] = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

/// A name server of one answer.
fn answering(answer: &[&str]) -> Lookup {
    let answer: Vec<IpAddr> = answer.iter().map(|ip| ip.parse().unwrap()).collect();
    Arc::new(move |_| {
        let answer = answer.clone();
        Box::pin(async move { Ok(answer) })
    })
}

/// Short, so that tests of slowness are not slow.
fn settings(trusted: &[SocketAddr]) -> ClientSettings {
    // Ignored: another test of this process may have installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    ClientSettings {
        trusted_hosts: trusted.iter().map(SocketAddr::to_string).collect(),
        timeouts: Timeouts {
            connect: Duration::from_secs(2),
            read: Duration::from_secs(2),
            total: Duration::from_secs(4),
        },
        ..ClientSettings::new("https://operator.example/contact")
    }
}

/// A server that stops with the test.
struct Server {
    addr: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    async fn start(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { addr, task }
    }

    fn url(&self, path: &str) -> Url {
        url(&format!("http://{}{path}", self.addr))
    }

    fn client(&self) -> GuardedClient {
        GuardedClient::new(&settings(&[self.addr])).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What comes of asking for an address that the operator named: the servers
/// of these tests are on this machine.
async fn asked(client: &GuardedClient, at: Url, want: Want) -> Result<Page, FetchError> {
    client.send(&Request::of_operator(at, want)).await
}

/// Fetch `/` of a server with this one handler.
async fn fetch_from<H, T>(handler: H, want: Want) -> Result<Page, FetchError>
where
    H: axum::handler::Handler<T, ()>,
    T: 'static,
{
    let server = Server::start(Router::new().route("/", get(handler))).await;
    asked(&server.client(), server.url("/"), want).await
}

#[tokio::test]
async fn a_page_is_fetched_with_an_honest_name() {
    async fn page(headers: HeaderMap) -> Response {
        let agent = headers[header::USER_AGENT].to_str().unwrap().to_owned();
        assert!(!headers.contains_key(header::AUTHORIZATION));
        assert!(!headers.contains_key(header::COOKIE));
        (HTML, [(header::ETAG, "\"v1\"")], agent).into_response()
    }
    let page = fetch_from(page, Want::Html).await.unwrap();
    assert_eq!(page.status, 200);
    assert_eq!(
        page.content_type.as_deref(),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(page.etag.as_deref(), Some("\"v1\""));
    let agent = String::from_utf8(page.body.to_vec()).unwrap();
    assert!(agent.starts_with("lovage/"), "{agent}");
    assert!(
        agent.ends_with("(+https://operator.example/contact)"),
        "{agent}"
    );
}

#[tokio::test]
async fn an_error_status_is_a_page_without_a_body() {
    let page = fetch_from(
        || async { (StatusCode::NOT_FOUND, HTML, "gone") },
        Want::Html,
    )
    .await;
    let page = page.unwrap();
    assert_eq!((page.status, page.body.len()), (404, 0));
}

#[tokio::test]
async fn private_hosts_need_trust_for_their_very_port() {
    let server = Server::start(Router::new()).await;
    let other = GuardedClient::new(&settings(&["127.0.0.1:1".parse().unwrap()])).unwrap();
    let refused = asked(&other, server.url("/"), Want::Html).await;
    assert!(
        matches!(refused, Err(FetchError::Refused(_))),
        "{refused:?}"
    );
    let credentials = url(&format!("http://user:secret@{}/", server.addr));
    let refused = asked(&server.client(), credentials, Want::Html).await;
    assert!(
        matches!(refused, Err(FetchError::Refused(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_trusted_host_is_for_the_operator_alone() {
    let reached = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&reached);
    let inside = move || async move {
        counter.fetch_add(1, Ordering::SeqCst);
        (HTML, "inside")
    };
    let server = Server::start(Router::new().route("/", get(inside))).await;
    let client = server.client();
    for want in [Want::Html, Want::Feed, Want::Robots, Want::Image] {
        let refused = client.get(&server.url("/"), want).await;
        assert!(
            matches!(refused, Err(FetchError::Refused(_))),
            "{want:?}: {refused:?}"
        );
    }
    assert_eq!(reached.load(Ordering::SeqCst), 0);
    let page = asked(&client, server.url("/"), Want::Html).await.unwrap();
    assert_eq!(page.body.as_ref(), b"inside");
}

#[tokio::test]
async fn a_name_with_one_private_answer_is_refused() {
    for answer in [
        vec!["127.0.0.1"],
        vec!["1.1.1.1", "10.0.0.1"],
        vec!["::ffff:192.168.0.1"],
        vec!["fd00::1"],
    ] {
        let client = GuardedClient::with_lookup(&settings(&[]), answering(&answer)).unwrap();
        let got = client
            .get(&url("http://news.example.com/"), Want::Html)
            .await;
        assert!(
            matches!(got, Err(FetchError::Refused(_))),
            "{answer:?}: {got:?}"
        );
    }
}

#[tokio::test]
async fn a_name_without_answers_is_a_network_error() {
    let client = GuardedClient::with_lookup(&settings(&[]), answering(&[])).unwrap();
    let got = client
        .get(&url("https://news.example.com/"), Want::Html)
        .await;
    assert!(matches!(got, Err(FetchError::Network(_))), "{got:?}");
}

#[tokio::test]
async fn every_redirect_is_judged_anew() {
    for target in [
        "http://169.254.169.254/latest/meta-data/",
        "http://127.0.0.1:1/",
        "http://[::ffff:127.0.0.1]/",
        "//localhost/",
        r"\\127.0.0.1\",
        "/\t/127.0.0.1/",
        "http://inside.example.com/",
        "//inside.example.com/",
        "https://inside.example.com:8443/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "data:text/html,x",
        "javascript:alert(1)",
        "http://user:secret@example.com/",
        "//user@example.com/",
        "http://example.com:6379/",
        "http://[fe80::1]/",
        "http://2130706433/",
    ] {
        let router =
            Router::new().route("/", get(move || async move { Redirect::temporary(target) }));
        let server = Server::start(router).await;
        // Every name leads inside.
        let client =
            GuardedClient::with_lookup(&settings(&[server.addr]), answering(&["10.0.0.1"]))
                .unwrap();
        let got = asked(&client, server.url("/"), Want::Html).await;
        assert!(
            matches!(got, Err(FetchError::Refused(_))),
            "{target}: {got:?}"
        );
    }
}

/// Not from the host itself either.
#[tokio::test]
async fn no_redirect_leads_to_a_trusted_host() {
    let reached = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&reached);
    let inside = move || async move { counter.fetch_add(1, Ordering::SeqCst).to_string() };
    let other = Server::start(Router::new().route("/inside", get(inside.clone()))).await;
    for target in [other.url("/inside").to_string(), "/inside".to_owned()] {
        let to = target.clone();
        let router = Router::new()
            .route("/", get(move || async move { Redirect::temporary(&to) }))
            .route("/inside", get(inside.clone()));
        let server = Server::start(router).await;
        let client = GuardedClient::new(&settings(&[server.addr, other.addr])).unwrap();
        let got = asked(&client, server.url("/"), Want::Html).await;
        assert!(
            matches!(got, Err(FetchError::Refused(_))),
            "{target}: {got:?}"
        );
    }
    assert_eq!(reached.load(Ordering::SeqCst), 0);
}

/// A body that never ends, one piece at a time.
fn endless(piece: Bytes, pause: Duration) -> Body {
    let pieces = stream::repeat(piece).then(move |piece| async move {
        tokio::time::sleep(pause).await;
        Ok::<_, Infallible>(piece)
    });
    Body::from_stream(pieces)
}

async fn fetch_within(timeouts: Timeouts, body: fn() -> Body) -> Result<u16, FetchError> {
    let handler = move || async move { (HTML, body()) };
    let server = Server::start(Router::new().route("/", get(handler))).await;
    let settings = ClientSettings {
        timeouts,
        ..settings(&[server.addr])
    };
    let client = GuardedClient::new(&settings).unwrap();
    let got = asked(&client, server.url("/"), Want::Html).await;
    got.map(|page| page.status)
}

#[tokio::test]
async fn a_silent_body_ends_by_the_read_timeout() {
    let timeouts = Timeouts {
        connect: Duration::from_secs(30),
        read: Duration::from_secs(1),
        total: Duration::from_secs(30),
    };
    let silent = || Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
    assert_eq!(
        fetch_within(timeouts, silent).await,
        Err(FetchError::Timeout(1))
    );
}

#[tokio::test]
async fn a_trickling_body_ends_by_the_total_timeout() {
    let timeouts = Timeouts {
        connect: Duration::from_secs(30),
        read: Duration::from_secs(30),
        total: Duration::from_secs(1),
    };
    let trickle = || endless(Bytes::from_static(b"x"), Duration::from_millis(20));
    assert_eq!(
        fetch_within(timeouts, trickle).await,
        Err(FetchError::Timeout(1))
    );
}

#[tokio::test]
async fn an_endless_body_ends_by_its_size() {
    let flood = || async {
        let piece = Bytes::from(vec![b'x'; 64 * 1024]);
        (HTML, endless(piece, Duration::ZERO))
    };
    let got = fetch_from(flood, Want::Html).await;
    assert_eq!(got, Err(FetchError::TooLarge(HTML_BYTES_MAX)));
}

#[tokio::test]
async fn an_announced_size_is_believed_when_it_is_too_large() {
    let large = || async {
        let kind = [(header::CONTENT_TYPE, "application/rss+xml")];
        (kind, vec![b'x'; FEED_BYTES_MAX + 1])
    };
    let got = fetch_from(large, Want::Feed).await;
    assert_eq!(got, Err(FetchError::TooLarge(FEED_BYTES_MAX)));
}

#[tokio::test]
async fn a_compressed_bomb_is_counted_unpacked() {
    let bomb = || async {
        let packed = include_bytes!("../fixtures/zeros.gz").as_slice();
        (HTML, [(header::CONTENT_ENCODING, "gzip")], packed)
    };
    let got = fetch_from(bomb, Want::Html).await;
    assert_eq!(got, Err(FetchError::TooLarge(HTML_BYTES_MAX)));
}

#[tokio::test]
async fn only_the_wanted_content_types_are_read() {
    for (kind, want, taken) in [
        ("text/html", Want::Html, true),
        ("application/xhtml+xml; charset=utf-8", Want::Html, true),
        ("image/png", Want::Html, false),
        ("application/pdf", Want::Html, false),
        ("nonsense", Want::Html, false),
        ("application/atom+xml", Want::Feed, true),
        ("text/xml; charset=euc-kr", Want::Feed, true),
        ("application/feed+json", Want::Feed, true),
        ("text/html", Want::Feed, false),
        ("text/plain", Want::Robots, true),
        ("text/html", Want::Robots, false),
    ] {
        let page = move || async move { ([(header::CONTENT_TYPE, kind)], "x") };
        let got = fetch_from(page, want).await;
        match got {
            Ok(_) => assert!(taken, "{kind} as {want:?}"),
            Err(error) => {
                assert!(!taken, "{kind} as {want:?}");
                assert_eq!(error, FetchError::ContentType(kind.to_owned()));
            }
        }
    }
}

#[tokio::test]
async fn no_more_requests_run_at_once_than_allowed() {
    const AT_ONCE: usize = 3;
    let running = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    // Lets nobody go before the allowed number has come, so that the test
    // also fails when fewer run at once.
    let full = Arc::new(Barrier::new(AT_ONCE));
    let handler = {
        let most = Arc::clone(&most);
        move || async move {
            let now = running.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(now, Ordering::SeqCst);
            full.wait().await;
            running.fetch_sub(1, Ordering::SeqCst);
            (HTML, "x")
        }
    };
    let server = Server::start(Router::new().route("/", get(handler))).await;
    let settings = ClientSettings {
        downloads: AT_ONCE,
        ..settings(&[server.addr])
    };
    let client = GuardedClient::new(&settings).unwrap();
    let pages = (0..AT_ONCE * 4).map(|_| asked(&client, server.url("/"), Want::Html));
    for page in futures_util::future::join_all(pages).await {
        assert_eq!(page.unwrap().status, 200);
    }
    assert_eq!(most.load(Ordering::SeqCst), AT_ONCE);
}

#[tokio::test]
async fn the_sample_answers_as_a_server_would() {
    let sample = CorpusFetcher;
    for feed in CorpusFetcher::feeds() {
        let page = sample.get(&feed, Want::Feed).await.unwrap();
        assert_eq!(page.status, 200);
        assert!(!page.body.is_empty());
    }
    let legacy = url("https://www.hbtraffic.example/news/ko3?utm_source=rss");
    let page = sample.get(&legacy, Want::Html).await.unwrap();
    assert_eq!(page.content_type.as_deref(), Some("text/html"));
    assert!(
        std::str::from_utf8(&page.body).is_err(),
        "still in its own charset"
    );

    let robots = url("https://www.hbtraffic.example/robots.txt");
    assert_eq!(sample.get(&robots, Want::Robots).await.unwrap().status, 404);
    let elsewhere = sample.get(&url("https://example.com/"), Want::Html).await;
    assert!(matches!(elsewhere, Err(FetchError::Network(_))));
}
