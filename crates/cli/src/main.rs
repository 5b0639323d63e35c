//! `lovage`: the program. The only place that names concrete stores, models and servers.

mod args;
mod command;
mod compose;
mod config;
mod exit;
mod sources;
mod telemetry;
mod view;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::args::Cli;
use crate::exit::Exit;
use crate::view::note;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long blocking handlers may go on after everything else has ended.
const STUCK_MAX: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let cli = Cli::parse();
    rustls::crypto::ring::default_provider()
        .install_default()
        .expect("no other provider was installed before");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let ended = match runtime {
        Ok(runtime) => {
            let ended = runtime.block_on(command::run(cli));
            // A blocking handler that does not end must not keep the process.
            runtime.shutdown_timeout(STUCK_MAX);
            ended
        }
        Err(error) => Err(Exit::because("cannot start the async runtime", &error)),
    };
    let Err(exit) = ended else {
        return ExitCode::from(exit::OK);
    };
    if let Some(message) = exit.message {
        note::say(&message);
    }
    ExitCode::from(exit.code)
}
