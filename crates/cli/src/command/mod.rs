//! One file per command.

mod api;
mod bench;
mod cache;
mod celery;
mod chaos;
mod completions;
mod config;
mod dead;
mod document;
mod enqueue;
mod generate;
mod kinds;
mod limit;
mod list;
mod queue;
mod recording;
mod remote;
mod result;
mod server;
mod sources;
mod up;
mod watch;
mod worker;

use lovage_core::error::chain;

use crate::args::cache::CacheAction;
use crate::args::celery::CeleryAction;
use crate::args::limit::LimitAction;
use crate::args::queue::{DeadAction, QueueAction};
use crate::args::sources::SourcesAction;
use crate::args::{Cli, Command, ConfigAction};
use crate::config::{Settings, Sources};
use crate::exit::{self, Exit};

/// Runs a command to its end.
pub(crate) async fn run(cli: Cli) -> Result<(), Exit> {
    let load = |flags| settings(&cli.config, flags, None);
    match cli.command {
        Command::Generate(args) => generate::run(&args, &cli.config).await,
        Command::Up(args) => up::run(load(up::flags(&args))?).await,
        Command::Api(args) => api::run(load(api::flags(&args))?).await,
        Command::Worker(args) => worker::run(load(worker::flags(&args))?).await,
        Command::Enqueue(args) => enqueue::run(args).await,
        Command::Status(args) => remote::status(&args).await,
        Command::Wait(args) => remote::wait(&args).await,
        Command::Result(args) => result::run(&args).await,
        Command::Watch(args) => watch::run(&args).await,
        Command::List(args) => list::run(&args).await,
        Command::Cancel(args) => remote::cancel(&args).await,
        Command::Retry(args) => remote::retry(&args).await,
        Command::Signal(args) => remote::signal(&args).await,
        Command::Kinds(args) => kinds::run(&args),
        Command::Queue { action } => match action {
            QueueAction::Ls(args) => queue::list(&args).await,
            QueueAction::Pause(args) => queue::pause(&args).await,
            QueueAction::Resume(args) => queue::resume(&args).await,
            QueueAction::Limit(args) => queue::limit(&args).await,
        },
        Command::Limit { action } => match action {
            LimitAction::Ls(args) => limit::list(&args).await,
            LimitAction::Set(args) => limit::set(&args).await,
        },
        Command::Dead { action } => match action {
            DeadAction::Ls(args) => dead::list(args).await,
            DeadAction::Redrive(args) => dead::redrive(&args).await,
        },
        Command::Cache {
            action: CacheAction::Stats(args),
        } => cache::stats(&args, &load(Vec::new())?).await,
        Command::Sources {
            action: SourcesAction::Check(args),
        } => sources::check(&args, &load(Vec::new())?).await,
        Command::Celery {
            action: CeleryAction::Check(args),
        } => celery::check(&args, &load(celery::flags(&args))?).await,
        Command::Bench(args) => bench::run(&args).await,
        Command::BenchPart(args) => bench::part::run(&args).await,
        Command::Chaos(args) => chaos::run(args).await,
        Command::Config {
            action: ConfigAction::Check,
        } => config::check(&load(Vec::new())?),
        Command::Config {
            action: ConfigAction::Show,
        } => config::show(&load(Vec::new())?),
        Command::Completions { shell } => completions::run(shell),
    }
}

/// A setting given as a flag: its dotted name and its value.
pub(crate) type Flag = (String, toml::Value);

/// The settings; in a replay, those of the recorded run where they matter.
fn settings(
    file: &Option<std::path::PathBuf>,
    flags: Vec<Flag>,
    recorded: Option<Vec<Flag>>,
) -> Result<Settings, Exit> {
    let sources = Sources::of_process(file.clone(), flags);
    let loaded = sources.and_then(|sources| {
        Settings::load(Sources {
            recorded,
            ..sources
        })
    });
    loaded.map_err(|error| Exit::new(exit::USAGE, chain(&error)))
}

/// The flags that were given, as settings.
fn given<const N: usize>(flags: [(&str, Option<toml::Value>); N]) -> Vec<Flag> {
    flags
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect()
}
