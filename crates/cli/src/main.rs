//! `lovage`: the program. The only place that names concrete stores, models and servers.

mod args;
mod command;
mod compose;
mod config;
mod exit;
mod telemetry;
mod view;

use std::process::ExitCode;

use clap::Parser;

use crate::args::Cli;
use crate::exit::Exit;

fn main() -> ExitCode {
    let cli = Cli::parse();
    rustls::crypto::ring::default_provider()
        .install_default()
        .expect("no other provider was installed before");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(command::run(cli)),
        Err(error) => Err(Exit::because("cannot start the async runtime", &error)),
    };
    let Err(exit) = ended else {
        return ExitCode::from(exit::OK);
    };
    if let Some(message) = exit.message {
        eprintln!("lovage: {message}");
    }
    ExitCode::from(exit.code)
}
