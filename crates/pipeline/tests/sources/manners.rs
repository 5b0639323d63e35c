//! How often, and whom, a service is asked.

use std::sync::Arc;
use std::time::Duration;

use lovage_pipeline::news::{SearchError, Turns};
use lovage_tests::services::{Canned, Services};

use crate::{TOPIC, now, query, source, source_in};

#[tokio::test]
async fn a_service_that_says_429_is_left_alone_for_its_time() {
    for (retry_after, seconds) in [
        (Some("30"), 30),
        (Some("Fri, 20 Nov 2026 12:02:00 GMT"), 120),
        (Some("soon"), 60),
        (None, 60),
    ] {
        let services = Services::start(now()).await;
        let refusal = Canned::json(429, "{}");
        services.answer(
            "brave",
            match retry_after {
                Some(text) => refusal.with("retry-after", text),
                None => refusal,
            },
        );
        let brave = source(&services, "brave");
        let first = brave.search(&query(TOPIC)).await;
        assert_eq!(first, Err(SearchError::Status(429)));
        let Err(SearchError::Off(left)) = brave.search(&query(TOPIC)).await else {
            panic!("asked again");
        };
        assert!(
            (seconds - 5..=seconds).contains(&left),
            "{left} of {seconds}"
        );
        assert_eq!(services.received("brave").len(), 1);
    }
}

#[tokio::test]
async fn gdelt_is_asked_once_in_five_seconds() {
    let services = Services::start(now()).await;
    let gdelt = source(&services, "gdelt");
    assert_eq!(gdelt.queries_max(), 2);
    gdelt.search(&query(TOPIC)).await.unwrap();
    // The second has its turn in 5 s; a third would wait for 10.
    let query = query(TOPIC);
    let mut second = gdelt.search(&query);
    assert!(futures_util::poll!(&mut second).is_pending());
    let third = gdelt.search(&query).await;
    assert!(matches!(third, Err(SearchError::Busy(5..=10))), "{third:?}");
    assert_eq!(services.received("gdelt").len(), 1);
}

#[tokio::test]
async fn whoever_shares_the_turns_shares_the_pause_and_the_refusal() {
    let services = Services::start(now()).await;
    let turns = Arc::new(Turns::new(Duration::from_secs(5)));
    let [one, other] = [(); 2].map(|()| source_in(&services, "gdelt", &turns));
    let query = query(TOPIC);
    one.search(&query).await.unwrap();
    let mut second = other.search(&query);
    assert!(futures_util::poll!(&mut second).is_pending());
    let third = one.search(&query).await;
    assert!(matches!(third, Err(SearchError::Busy(5..=10))), "{third:?}");
    assert_eq!(services.received("gdelt").len(), 1);

    let turns = Arc::new(Turns::new(Duration::ZERO));
    let [one, other] = [(); 2].map(|()| source_in(&services, "brave", &turns));
    services.answer("brave", Canned::json(429, "{}"));
    assert_eq!(one.search(&query).await, Err(SearchError::Status(429)));
    let second = other.search(&query).await;
    assert!(matches!(second, Err(SearchError::Off(_))), "{second:?}");
}

#[tokio::test]
async fn no_key_and_no_document_follows_a_redirect() {
    for name in ["naver", "newsapi", "brave", "tavily", "serper"] {
        for status in [301, 302, 303, 307, 308] {
            let (services, thief) = (Services::start(now()).await, Services::start(now()).await);
            let moved = Canned::of(status, "text/plain", "").with("location", thief.address(name));
            services.answer(name, moved);
            let found = source(&services, name).search(&query(TOPIC)).await;
            assert_eq!(found, Err(SearchError::Status(status)), "{name}");
            assert!(thief.received(name).is_empty(), "{name} {status}");
        }
    }
}

#[tokio::test]
async fn wikipedia_is_asked_once_for_each_day() {
    let services = Services::start(now()).await;
    let wikipedia = source(&services, "wikipedia");
    for _ in 0..2 {
        wikipedia.search(&query(TOPIC)).await.unwrap();
    }
    let asked = services.received("wikipedia");
    assert_eq!(asked.len(), 7);
    assert_eq!(
        asked[6].query["page"],
        "Portal:Current_events/2026_November_14"
    );
    let agent = asked[0].headers["user-agent"].to_str().unwrap();
    assert!(
        agent.contains("https://operator.example/contact"),
        "{agent}"
    );
}
