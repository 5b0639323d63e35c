//! Limits of accounts with providers, shared by all workers.

use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

/// What an account may use of a model. What is absent or null is not limited
/// here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ProviderLimits {
    /// Requests per minute; at least 1.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub rpm: Option<u64>,
    /// Tokens per minute, prompts and answers together; at least 1.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub tpm: Option<u64>,
    /// Calls in flight at once, over all workers; at least 1.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub concurrency: Option<u64>,
    /// US dollars per day, which begins at midnight UTC; from 0. Calls of workers
    /// that know no price cost nothing of it.
    #[cfg_attr(feature = "openapi", schema(minimum = 0))]
    pub budget_usd_day: Option<f64>,
}

/// An account with a provider and one of its models, as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct LimitView {
    /// `provider/model#mark`; the mark tells accounts apart.
    #[cfg_attr(feature = "openapi", schema(example = "openai/gpt-5.4-mini#a1b2c3d4"))]
    pub name: String,
    /// Who answers.
    pub provider: String,
    /// What is asked for.
    pub model: String,
    /// By the settings of the worker that asked last.
    pub settings: ProviderLimits,
    /// Set by a person: they go before the settings.
    pub overrides: ProviderLimits,
    /// Calls in flight.
    pub in_flight: u64,
    /// Requests that may be made at once; null without a limit.
    pub requests_left: Option<f64>,
    /// Tokens that may be used at once, negative after a call larger than the
    /// burst; null without a limit.
    pub tokens_left: Option<f64>,
    /// The part of the limits that is used, 0.1 to 1: less after refusals.
    pub factor: f64,
    /// Seconds for which the provider is left alone after a refusal.
    pub cooling_s: f64,
    /// US dollars of the current day (UTC), calls in flight by their estimate;
    /// without a price set nothing is counted.
    pub spent_usd_day: f64,
    /// Processes that asked in the last ten minutes.
    pub workers: u64,
    /// Since the first call.
    pub totals: LimitTotals,
}

/// What has come together since the first call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct LimitTotals {
    /// Calls admitted.
    pub admitted: u64,
    /// Calls settled.
    pub settled: u64,
    /// Calls whose worker died.
    pub lost: u64,
    /// Calls that the provider refused for being too many.
    pub throttled: u64,
    /// Calls settled by their estimate, since nobody said what they used.
    pub guessed: u64,
    /// Seconds that calls were held back.
    pub waited_s: f64,
    /// Tokens that calls were expected to use.
    pub tokens_reserved: u64,
    /// Tokens of prompts.
    pub tokens_input: u64,
    /// Tokens of answers.
    pub tokens_output: u64,
    /// Tokens of prompts that came from the provider's cache.
    pub tokens_cached: u64,
    /// US dollars; without a price set nothing is counted.
    pub cost_usd: f64,
}

/// Every account and model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct LimitList {
    /// By name.
    pub limits: Vec<LimitView>,
}
