//! The documented request, and the documented answer.

use jiff::SignedDuration;
use lovage_pipeline::news::{Hit, Published, SOURCES};
use lovage_pipeline::script::types::Domains;
use lovage_tests::services::Services;
use serde_json::{Value, json};

use crate::{KEY, TOPIC, now, query, source};

/// Services whose times are told to the day, or are relative.
const BY_DAY: [&str; 4] = ["searxng", "wikipedia", "brave", "serper"];

fn is_recent(hit: &Hit, by_day: bool) -> bool {
    let exact = Published::exactly(now() - SignedDuration::from_hours(3));
    match hit.published {
        Some(published) if by_day => published.day_only && published.latest() > exact.at,
        published => published == Some(exact),
    }
}

#[tokio::test]
async fn every_service_is_understood_as_it_documents_itself() {
    for spec in SOURCES {
        let services = Services::start(now()).await;
        let found = source(&services, spec.name).search(&query(TOPIC)).await;
        let found = found.unwrap_or_else(|error| panic!("{}: {error}", spec.name));
        if spec.name == "google_news" {
            let lead = &found.leads[0];
            assert_eq!(lead.title, "Lumen Bay tidal battery powers the harbour");
            assert_eq!(lead.host.as_deref(), Some("127.0.0.1"));
            assert!(lead.published.is_some() && found.hits.is_empty());
            continue;
        }
        // Wikipedia answers the same for each of its days.
        let mut urls: Vec<&str> = found.hits.iter().map(|hit| hit.url.as_str()).collect();
        urls.dedup();
        urls.truncate(2);
        let expected = [services.page_of(spec.name), services.shared_page()];
        let mut sorted = expected.clone();
        sorted.sort();
        urls.sort_unstable();
        assert_eq!(urls, sorted, "{}", spec.name);
        let hit = found
            .hits
            .iter()
            .find(|hit| hit.url.as_str() == expected[0])
            .unwrap();
        assert!(
            hit.title.starts_with("Lumen Bay tidal battery"),
            "{}",
            hit.title
        );
        assert!(
            is_recent(hit, BY_DAY.contains(&spec.name)),
            "{}: {hit:?}",
            spec.name
        );
        assert_eq!((hit.via.as_str(), hit.lang.as_str()), (spec.name, "en"));
    }
}

#[tokio::test]
async fn every_service_is_asked_as_it_documents_itself() {
    let week_ago = (now() - SignedDuration::from_hours(168)).as_second();
    let after = format!("created_at_i>{week_ago}");
    for (name, path, expected) in [
        (
            "gdelt",
            "api/v2/doc/doc",
            vec![
                ("query", "Lumen Bay tidal battery sourcelang:english"),
                ("mode", "ArtList"),
                ("format", "json"),
                ("timespan", "7d"),
                ("maxrecords", "50"),
                ("sort", "DateDesc"),
            ],
        ),
        (
            "hacker_news",
            "api/v1/search_by_date",
            vec![
                ("query", TOPIC),
                ("tags", "story"),
                ("numericFilters", after.as_str()),
                ("hitsPerPage", "30"),
            ],
        ),
        (
            "wikipedia",
            "w/api.php",
            vec![
                ("page", "Portal:Current_events/2026_November_20"),
                ("action", "parse"),
                ("formatversion", "2"),
            ],
        ),
        (
            "google_news",
            "rss/search",
            vec![
                ("q", "Lumen Bay tidal battery when:7d"),
                ("hl", "en-US"),
                ("gl", "US"),
                ("ceid", "US:en"),
            ],
        ),
        (
            "searxng",
            "search",
            vec![
                ("q", TOPIC),
                ("format", "json"),
                ("categories", "news"),
                ("language", "en"),
                ("time_range", "month"),
            ],
        ),
        (
            "naver",
            "v1/search/news.json",
            vec![
                ("query", TOPIC),
                ("display", "100"),
                ("start", "1"),
                ("sort", "date"),
            ],
        ),
        (
            "newsapi",
            "v2/everything",
            vec![
                ("q", TOPIC),
                ("from", "2026-11-13T12:00:00Z"),
                ("language", "en"),
                ("sortBy", "publishedAt"),
                ("pageSize", "50"),
            ],
        ),
        (
            "brave",
            "res/v1/news/search",
            vec![
                ("q", TOPIC),
                ("country", "US"),
                ("search_lang", "en"),
                ("freshness", "pw"),
                ("count", "20"),
            ],
        ),
    ] {
        let services = Services::start(now()).await;
        source(&services, name).search(&query(TOPIC)).await.unwrap();
        let asked = &services.received(name)[0];
        assert_eq!((asked.method.as_str(), asked.path.as_str()), ("GET", path));
        for (key, value) in expected {
            assert_eq!(
                asked.query.get(key).map(String::as_str),
                Some(value),
                "{name} {key}"
            );
        }
    }
}

#[tokio::test]
async fn what_is_posted_is_as_documented() {
    let mut narrow = query("심야버스 site:elsewhere.example");
    narrow.domains = Domains {
        allow: vec!["a.example".into()],
        deny: vec!["b.example".into()],
    };
    for (name, path, expected) in [
        (
            "tavily",
            "search",
            json!({"query": "심야버스", "topic": "news", "days": 7, "max_results": 10,
                   "include_domains": ["a.example"], "exclude_domains": ["b.example"]}),
        ),
        (
            "serper",
            "news",
            json!({"q": "심야버스 site:elsewhere.example", "gl": "kr", "hl": "ko", "tbs": "qdr:w"}),
        ),
    ] {
        let services = Services::start(now()).await;
        source(&services, name).search(&narrow).await.unwrap();
        let asked = &services.received(name)[0];
        assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", path));
        let body: Value = serde_json::from_str(&asked.body).unwrap();
        assert_eq!(body, expected, "{name}");
    }
}

#[test]
fn the_page_about_sources_lists_each() {
    let page = include_str!("../../../../docs/sources.md");
    for spec in SOURCES {
        let keys: Vec<String> = spec.keys.iter().map(|key| format!("`{key}`")).collect();
        let keys = if keys.is_empty() {
            "–".to_owned()
        } else {
            keys.join(", ")
        };
        let row = format!(
            "| `{}` | {keys} | {} | {} |\n",
            spec.name, spec.gives, spec.traps
        );
        assert!(page.contains(&row), "docs/sources.md lacks the line\n{row}");
    }
}

#[tokio::test]
async fn a_key_goes_where_it_is_documented_and_nowhere_else() {
    let bearer = format!("Bearer {KEY}");
    for (name, headers, value) in [
        (
            "naver",
            vec!["x-naver-client-id", "x-naver-client-secret"],
            KEY,
        ),
        ("newsapi", vec!["x-api-key"], KEY),
        ("brave", vec!["x-subscription-token"], KEY),
        ("tavily", vec!["authorization"], bearer.as_str()),
        ("serper", vec!["x-api-key"], KEY),
    ] {
        let services = Services::start(now()).await;
        source(&services, name).search(&query(TOPIC)).await.unwrap();
        let asked = &services.received(name)[0];
        for header in &headers {
            assert_eq!(asked.headers[*header], value, "{name} {header}");
        }
        let with_key = asked.headers.values().filter(|value| {
            let value = String::from_utf8_lossy(value.as_bytes());
            value.contains(KEY)
        });
        assert_eq!(with_key.count(), headers.len(), "{name}");
        assert!(
            !format!("{:?} {}", asked.query, asked.body).contains(KEY),
            "{name}"
        );
    }
}
