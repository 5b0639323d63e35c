//! What a job costs in memory: of Redis, and of a worker that holds many.

use lovage_broker_redis::Probe;
use lovage_core::job::NewJob;

use super::hand::Hand;
use super::load::{self, INPUT_BYTES, NOOP, SMALL_BYTES, WAIT};
use super::part::Part;
use super::report::{Figure, Report};
use super::store::{self, failed};
use super::usage::{self, ServerUsage};
use super::{Setup, say};
use crate::args::Section;
use crate::command::server::Server;
use crate::exit::Exit;

/// Jobs that are stored.
const JOBS: usize = 100_000;
/// Jobs of one claim.
const BATCH: usize = 256;
/// Jobs that one worker holds.
const WAITING: usize = 10_000;

pub(super) async fn measure(setup: &Setup, report: &mut Report) -> Result<(), Exit> {
    if setup.redis.is_none() {
        return Ok(());
    }
    for bytes in [INPUT_BYTES, SMALL_BYTES] {
        say(&format!("memory: {JOBS} jobs of {bytes} bytes"));
        in_redis(setup, bytes, report).await?;
    }
    say(&format!("memory: a worker with {WAITING} jobs in flight"));
    in_worker(setup, report).await
}

/// Per job: while it waits, beyond its input; and once it is done, its input not kept.
async fn in_redis(setup: &Setup, bytes: usize, report: &mut Report) -> Result<(), Exit> {
    let server = Server::start(&setup.folder, &[]).await?;
    let probe = Probe::connect(&server.url()).await.map_err(failed)?;
    let broker = store::redis(&server.url()).await?;
    let mut hand = Hand::register(broker.clone()).await?;
    let empty = ServerUsage::now(&probe).await?.memory_bytes();
    let job = || NewJob {
        keep_input: false,
        ..load::job(NOOP, bytes)
    };
    load::fill(broker.as_ref(), JOBS, job).await?;
    let queued = ServerUsage::now(&probe).await?.memory_bytes();
    loop {
        let (claimed, _) = hand.claim(BATCH).await?;
        if claimed.is_empty() {
            break;
        }
        hand.settle(claimed).await?;
    }
    let finished = ServerUsage::now(&probe).await?.memory_bytes();
    let per_job = |used: f64| (used - empty) / JOBS as f64;
    let name = format!("redis memory per queued job of {bytes} bytes, beyond its input");
    let figure = Figure::new(name, per_job(queued) - bytes as f64, "bytes").at_most(500.0);
    report.add(Section::Memory, figure);
    let name = format!("redis memory per finished job of {bytes} bytes, its input not kept");
    let figure = Figure::new(name, per_job(finished), "bytes").at_most(300.0);
    report.add(Section::Memory, figure);
    Ok(())
}

async fn in_worker(setup: &Setup, report: &mut Report) -> Result<(), Exit> {
    let server = Server::start(&setup.folder, &[]).await?;
    let broker = store::redis(&server.url()).await?;
    load::fill(broker.as_ref(), WAITING, || load::job(WAIT, INPUT_BYTES)).await?;
    let worker = Part::worker(&server.url(), WAITING).await?;
    load::running(broker.as_ref(), WAITING).await?;
    let resident = worker.pid().and_then(usage::resident_bytes);
    if let Some(resident) = resident {
        let name = format!("worker memory with {WAITING} waiting jobs of 1 KB in flight");
        let figure = Figure::new(name, resident / 1e6, "MB").at_most(40.0);
        report.add(Section::Memory, figure);
    }
    Ok(())
}
