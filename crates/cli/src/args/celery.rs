//! Arguments of `celery`.

use clap::{Args, Subcommand};

use super::Output;

/// What to do with Celery.
#[derive(Debug, Subcommand)]
pub(crate) enum CeleryAction {
    /// Show its queues, and which of the tasks that wait there are mapped. Changes nothing.
    Check(CeleryCheck),
}

/// Arguments of `celery check`.
#[derive(Debug, Args)]
pub(crate) struct CeleryCheck {
    /// Celery's broker; without it that of the settings.
    #[arg(long, value_name = "URL")]
    pub(crate) broker: Option<String>,
    /// How to print it.
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Output,
}
