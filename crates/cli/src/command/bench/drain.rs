//! Jobs per second through worker processes, results stored.

use std::time::Instant;

use lovage_broker_redis::Probe;
use lovage_core::id::QueueName;
use lovage_core::job::NewJob;

use super::load::{self, INPUT_BYTES, NOOP, Running};
use super::part::Part;
use super::report::{Figure, Report, ServerCommand};
use super::spread::median;
use super::store::{self, failed};
use super::usage::{self, ServerUsage};
use super::{Setup, floor, say};
use crate::args::Section;
use crate::command::server::Server;
use crate::exit::Exit;

/// Worker processes, their slots, and the server's options.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) workers: usize,
    pub(super) slots: usize,
    /// Whether inputs of jobs that succeeded are kept.
    pub(super) keep_input: bool,
    pub(super) options: &'static [&'static str],
}

/// What one drain came to.
pub(super) struct Drained {
    pub(super) per_s: f64,
    server_us: f64,
    workers_us: Option<f64>,
    commands: Vec<ServerCommand>,
}

/// Name, shape, least ratio to the floor, most server time per job.
type Case = (&'static str, Shape, f64, Option<f64>);

const CASES: [Case; 4] = [
    (
        "1 worker process, 256 slots",
        shape(1, 256),
        0.30,
        Some(9.0),
    ),
    ("1 worker process, 32 slots", shape(1, 32), 0.18, None),
    ("2 worker processes, 256 slots", shape(2, 256), 0.35, None),
    (
        "1 worker process, 256 slots, inputs kept",
        Shape {
            keep_input: true,
            ..shape(1, 256)
        },
        0.30,
        Some(9.0),
    ),
];
/// Jobs per second of the embedded store.
const SQLITE_TARGET: f64 = 5_000.0;

const fn shape(workers: usize, slots: usize) -> Shape {
    Shape {
        workers,
        slots,
        keep_input: false,
        options: &[],
    }
}

/// Every case in turn with the floor, as many rounds as asked for.
pub(super) async fn measure(setup: &Setup, report: &mut Report) -> Result<(), Exit> {
    sqlite(setup, report).await?;
    if setup.redis.is_none() {
        return Ok(());
    }
    let mut floors = Vec::new();
    let mut drains: [Vec<Drained>; CASES.len()] = Default::default();
    for round in 1..=setup.rounds {
        let server = Server::start(&setup.folder, &[]).await?;
        floors.push(floor::pipelined(&server).await?);
        drop(server);
        for (drains, (name, shape, ..)) in drains.iter_mut().zip(CASES) {
            say(&format!("drain: {name}, round {round} of {}", setup.rounds));
            drains.push(redis(setup, shape).await?);
        }
    }
    for (drains, case) in drains.iter().zip(CASES) {
        add(report, case, &floors, drains);
    }
    let [first, ..] = drains;
    let last = first.into_iter().next_back();
    report.drain_commands = last.map(|drained| drained.commands).unwrap_or_default();
    Ok(())
}

fn add(report: &mut Report, case: Case, floors: &[f64], drains: &[Drained]) {
    let (name, _, least, server_most) = case;
    let of = |pick: fn(&Drained) -> f64| drains.iter().map(pick).collect::<Vec<_>>();
    let rates = of(|one| one.per_s);
    let ratios: Vec<f64> = rates.iter().zip(floors).map(|(a, b)| a / b).collect();
    let figure = Figure::new(format!("redis drain, {name}"), median(&rates), "jobs/s")
        .beside_with_ratio(floor::PIPELINED, median(floors), median(&ratios))
        .at_least(least);
    report.add(Section::Drain, figure);
    let server = Figure::new(
        format!("redis drain, {name}: server CPU per job"),
        median(&of(|one| one.server_us)),
        "µs",
    );
    let server = match server_most {
        Some(most) => server.at_most(most),
        None => server,
    };
    report.add(Section::Drain, server);
    let workers: Option<Vec<f64>> = drains.iter().map(|one| one.workers_us).collect();
    if let Some(workers) = workers {
        let name = format!("redis drain, {name}: worker CPU per job");
        report.add(Section::Drain, Figure::new(name, median(&workers), "µs"));
    }
}

/// Drains jobs that wait in a paused queue for workers that are up already.
pub(super) async fn redis(setup: &Setup, shape: Shape) -> Result<Drained, Exit> {
    let server = Server::start(&setup.folder, shape.options).await?;
    let (probe, queue) = (
        Probe::connect(&server.url()).await.map_err(failed)?,
        QueueName::default(),
    );
    let broker = store::redis(&server.url()).await?;
    broker.pause(&queue, true).await.map_err(failed)?;
    let job = || NewJob {
        keep_input: shape.keep_input,
        ..load::job(NOOP, INPUT_BYTES)
    };
    load::fill(broker.as_ref(), setup.jobs, job).await?;
    let mut workers = Vec::new();
    for _ in 0..shape.workers {
        workers.push(Part::worker(&server.url(), shape.slots).await?);
    }
    let cpu = || -> Option<f64> { workers.iter().map(|part| usage::cpu_s(part.pid()?)).sum() };
    let (before, cpu_before) = (ServerUsage::now(&probe).await?, cpu());
    let begun = Instant::now();
    broker.pause(&queue, false).await.map_err(failed)?;
    load::succeeded(broker.as_ref(), setup.jobs).await?;
    let elapsed = begun.elapsed();
    let (after, cpu_after) = (ServerUsage::now(&probe).await?, cpu());
    let us_per_job = |seconds: f64| seconds * 1e6 / setup.jobs as f64;
    Ok(Drained {
        per_s: setup.jobs as f64 / elapsed.as_secs_f64(),
        server_us: us_per_job(after.cpu_s() - before.cpu_s()),
        workers_us: cpu_after
            .zip(cpu_before)
            .map(|(after, before)| us_per_job(after - before)),
        commands: after.commands_since(&before, setup.jobs),
    })
}

/// The embedded store has its worker in its own process: so it is measured.
async fn sqlite(setup: &Setup, report: &mut Report) -> Result<(), Exit> {
    say("drain: sqlite");
    let mut rates = Vec::new();
    for round in 0..setup.rounds {
        let broker = store::sqlite(&setup.folder, &format!("drain-{round}.db")).await?;
        load::fill(broker.as_ref(), setup.jobs, || load::job(NOOP, INPUT_BYTES)).await?;
        let begun = Instant::now();
        let running = Running::start(broker.clone(), load::handlers(), 256);
        load::succeeded(broker.as_ref(), setup.jobs).await?;
        rates.push(setup.jobs as f64 / begun.elapsed().as_secs_f64());
        running.stop().await?;
    }
    let name = "sqlite drain, worker in the same process, 256 slots";
    let figure = Figure::new(name, median(&rates), "jobs/s").at_least(SQLITE_TARGET);
    report.add(Section::Drain, figure);
    Ok(())
}
