//! `/healthz`: the process answers. `/readyz`: it can do its work.

use std::time::Duration;

use axum::Json;
use axum::extract::State as Extract;
use axum::http::StatusCode;
use lovage_client::wire::{Health, HealthCheck};
use lovage_core::error::chain;
use tokio::time::timeout;

use crate::state::State;

/// Time for the store to answer.
const PING: Duration = Duration::from_secs(2);

/// Whether the process answers. It does.
#[utoipa::path(
    get, path = "/healthz", tag = "health", operation_id = "healthz",
    responses((status = 200, body = Health))
)]
pub(crate) async fn alive() -> Json<Health> {
    let checks = Vec::new();
    Json(Health { ok: true, checks })
}

/// Whether requests can be served: the store answers and the server does not drain.
#[utoipa::path(
    get, path = "/readyz", tag = "health", operation_id = "readyz",
    responses((status = 200, body = Health), (status = 503, body = Health, description = "Send requests elsewhere"))
)]
pub(crate) async fn ready(Extract(state): Extract<State>) -> (StatusCode, Json<Health>) {
    let draining = state.draining.is_cancelled();
    let server = check("server", draining.then_some("draining"));
    let mut checks = vec![server, store(&state).await];
    checks.extend(
        state
            .probes
            .iter()
            .map(|(component, probe)| check(component, probe().err().as_deref())),
    );
    let ok = checks.iter().all(|check| check.ok);
    let status = if ok {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(Health { ok, checks }))
}

async fn store(state: &State) -> HealthCheck {
    let failure = match timeout(PING, state.broker.ping()).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => {
            tracing::warn!(error = %chain(&error), "the store is not ready");
            Some("refuses; the server's log says why")
        }
        Err(_) => Some("did not answer in 2 s"),
    };
    check("store", failure)
}

fn check(component: &str, failure: Option<&str>) -> HealthCheck {
    HealthCheck {
        component: component.to_owned(),
        ok: failure.is_none(),
        detail: failure.map(str::to_owned),
    }
}
