//! The command line of news sources.

use clap::{Args, Subcommand};

use super::Output;

/// Arguments of `sources`.
#[derive(Debug, Subcommand)]
pub(crate) enum SourcesAction {
    /// Ask each source a query, and show what came of it; 1 when one failed.
    Check(SourcesCheck),
}

/// Arguments of `sources check`.
#[derive(Debug, Args)]
pub(crate) struct SourcesCheck {
    /// What to ask for.
    #[arg(long, value_name = "WORDS", default_value = "economy")]
    pub(crate) query: String,
    /// How to print it.
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Output,
}
