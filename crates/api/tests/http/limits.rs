//! What accounts with providers may use, and what Prometheus is told.

use std::time::Duration;

use lovage_client::wire::{LimitList, LimitView, ProviderLimits};
use lovage_core::limiter::{
    Ask, CallEnd, CallSettle, Estimate, LimitName, Limiter, Limits, Used, Verdict,
};
use serde_json::json;

use crate::support::{Server, errors, problem};

const NAME: &str = "openai/gpt-test#a1b2c3d4";
const PATH: &str = "/v1/limits/openai%2Fgpt-test%23a1b2c3d4";

/// A worker has made a call, and another one is in flight.
async fn used() -> Server {
    let server = Server::start().await;
    for call in 1..=2 {
        let ask = Ask {
            name: NAME.parse::<LimitName>().unwrap(),
            limits: Limits {
                rpm: Some(100),
                tpm: Some(10_000),
                ..Limits::default()
            },
            holder: "a".to_owned(),
            call,
            estimate: Estimate {
                tokens: 400,
                cost_usd: 0.5,
            },
            ttl: Duration::from_secs(60),
            waited: Duration::from_millis(250),
        };
        let Verdict::Admitted(lease) = server.limiter.acquire(&ask).await.unwrap().verdict else {
            panic!("the first calls are admitted");
        };
        if call == 1 {
            let used = Used {
                input: 200,
                output: 50,
                cached: 20,
                cost_usd: 0.25,
                measured: true,
            };
            let end = CallEnd::Throttled(Duration::from_secs(7));
            let settle = CallSettle { lease, used, end };
            server.store.clock.advance(Duration::from_millis(1));
            server.limiter.settle(&settle).await.unwrap();
            // Past the cool-down, until the buckets are full again.
            server.store.clock.advance(Duration::from_secs(60));
        }
    }
    server
}

#[tokio::test]
async fn a_limit_shows_what_is_used_of_it() {
    let server = used().await;
    let list: LimitList = server.get("/v1/limits").await.json().await.unwrap();
    let [limit] = list.limits.as_slice() else {
        panic!("{list:?}");
    };
    assert_eq!(
        (limit.name.as_str(), limit.provider.as_str()),
        (NAME, "openai")
    );
    assert_eq!((limit.model.as_str(), limit.workers), ("gpt-test", 1));
    assert_eq!((limit.settings.rpm, limit.overrides.rpm), (Some(100), None));
    assert_eq!((limit.in_flight, limit.factor), (1, 0.7));
    assert_eq!(limit.spent_usd_day, 0.75);
    let totals = limit.totals;
    assert_eq!(
        (totals.admitted, totals.settled, totals.throttled),
        (2, 1, 1)
    );
    assert_eq!((totals.tokens_input, totals.tokens_output), (200, 50));
    assert_eq!((totals.tokens_reserved, totals.waited_s), (800, 0.5));
    assert_eq!(server.client.limits().await.unwrap(), list);
}

#[tokio::test]
async fn a_limit_is_set_in_place_of_the_one_before() {
    let server = used().await;
    let set = json!({"rpm": 30, "budget_usd_day": 2.5});
    let view: LimitView = server.put_json(PATH, &set).await.json().await.unwrap();
    assert_eq!(
        (view.overrides.rpm, view.overrides.budget_usd_day),
        (Some(30), Some(2.5))
    );
    let other = ProviderLimits {
        tpm: Some(5_000),
        ..ProviderLimits::default()
    };
    let view = server.client.set_limits(NAME, &other).await.unwrap();
    assert_eq!((view.overrides, view.settings.tpm), (other, Some(10_000)));
}

#[tokio::test]
async fn what_is_no_limit_is_refused_with_its_place() {
    let server = used().await;
    for (body, place, said) in [
        (
            json!({"rpm": 0}),
            "/rpm",
            "expected 1 to 10000000000, got 0",
        ),
        (
            json!({"tpm": -1}),
            "/tpm",
            "expected an integer from 0 up, got integer `-1`",
        ),
        (json!({"concurrency": 0}), "/concurrency", "expected 1 to"),
        (
            json!({"budget_usd_day": -0.5}),
            "/budget_usd_day",
            "expected 0 to 1000000 US dollars",
        ),
        (json!({"rmp": 1}), "/rmp", "unknown field"),
    ] {
        let response = server.put_json(PATH, &body).await;
        assert_eq!(response.status(), 422, "{body}");
        let problem = problem(response).await;
        let errors = errors(&problem);
        assert_eq!((errors.len(), errors[0].0), (1, place), "{errors:?}");
        assert!(errors[0].1.starts_with(said), "{errors:?}");
    }
    let unknown = server
        .put_json("/v1/limits/openai%2Fnone%2300", &json!({}))
        .await;
    assert_eq!(unknown.status(), 404);
    assert_eq!(problem(unknown).await.code, "limit_unknown");
    let name = server.put_json("/v1/limits/openai", &json!({})).await;
    assert_eq!(name.status(), 422);
    let overrides = server.client.limits().await.unwrap().limits[0].overrides;
    assert_eq!(overrides, ProviderLimits::default());
}

#[tokio::test]
async fn prometheus_is_told_what_the_limiter_knows() {
    let server = used().await;
    let response = server.get("/metrics").await;
    let kind = response.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    let text = response.text().await.unwrap();
    for line in [
        "# TYPE lovage_llm_tokens counter",
        r#"lovage_limit_in_flight{limit="openai/gpt-test#a1b2c3d4"} 1.0"#,
        r#"lovage_limit_value{limit="openai/gpt-test#a1b2c3d4",kind="rpm"} 100.0"#,
        r#"lovage_limit_calls_total{limit="openai/gpt-test#a1b2c3d4",what="throttled"} 1.0"#,
        r#"lovage_limit_wait_seconds_total{limit="openai/gpt-test#a1b2c3d4"} 0.5"#,
        r#"lovage_llm_tokens_total{provider="openai",model="gpt-test",type="input"} 200.0"#,
        r#"lovage_llm_cost_dollars_total{provider="openai",model="gpt-test"} 0.25"#,
    ] {
        assert!(
            text.lines().any(|told| told == line),
            "{line} is missing:\n{text}"
        );
    }
    assert!(text.ends_with("# EOF\n"), "{text}");
}
