//! Arguments of `cache`.

use clap::{Args, Subcommand};

use super::Output;

/// What to do with the cache.
#[derive(Debug, Subcommand)]
pub(crate) enum CacheAction {
    /// Show what is kept, and how often it saved a call or a fetch. Asks the store of the settings.
    Stats(CacheStats),
}

/// Arguments of `cache stats`.
#[derive(Debug, Args)]
pub(crate) struct CacheStats {
    /// How to print it.
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Output,
}
