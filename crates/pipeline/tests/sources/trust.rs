//! What strangers name on a host that the operator trusts: nothing is fetched
//! there but the operator's own addresses, and what a feed of theirs has on its own site.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use lovage_pipeline::image::{self, Unfit};
use lovage_pipeline::net::{CachedFetch, Fetch, FetchError, Origin, Request, Want};
use lovage_pipeline::news::{FeedSource, Inquiry, NewsSource, Research, SearchError, feeds};
use lovage_pipeline::script::types::{Domains, Dossier, PlannedQuery, Since, Verdict};
use lovage_tests::cache::MemoryCache;
use lovage_tests::clock::ManualClock;
use lovage_tests::services::{Canned, Services};
use url::Url;

use crate::{TOPIC, door, now, query, source};

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

/// A research whose pages come through a door that trusts the stand-in.
async fn run(
    services: &Services,
    sources: impl FnOnce(&Arc<dyn Fetch>) -> Vec<Arc<dyn NewsSource>>,
    seed_urls: &[Url],
) -> Dossier {
    let pages = door(&[services]);
    let research = Research::live(sources(&pages), pages).with_host_gap(Duration::ZERO);
    research.run(&inquiry(&queries(), seed_urls), &()).await
}

fn queries() -> [PlannedQuery; 1] {
    [PlannedQuery {
        q: TOPIC.to_owned(),
        lang: "en".to_owned(),
        why: String::new(),
    }]
}

fn inquiry<'a>(queries: &'a [PlannedQuery], seed_urls: &'a [Url]) -> Inquiry<'a> {
    static EVERYWHERE: LazyLock<Domains> = LazyLock::new(Domains::default);
    Inquiry {
        topic: TOPIC,
        queries,
        seed_urls,
        max_sources: 5,
        since: Since::default(),
        domains: &EVERYWHERE,
        now: now(),
        deadline: None,
    }
}

/// That the stand-in has been asked for no page, nor whether it may be read.
fn assert_unread(services: &Services, who: &str) {
    for path in ["page", "robots.txt"] {
        let asked = services.received(path);
        assert!(asked.is_empty(), "{who}: {asked:?}");
    }
}

#[tokio::test]
async fn what_a_stranger_links_to_is_not_read_there() {
    for who in ["searxng", "wikipedia", "a request"] {
        let services = Services::start(now()).await;
        let of = |_: &Arc<dyn Fetch>| match who {
            "a request" => Vec::new(),
            service => vec![source(&services, service)],
        };
        let seed = (who == "a request").then(|| url(&services.shared_page()));
        let dossier = run(&services, of, seed.as_slice()).await;
        let asked = services.received(who);
        assert_eq!(asked.is_empty(), who == "a request", "{who}");
        assert!(!dossier.articles.is_empty(), "{who}");
        for article in &dossier.articles {
            let source = &article.source;
            assert_eq!(source.verdict, Verdict::Robots, "{who}");
            let error = source.error.as_deref().unwrap();
            let refused = error.starts_with("robots.txt cannot be read: refused: port ");
            assert!(refused, "{who}: {error}");
        }
        assert_unread(&services, who);
    }
}

#[tokio::test]
async fn a_feed_of_the_house_has_its_own_pages_read() {
    let services = Services::start(now()).await;
    let feed = url(&services.address("feed"));
    let dossier = run(&services, |pages| feeds(vec![feed], pages), &[]).await;
    assert!(!dossier.articles.is_empty());
    assert!(!services.received("page").is_empty());
}

#[tokio::test]
async fn a_feed_leads_to_no_other_host_of_the_house() {
    let (feeding, other) = (Services::start(now()).await, Services::start(now()).await);
    let page = other.shared_page();
    let feed = format!(
        "<rss version=\"2.0\"><channel><title>t</title><item><title>{TOPIC}</title><link>{page}</link></item></channel></rss>"
    );
    feeding.answer("feed", Canned::of(200, "application/rss+xml", feed));
    let pages = door(&[&feeding, &other]);
    let sources = feeds(vec![url(&feeding.address("feed"))], &pages);
    let dossier = Research::live(sources, pages)
        .with_host_gap(Duration::ZERO)
        .run(&inquiry(&queries(), &[]), &())
        .await;
    assert_eq!(dossier.articles[0].source.verdict, Verdict::Robots);
    assert_unread(&other, "another host's feed");
}

#[tokio::test]
async fn where_a_feed_has_moved_is_not_read_there() {
    let services = Services::start(now()).await;
    let moved = Canned::of(302, "text/plain", "").with("location", services.shared_page());
    services.answer("feed", moved);
    let feed = FeedSource::new(url(&services.address("feed")), door(&[&services]));
    let found = feed.search(&query(TOPIC)).await;
    let refused = matches!(&found, Err(SearchError::Fetch(FetchError::Refused(_))));
    assert!(refused, "{found:?}");
    assert_unread(&services, "a redirect");
}

#[tokio::test]
async fn what_a_page_shows_is_not_fetched_there() {
    let services = Services::start(now()).await;
    let shown = url(&services.shared_page());
    let got = image::fetch(&*door(&[&services]), &shown, Origin::Stranger).await;
    let refused = matches!(&got, Err(Unfit::Fetch(FetchError::Refused(_))));
    assert!(refused, "{got:?}");
    assert_unread(&services, "an image");
}

#[tokio::test]
async fn what_the_operator_asked_for_is_not_shared_with_strangers() {
    let services = Services::start(now()).await;
    let cache = Arc::new(MemoryCache::new(ManualClock::default(), 8 << 20));
    let fetch = CachedFetch::new(door(&[&services]), cache, Duration::from_secs(600));
    let feed = url(&services.address("feed"));
    for _ in 0..2 {
        let named = Request::of_operator(feed.clone(), Want::Feed);
        assert_eq!(fetch.send(&named).await.unwrap().status, 200);
    }
    let got = fetch.get(&feed, Want::Feed).await;
    assert!(matches!(got, Err(FetchError::Refused(_))), "{got:?}");
    assert_eq!(services.received("feed").len(), 1);
}
