//! `lovage chaos`: breaks workers, Redis and what is between them at random,
//! and compares what was promised with what is left.
//!
//! One process breaks things; the workers are processes of their own, of this
//! same program. What they called is in a file that no crash undoes.

mod audit;
mod bill;
mod crew;
mod disturbance;
mod door;
mod ledger;
mod order;
mod pair;
mod phase;
mod producer;
mod report;
mod tail;
mod work;
mod worker;

use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::args::{Chaos, ChaosRole, Fsync, Output};
use crate::command::api::stopped;
use crate::config::{Format, Log};
use crate::exit::{self, Exit};
use crate::telemetry;
use crate::view::{note, out};
use phase::Plan;
use report::Report;

/// Short, so that many recoveries fit into a minute.
const LEASE: Duration = Duration::from_secs(3);
/// Jobs a worker holds at once.
const SLOTS: usize = 8;

pub(crate) async fn run(args: Chaos) -> Result<(), Exit> {
    match args.role {
        Some(ChaosRole::Worker(args)) => worker::run(args).await,
        None => break_things(&args).await,
    }
}

async fn break_things(args: &Chaos) -> Result<(), Exit> {
    telemetry::init(&Log {
        filter: "lovage=error".to_owned(),
        filter_is_set: true,
        format: Format::Auto,
    });
    let seed = args.seed.unwrap_or_else(rand::random);
    note::say(format_args!("chaos --seed {seed}"));
    let stop = CancellationToken::new();
    let _interrupt = AbortOnDropHandle::new(tokio::spawn({
        let stop = stop.clone();
        async move {
            // Where signals cannot be heard, they end the process by themselves.
            if stopped().await.is_ok() {
                stop.cancel();
            }
        }
    }));
    let mut report = Report {
        seed,
        minutes: args.minutes,
        workers: args.workers,
        wait_replicas: args.wait_replicas,
        lease_s: LEASE.as_secs_f64(),
        kept: true,
        phases: Vec::new(),
    };
    let fsyncs: &[Fsync] = match args.fsync {
        Fsync::Both => &[Fsync::Everysec, Fsync::Always],
        Fsync::Everysec => &[Fsync::Everysec],
        Fsync::Always => &[Fsync::Always],
    };
    let time = Duration::from_secs_f64(args.minutes * 60.0 / fsyncs.len() as f64);
    for (fsync, nth) in fsyncs.iter().zip(0..) {
        let plan = Plan {
            fsync: *fsync,
            time,
            seed: seed.wrapping_add(nth),
        };
        let phase = in_folder(args, &plan, &stop).await?;
        report.kept &= phase.broken.is_nothing();
        report.phases.push(phase);
    }
    match args.output {
        Output::Json => out::json(&report)?,
        Output::Table => out::print(report.table())?,
    }
    verdict(&report)
}

/// Runs a phase in a folder that is gone afterwards, unless it is to be kept.
async fn in_folder(
    args: &Chaos,
    plan: &Plan,
    stop: &CancellationToken,
) -> Result<report::Phase, Exit> {
    let failed = |error| Exit::because("cannot make a folder", &error);
    if let Some(keep) = &args.keep {
        let keep = std::path::absolute(keep).map_err(failed)?;
        std::fs::create_dir_all(&keep).map_err(failed)?;
        // What another run left there would be taken for this one's.
        let folder = keep.join(format!("{}-{}", plan.fsync.as_str(), plan.seed));
        std::fs::create_dir(&folder).map_err(failed)?;
        return phase::run(args, plan, &folder, stop).await;
    }
    let folder = tempfile::tempdir().map_err(failed)?;
    let path: &Path = folder.path();
    phase::run(args, plan, path, stop).await
}

fn verdict(report: &Report) -> Result<(), Exit> {
    if report.kept {
        return Ok(());
    }
    let why = format!(
        "a promise was broken: see the figures, and try again with --seed {}",
        report.seed
    );
    Err(Exit::new(exit::ERROR, why))
}
