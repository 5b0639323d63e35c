//! The command line of limits of providers.

use clap::{Args, Subcommand};

use super::{Output, Server, dollars, whole};

/// Arguments of `limit`.
#[derive(Debug, Subcommand)]
pub(crate) enum LimitAction {
    /// Show what is used of each account and model.
    Ls(LimitLs),
    /// Set limits that go before those of the workers' settings, in place of those set before.
    Set(LimitSet),
}

/// Arguments of `limit ls`.
#[derive(Debug, Args)]
pub(crate) struct LimitLs {
    /// How to print them.
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) server: Server,
}

/// Arguments of `limit set`.
#[derive(Debug, Args)]
#[group(id = "provider_limits", required = true, multiple = true, args = ["rpm", "tpm", "concurrency", "budget_usd_day", "none"])]
pub(crate) struct LimitSet {
    /// The name as `limit ls` shows it, such as openai/gpt-5.4-mini#a1b2c3d4.
    pub(crate) name: String,
    /// Requests per minute.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<u64>)]
    pub(crate) rpm: Option<u64>,
    /// Tokens per minute, prompts and answers together.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<u64>)]
    pub(crate) tpm: Option<u64>,
    /// Calls in flight at once, over all workers.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<u64>)]
    pub(crate) concurrency: Option<u64>,
    /// US dollars per day (UTC); counts only where workers have llm.price_in and llm.price_out.
    #[arg(long, value_name = "USD", allow_negative_numbers = true, value_parser = dollars)]
    pub(crate) budget_usd_day: Option<f64>,
    /// Nothing: the settings of the workers hold.
    #[arg(long, conflicts_with_all = ["rpm", "tpm", "concurrency", "budget_usd_day"])]
    pub(crate) none: bool,
    /// How to print it.
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) server: Server,
}
