//! `lovage completions`.

use clap::CommandFactory;

use crate::args::Cli;
use crate::exit::Exit;
use crate::view::out;

pub(crate) fn run(shell: clap_complete::Shell) -> Result<(), Exit> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "lovage", &mut script);
    out::print(String::from_utf8_lossy(&script))
}
