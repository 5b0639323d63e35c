//! Feeds over HTTP: asked for what has changed, in whatever charset.

use lovage_pipeline::news::{FeedSource, NewsSource, Published, SearchError};
use lovage_tests::services::{Canned, Services};
use tokio::time::Duration;
use url::Url;

use crate::{TOPIC, door, now, query};

fn feed(services: &Services) -> FeedSource {
    let url = Url::parse(&services.address("feed")).unwrap();
    FeedSource::new(url, door(&[services]))
}

/// Moves the clock that feeds are kept by, and lets sockets go on.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_feed_is_asked_for_what_has_changed() {
    let services = Services::start(now()).await;
    let feed = feed(&services);
    let first = feed.check(&query(TOPIC)).await.unwrap();
    assert_eq!((first.hits, first.entries), (2, Some(2)));
    pass(Duration::from_secs(601)).await;
    // The stand-in answers 304: the entries of before still hold.
    assert_eq!(feed.check(&query(TOPIC)).await, Ok(first.clone()));
    let asked = services.received("feed");
    assert_eq!(asked.len(), 2);
    assert!(!asked[0].headers.contains_key("if-none-match"));
    assert_eq!(asked[1].headers["if-none-match"], "\"1\"");

    services.answer("feed", Canned::of(500, "text/plain", ""));
    pass(Duration::from_secs(601)).await;
    assert_eq!(
        feed.check(&query(TOPIC)).await,
        Err(SearchError::Status(500))
    );
    pass(Duration::from_secs(61)).await;
    services.answer("feed", Canned::of(304, "text/plain", ""));
    assert_eq!(
        feed.check(&query(TOPIC)).await,
        Ok(first),
        "known since before the failure"
    );
}

#[tokio::test]
async fn last_modified_goes_back_as_it_came() {
    let services = Services::start(now()).await;
    let time = "Fri, 20 Nov 2026 11:00:00 GMT";
    let empty = "<rss version=\"2.0\"><channel><title>t</title></channel></rss>";
    services.answer(
        "feed",
        Canned::of(200, "text/xml", empty).with("last-modified", time),
    );
    let feed = feed(&services);
    feed.search(&query(TOPIC)).await.unwrap();
    pass(Duration::from_secs(601)).await;
    feed.search(&query(TOPIC)).await.unwrap();
    assert_eq!(
        services.received("feed")[1].headers["if-modified-since"],
        time
    );
}

#[tokio::test]
async fn a_feed_that_asks_for_a_pause_gets_it() {
    let services = Services::start(now()).await;
    services.answer(
        "feed",
        Canned::of(429, "text/plain", "").with("retry-after", "120"),
    );
    let feed = feed(&services);
    for _ in 0..2 {
        assert_eq!(
            feed.search(&query(TOPIC)).await,
            Err(SearchError::Status(429))
        );
        pass(Duration::from_secs(100)).await;
    }
    assert_eq!(services.received("feed").len(), 1);
    feed.search(&query(TOPIC)).await.unwrap_err();
    assert_eq!(services.received("feed").len(), 2);
}

#[tokio::test]
async fn an_euc_kr_feed_with_local_times_is_read() {
    let services = Services::start(now()).await;
    let text = "<?xml version=\"1.0\" encoding=\"euc-kr\"?><rss version=\"2.0\"><channel><title>뉴스</title>\
        <item><title>심야버스 노선 확대</title><link>https://a.example/1</link>\
        <pubDate>2026-11-16 09:12:00</pubDate></item></channel></rss>";
    // The bytes of "뉴스", "심야버스 노선 확대" and so on in EUC-KR.
    let (bytes, _, broken) = encoding_rs::EUC_KR.encode(text);
    assert!(!broken);
    services.answer("feed", Canned::of(200, "text/xml", bytes.into_owned()));
    let found = feed(&services)
        .search(&query("심야버스 노선"))
        .await
        .unwrap();
    assert_eq!(found.hits[0].title, "심야버스 노선 확대");
    let time = Published::exactly("2026-11-16T00:12:00Z".parse().unwrap());
    assert_eq!(found.hits[0].published, Some(time));
}
