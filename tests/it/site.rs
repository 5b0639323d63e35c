//! A stand-in for news sites that counts what is asked of it at once.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use jiff::SignedDuration;
use lovage_core::clock::{Clock, SystemClock};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Sites, each on an address of its own: a host is asked twice at once at most.
const HOSTS: u8 = 4;
/// Articles of one site.
const ARTICLES: usize = 6;

/// Running sites. Dropping them stops them.
pub(crate) struct NewsSites {
    addresses: Vec<SocketAddr>,
    desk: Arc<Desk>,
    _servers: JoinSet<()>,
}

struct Desk {
    latency: Duration,
    count: Mutex<Count>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    now: usize,
    max: usize,
    all: usize,
}

impl NewsSites {
    /// Sites that answer after `latency`.
    pub(crate) async fn start(latency: Duration) -> Self {
        let count = Mutex::default();
        let desk = Arc::new(Desk { latency, count });
        let mut addresses = Vec::new();
        let mut servers = JoinSet::new();
        for host in 1..=HOSTS {
            let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, host), 0))
                .await
                .unwrap();
            let address = listener.local_addr().unwrap();
            addresses.push(address);
            let site = Site {
                address,
                desk: Arc::clone(&desk),
            };
            let router = Router::new().fallback(answer).with_state(site);
            servers.spawn(async move { axum::serve(listener, router).await.unwrap() });
        }
        Self {
            addresses,
            desk,
            _servers: servers,
        }
    }

    /// The feeds, as the setting has them.
    pub(crate) fn feeds(&self) -> String {
        let feed = |address: &SocketAddr| format!("http://{address}/feed");
        self.addresses
            .iter()
            .map(feed)
            .collect::<Vec<_>>()
            .join(",")
    }

    /// The hosts, as the setting has them.
    pub(crate) fn hosts(&self) -> String {
        let hosts = self.addresses.iter().map(SocketAddr::to_string);
        hosts.collect::<Vec<_>>().join(",")
    }

    /// The most requests that were being answered at one time.
    pub(crate) fn max_in_flight(&self) -> usize {
        self.desk.count.lock().unwrap().max
    }

    /// Requests so far.
    pub(crate) fn requests(&self) -> usize {
        self.desk.count.lock().unwrap().all
    }
}

#[derive(Clone)]
struct Site {
    address: SocketAddr,
    desk: Arc<Desk>,
}

/// Counts a request until it is answered or given up.
struct Visit(Arc<Desk>);

impl Visit {
    fn enter(desk: &Arc<Desk>) -> Self {
        let mut count = desk.count.lock().unwrap();
        count.all += 1;
        count.now += 1;
        count.max = count.max.max(count.now);
        Self(Arc::clone(desk))
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.0.count.lock().unwrap().now -= 1;
    }
}

async fn answer(State(site): State<Site>, uri: Uri) -> Response {
    let _visit = Visit::enter(&site.desk);
    sleep(site.desk.latency).await;
    let number = uri.path().strip_prefix("/article/");
    match (uri.path(), number.and_then(|number| number.parse().ok())) {
        ("/feed", _) => typed("application/rss+xml", feed(site.address)),
        (_, Some(number)) => typed("text/html; charset=utf-8", article(site.address, number)),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn typed(content_type: &'static str, body: String) -> Response {
    ([(header::CONTENT_TYPE, content_type)], body).into_response()
}

fn headline(address: SocketAddr, number: usize) -> String {
    format!(
        "Harbour ferry timetable: report {number} of {}",
        address.ip()
    )
}

fn feed(address: SocketAddr) -> String {
    let mut items = String::new();
    for number in 1..=ARTICLES {
        let title = headline(address, number);
        // Recent: what is older than a request allows is not read.
        let time = SystemClock.now() - SignedDuration::from_hours(number as i64);
        write!(
            items,
            "<item><title>{title}</title><link>http://{address}/article/{number}</link>\
             <pubDate>{time}</pubDate></item>"
        )
        .unwrap();
    }
    format!(
        "<?xml version=\"1.0\"?><rss version=\"2.0\"><channel><title>Ferry News</title>{items}</channel></rss>"
    )
}

fn article(address: SocketAddr, number: usize) -> String {
    let title = headline(address, number);
    let mut body = String::new();
    for line in 1..=6 {
        let ships = number * 7 + line;
        write!(
            body,
            "<p>The harbour ferry timetable lists {ships} crossings on day {line} of report {number}. \
             The port office of {} expects {} passengers for each of them.</p>",
            address.ip(),
            ships * 31
        )
        .unwrap();
    }
    format!(
        "<!doctype html><html lang=\"en\"><head><title>{title}</title></head><body><article><h1>{title}</h1>{body}</article></body></html>"
    )
}
