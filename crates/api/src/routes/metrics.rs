//! `/metrics`: what the store knows, for Prometheus.
//!
//! Made anew for every scrape, so any server of a store tells the same. No
//! label ever holds the id of a job.

use std::sync::atomic::AtomicU64;

use axum::extract::State as Extract;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use lovage_core::limiter::{Limits, Snapshot};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::error::ApiError;
use crate::state::State;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = Vec<(&'static str, String)>;
type Gauges = Family<Labels, Gauge<f64, AtomicU64>>;
type Counters = Family<Labels, Counter<f64, AtomicU64>>;

/// Metrics for Prometheus.
#[utoipa::path(
    get, path = "/metrics", tag = "health", operation_id = "metrics",
    responses((status = 200, body = String, content_type = "application/openmetrics-text"))
)]
pub(crate) async fn get(Extract(state): Extract<State>) -> Result<Response, ApiError> {
    let limits = state.limiter.limits().await?;
    let mut registry = Registry::with_prefix("lovage");
    gauges(&mut registry, &limits);
    counters(&mut registry, &limits);
    let mut text = String::new();
    encode(&mut text, &registry).expect("a text takes every write");
    Ok(([(CONTENT_TYPE, OPEN_METRICS)], text).into_response())
}

fn of(limit: &Snapshot) -> Labels {
    vec![("limit", limit.name.to_string())]
}

fn with(limit: &Snapshot, label: &'static str, value: &str) -> Labels {
    let mut labels = of(limit);
    labels.push((label, value.to_owned()));
    labels
}

fn gauges(registry: &mut Registry, limits: &[Snapshot]) {
    let mut gauge = |name: &str, help: &str, values: &dyn Fn(&Snapshot) -> Vec<(Labels, f64)>| {
        let family = Gauges::default();
        for (labels, value) in limits.iter().flat_map(values) {
            family.get_or_create(&labels).set(value);
        }
        registry.register(name, help, family);
    };
    let one = |limit: &Snapshot, value: f64| vec![(of(limit), value)];
    gauge("limit_in_flight", "Calls in flight", &|limit| {
        one(limit, limit.in_flight as f64)
    });
    gauge(
        "limit_factor",
        "Part of the limits that is used, less after refusals",
        &|limit| one(limit, limit.factor),
    );
    gauge(
        "limit_cooldown_seconds",
        "Time for which the provider is left alone",
        &|limit| one(limit, limit.cooling.as_secs_f64()),
    );
    gauge(
        "limit_spent_dollars",
        "US dollars of the current day",
        &|limit| one(limit, limit.spent_usd),
    );
    gauge(
        "limit_workers",
        "Processes that asked in the last ten minutes",
        &|limit| one(limit, limit.holders as f64),
    );
    gauge(
        "limit_available",
        "Requests or tokens that may be used at once",
        &|limit| {
            let left = [("rpm", limit.requests_left), ("tpm", limit.tokens_left)];
            let known = left
                .into_iter()
                .filter_map(|(kind, left)| Some((kind, left?)));
            known
                .map(|(kind, left)| (with(limit, "kind", kind), left))
                .collect()
        },
    );
    gauge("limit_value", "The limits that hold", &|limit| {
        let values = values(limit.overrides.or(limit.settings)).into_iter();
        values
            .map(|(kind, value)| (with(limit, "kind", kind), value))
            .collect()
    });
}

fn values(limits: Limits) -> Vec<(&'static str, f64)> {
    let values = [
        ("rpm", limits.rpm.map(|limit| limit as f64)),
        ("tpm", limits.tpm.map(|limit| limit as f64)),
        ("concurrency", limits.concurrency.map(|limit| limit as f64)),
        ("budget_usd_day", limits.budget_usd),
    ];
    let known = values.into_iter();
    known
        .filter_map(|(kind, value)| Some((kind, value?)))
        .collect()
}

fn counters(registry: &mut Registry, limits: &[Snapshot]) {
    let mut counter = |name: &str, help: &str, values: &dyn Fn(&Snapshot) -> Vec<(Labels, f64)>| {
        let family = Counters::default();
        for (labels, value) in limits.iter().flat_map(values) {
            family.get_or_create(&labels).inc_by(value);
        }
        registry.register(name, help, family);
    };
    counter("limit_calls", "Calls, by what became of them", &|limit| {
        let totals = &limit.totals;
        let calls = [
            ("admitted", totals.admitted),
            ("settled", totals.settled),
            ("guessed", totals.guessed),
            ("throttled", totals.throttled),
            ("lost", totals.lost),
        ];
        let calls = calls.into_iter();
        calls
            .map(|(what, count)| (with(limit, "what", what), count as f64))
            .collect()
    });
    counter(
        "limit_wait_seconds",
        "Time that admitted calls were held back",
        &|limit| vec![(of(limit), limit.totals.waited_ms as f64 / 1_000.0)],
    );
    counter(
        "llm_tokens",
        "Tokens by type; reserved is what calls were expected to use",
        &|limit| {
            let totals = &limit.totals;
            let tokens = [
                ("input", totals.input),
                ("output", totals.output),
                ("cached", totals.cached),
                ("reserved", totals.reserved),
            ];
            let tokens = tokens.into_iter();
            tokens
                .map(|(kind, count)| {
                    let mut labels = model(limit);
                    labels.push(("type", kind.to_owned()));
                    (labels, count as f64)
                })
                .collect()
        },
    );
    counter(
        "llm_cost_dollars",
        "US dollars, where prices are set",
        &|limit| vec![(model(limit), limit.totals.cost_usd)],
    );
}

/// Several accounts with one model are one series.
fn model(limit: &Snapshot) -> Labels {
    vec![
        ("provider", limit.name.provider().to_owned()),
        ("model", limit.name.model().to_owned()),
    ]
}
