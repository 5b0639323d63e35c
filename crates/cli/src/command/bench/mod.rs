//! `lovage bench`: what the queue does on this machine, beside the floor that
//! Redis itself sets in the same run. Compare ratios, not absolute figures.

mod backlog;
mod bars;
mod chart;
mod curve;
mod drain;
mod due;
mod durability;
mod enqueue;
mod fan_out;
mod floor;
mod hand;
mod http;
mod idle;
mod images;
mod lanes;
mod leases;
mod load;
mod machine;
mod memory;
mod model;
mod page;
pub(crate) mod part;
mod report;
mod spread;
mod stand_in;
mod store;
mod usage;

use std::io::IsTerminal;
use std::path::PathBuf;

use crate::args::{Bench, Output, Section};
use crate::command::api::stopped;
use crate::command::server::Server;
use crate::exit::{self, Exit};
use crate::view::{note, out};
use machine::Machine;
use page::Page;
use report::Report;

/// Jobs per measurement, and rounds: of a quick look, and of everything.
const QUICK: (usize, usize) = (20_000, 1);
const THOROUGH: (usize, usize) = (200_000, 3);

/// What every section is told.
struct Setup {
    /// Jobs of one measurement of throughput.
    jobs: usize,
    /// Size of the large backlog.
    backlog: usize,
    /// How often a figure is measured in turn with its floor.
    rounds: usize,
    /// Version of the installed server; nothing where there is none.
    redis: Option<String>,
    /// For files; empty at first, removed at the end.
    folder: PathBuf,
}

pub(crate) async fn run(args: &Bench) -> Result<(), Exit> {
    // Dropped half-way, the measurement ends its processes and removes its folder.
    tokio::select! {
        measured = measure(args) => measured,
        told = stopped() => {
            told?;
            Err(Exit::silent(exit::INTERRUPTED))
        }
    }
}

/// Says on a terminal what is going on.
pub(super) fn say(what: &str) {
    if std::io::stderr().is_terminal() {
        note::say(what);
    }
}

async fn measure(args: &Bench) -> Result<(), Exit> {
    let page = args.markdown.as_deref().map(Page::read).transpose()?;
    let folder = tempfile::tempdir()
        .map_err(|error| Exit::because("cannot make a temporary folder", &error))?;
    let (jobs, rounds) = if args.all { THOROUGH } else { QUICK };
    let setup = Setup {
        jobs: args.jobs.unwrap_or(jobs),
        backlog: args.backlog,
        rounds: args.rounds.unwrap_or(rounds),
        redis: Server::version().await,
        folder: folder.path().to_owned(),
    };
    if setup.redis.is_none() {
        note::say("redis-server is not installed: its figures are left out");
    }
    let machine = Machine::this(setup.redis.clone(), &setup.folder);
    let mut report = Report::new(machine, setup.jobs, setup.backlog, setup.rounds);
    for section in sections(args) {
        one(section, &setup, &mut report).await?;
    }
    if let Some(page) = page {
        page.refresh(&report)?;
    }
    match args.output {
        Output::Json => out::json(&report),
        Output::Table => out::print(report.table()),
    }
}

fn sections(args: &Bench) -> Vec<Section> {
    let asked = |section: &Section| {
        if args.only.is_empty() {
            args.all || section.is_quick()
        } else {
            args.only.contains(section)
        }
    };
    Section::ALL.into_iter().filter(asked).collect()
}

async fn one(section: Section, setup: &Setup, report: &mut Report) -> Result<(), Exit> {
    match section {
        Section::Floor if setup.redis.is_none() => Ok(()),
        Section::Floor => floor::measure(setup, report).await,
        Section::Drain => drain::measure(setup, report).await,
        Section::Durability => durability::measure(setup, report).await,
        Section::Enqueue => enqueue::measure(setup, report).await,
        Section::Curve => curve::measure(setup, report).await,
        Section::Idle => idle::measure(setup, report).await,
        Section::Memory => memory::measure(setup, report).await,
        Section::Backlog => backlog::measure(setup, report).await,
        Section::Leases => leases::measure(setup, report).await,
        Section::Due => due::measure(setup, report).await,
        Section::Model => model::measure(setup, report).await,
        Section::Images => images::measure(report).await,
        Section::FanOut => fan_out::measure(setup, report).await,
    }
}
