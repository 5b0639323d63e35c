//! `/v1/limits`: what accounts with providers may use, for all workers.

use axum::Json;
use axum::extract::State as Extract;
use lovage_client::wire::{LimitList, LimitTotals, LimitView, Problem, ProviderLimits};
use lovage_core::limiter::{LimitName, Limits, Snapshot};

use crate::body::JsonText;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::params::{NoParams, Segment};
use crate::state::State;

/// More per minute than any provider gives.
const COUNT_MAX: u64 = 10_000_000_000;
/// Most US dollars of a day.
const BUDGET_USD_MAX: f64 = 1_000_000.0;

/// What is used of each account and model that a worker has asked for.
#[utoipa::path(
    get, path = "/v1/limits", tag = "limits", operation_id = "list_limits",
    responses(
        (status = 200, body = LimitList),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "An unknown parameter"),
    )
)]
pub(crate) async fn list(
    Extract(state): Extract<State>,
    _: NoParams,
) -> Result<Json<LimitList>, ApiError> {
    let limits = state.limiter.limits().await?;
    let limits = limits.iter().map(view).collect();
    Ok(Json(LimitList { limits }))
}

/// Set limits that go before those of the workers' settings.
///
/// In place of what was set before: what is absent or null is as the settings
/// say. Holds for every worker from its next call, and lasts over restarts.
#[utoipa::path(
    put, path = "/v1/limits/{name}", tag = "limits", operation_id = "set_limits", request_body = ProviderLimits,
    params(("name" = String, Path, description = "The name as it is listed, percent-encoded")),
    responses(
        (status = 200, body = LimitView),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "Not JSON, or not UTF-8"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "No worker has asked for it"),
        (status = 413, body = Problem, content_type = "application/problem+json", description = "Body too large"),
        (status = 415, body = Problem, content_type = "application/problem+json", description = "Not sent as application/json"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "Not a name of a limit, an unknown or wrong field, or a parameter"),
    )
)]
pub(crate) async fn set(
    Extract(state): Extract<State>,
    Segment(name): Segment<LimitName>,
    _: NoParams,
    text: JsonText,
) -> Result<Json<LimitView>, ApiError> {
    let overrides = limits(text.read()?)?;
    if !state.limiter.set_limits(&name, overrides).await? {
        return Err(ApiError::LimitUnknown);
    }
    let all = state.limiter.limits().await?;
    let found = all.iter().find(|stands| stands.name == name);
    found.map(view).map(Json).ok_or(ApiError::LimitUnknown)
}

/// A request as limits; says everything that is wrong with it.
fn limits(request: ProviderLimits) -> Result<Limits, ApiError> {
    let mut fields = Fields::default();
    fields.within("/rpm", request.rpm, COUNT_MAX);
    fields.within("/tpm", request.tpm, COUNT_MAX);
    fields.within("/concurrency", request.concurrency, COUNT_MAX);
    if let Some(budget) = request.budget_usd_day
        && !(0.0..=BUDGET_USD_MAX).contains(&budget)
    {
        let detail = format!("expected 0 to {BUDGET_USD_MAX} US dollars, got {budget}");
        fields.refuse("/budget_usd_day", detail);
    }
    fields.all_right(Limits {
        rpm: request.rpm,
        tpm: request.tpm,
        concurrency: request.concurrency,
        budget_usd: request.budget_usd_day,
    })
}

fn view(stands: &Snapshot) -> LimitView {
    LimitView {
        name: stands.name.to_string(),
        provider: stands.name.provider().to_owned(),
        model: stands.name.model().to_owned(),
        settings: shown(&stands.settings),
        overrides: shown(&stands.overrides),
        in_flight: stands.in_flight,
        requests_left: stands.requests_left,
        tokens_left: stands.tokens_left,
        factor: stands.factor,
        cooling_s: stands.cooling.as_secs_f64(),
        spent_usd_day: stands.spent_usd,
        workers: stands.holders,
        totals: totals(stands),
    }
}

fn shown(limits: &Limits) -> ProviderLimits {
    ProviderLimits {
        rpm: limits.rpm,
        tpm: limits.tpm,
        concurrency: limits.concurrency,
        budget_usd_day: limits.budget_usd,
    }
}

fn totals(stands: &Snapshot) -> LimitTotals {
    let totals = &stands.totals;
    LimitTotals {
        admitted: totals.admitted,
        settled: totals.settled,
        lost: totals.lost,
        throttled: totals.throttled,
        guessed: totals.guessed,
        waited_s: totals.waited_ms as f64 / 1_000.0,
        tokens_reserved: totals.reserved,
        tokens_input: totals.input,
        tokens_output: totals.output,
        tokens_cached: totals.cached,
        cost_usd: totals.cost_usd,
    }
}
