//! A whole research over all sources at once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lovage_pipeline::net::{Fetch, FetchError, Origin, Page, Request};
use lovage_pipeline::news::{Inquiry, NewsSource, Research, SOURCES, feeds};
use lovage_pipeline::script::types::{Domains, Dossier, PlannedQuery, Since, Verdict};
use lovage_tests::services::{Canned, Services};
use url::Url;

use crate::{TOPIC, door, now, source};

/// Takes every address for the operator's: the pages of the stand-in are on
/// this machine, where none that a stranger names is read.
struct Own(Arc<dyn Fetch>);

#[async_trait]
impl Fetch for Own {
    async fn send(&self, request: &Request) -> Result<Page, FetchError> {
        let origin = Origin::Operator;
        let request = request.clone();
        self.0.send(&Request { origin, ..request }).await
    }
}

async fn run(
    services: &Services,
    names: &[&str],
    since: &str,
    domains: Domains,
    max: usize,
) -> Dossier {
    let pages: Arc<dyn Fetch> = Arc::new(Own(door(&[services])));
    let mut sources: Vec<Arc<dyn NewsSource>> = names
        .iter()
        .filter(|name| **name != "feed")
        .map(|name| source(services, name))
        .collect();
    if names.contains(&"feed") {
        sources.extend(feeds(
            vec![Url::parse(&services.address("feed")).unwrap()],
            &pages,
        ));
    }
    let inquiry = Inquiry {
        topic: TOPIC,
        queries: &[PlannedQuery {
            q: TOPIC.to_owned(),
            lang: "en".to_owned(),
            why: String::new(),
        }],
        seed_urls: &[],
        max_sources: max,
        since: Since::try_from(since.to_owned()).unwrap(),
        domains: &domains,
        now: now(),
        deadline: None,
    };
    let research = Research::live(sources, pages).with_host_gap(Duration::ZERO);
    research.run(&inquiry, &()).await
}

fn all() -> Vec<&'static str> {
    SOURCES
        .iter()
        .map(|spec| spec.name)
        .chain(["feed"])
        .collect()
}

#[tokio::test]
async fn all_are_asked_and_one_that_fails_is_a_warning() {
    let services = Services::start(now()).await;
    services.answer(
        "newsapi",
        Canned::json(500, r#"{"message": "out of order"}"#),
    );
    let dossier = run(&services, &all(), "7d", Domains::default(), 20).await;
    let warnings: Vec<_> = dossier
        .warnings
        .iter()
        .map(|warning| (warning.code.as_str(), warning.detail.as_str()))
        .collect();
    assert_eq!(
        warnings,
        [(
            "source_failed",
            "newsapi: answered with http status 500: out of order"
        )]
    );
    for name in all() {
        // Naver has no English pages, and is not asked for them.
        assert_eq!(
            services.received(name).is_empty(),
            name == "naver",
            "{name}"
        );
    }
    let via: BTreeSet<&str> = dossier.queries[0].via.iter().map(String::as_str).collect();
    let silent = ["naver", "newsapi", "google_news", "feed"];
    let mut expected: BTreeSet<&str> = all()
        .into_iter()
        .filter(|name| !silent.contains(name))
        .collect();
    expected.insert("127.0.0.1/feed");
    assert_eq!(via, expected);
    let read: BTreeSet<String> = dossier
        .articles
        .iter()
        .map(|article| article.source.url.to_string())
        .collect();
    assert!(read.contains(&services.shared_page()), "{read:?}");
    assert!(read.contains(&services.page_of("serper")), "{read:?}");
    assert!(
        dossier
            .articles
            .iter()
            .any(|article| article.source.verdict == Verdict::Ok)
    );
}

#[tokio::test]
async fn the_page_that_most_sources_know_is_the_first_to_be_read() {
    let services = Services::start(now()).await;
    let names = ["gdelt", "hacker_news", "brave", "serper"];
    let dossier = run(&services, &names, "7d", Domains::default(), 1).await;
    let read: Vec<&str> = dossier
        .articles
        .iter()
        .map(|article| article.source.url.as_str())
        .collect();
    assert_eq!(read, [services.shared_page()]);
}

#[tokio::test]
async fn what_is_too_old_or_on_a_site_not_allowed_is_not_read() {
    let services = Services::start(now()).await;
    let allowed = |allow: &str, deny: &str| {
        let list = |host: &str| {
            if host.is_empty() {
                vec![]
            } else {
                vec![host.to_owned()]
            }
        };
        Domains {
            allow: list(allow),
            deny: list(deny),
        }
    };
    for (since, domains, pages) in [
        ("7d", allowed("", ""), 2),
        ("1h", allowed("", ""), 0),
        ("7d", allowed("127.0.0.1", ""), 2),
        ("7d", allowed("a.example", ""), 0),
        ("7d", allowed("", "127.0.0.1"), 0),
    ] {
        let dossier = run(&services, &["hacker_news"], since, domains.clone(), 5).await;
        assert_eq!(dossier.articles.len(), pages, "{since} {domains:?}");
    }
}

#[tokio::test]
async fn a_headline_of_google_news_is_found_elsewhere_and_never_fetched_there() {
    let services = Services::start(now()).await;
    // Brave knows the page under its headline alone.
    services.answer("brave", Canned::json(200, "{}"));
    let names = ["google_news", "brave", "serper"];
    let dossier = run(&services, &names, "7d", Domains::default(), 1).await;
    assert_eq!(
        dossier.articles[0].source.url.as_str(),
        services.shared_page()
    );
    assert_eq!(
        services.received("brave").len(),
        1,
        "known from the other source already"
    );

    services.answer("serper", Canned::json(200, r#"{"news": []}"#));
    run(&services, &names, "7d", Domains::default(), 1).await;
    let asked: Vec<String> = services
        .received("brave")
        .iter()
        .map(|asked| asked.query["q"].clone())
        .collect();
    assert_eq!(
        asked[1..],
        [TOPIC, "Lumen Bay tidal battery powers the harbour"]
    );
    assert_eq!(
        services.received("rss").len() + services.received("articles").len(),
        0
    );
}
