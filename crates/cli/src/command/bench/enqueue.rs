//! Jobs per second into the store: in batches, one at a time, over HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lovage_core::broker::Broker;
use lovage_core::job::NewJob;
use tokio::task::JoinSet;

use super::http::{self, Connection};
use super::load::{self, INPUT_BYTES, NOOP};
use super::part::Part;
use super::report::{Figure, Report};
use super::spread::median;
use super::store::{self, Store, failed};
use super::{Setup, floor, say, usage};
use crate::args::Section;
use crate::command::server::Server;
use crate::exit::Exit;

/// Jobs of one call.
const BATCH: usize = 100;
/// Calls under way at once.
const CALLERS: usize = 8;
/// Jobs enqueued one at a time.
const SINGLES: usize = 5_000;
/// Kept-alive connections.
const CONNECTIONS: usize = 32;
/// How long they send.
const HTTP_TIME: Duration = Duration::from_secs(4);

/// Rates of one round.
#[derive(Default)]
struct Rates {
    floor: Vec<f64>,
    batches: Vec<f64>,
    single_floor: Vec<f64>,
    singles: Vec<f64>,
}

pub(super) async fn measure(setup: &Setup, report: &mut Report) -> Result<(), Exit> {
    sqlite(setup, report).await?;
    if setup.redis.is_none() {
        return Ok(());
    }
    let mut rates = Rates::default();
    for round in 1..=setup.rounds {
        say(&format!(
            "enqueue: redis, round {round} of {}",
            setup.rounds
        ));
        let server = Server::start(&setup.folder, &[]).await?;
        let broker = store::redis(&server.url()).await?;
        rates.floor.push(floor::pipelined(&server).await?);
        rates.batches.push(batches(&broker, setup.jobs).await?);
        rates
            .single_floor
            .push(floor::one_at_a_time(&server).await?);
        rates.singles.push(singles(broker.as_ref()).await?);
    }
    let name = format!("redis enqueue, batches of {BATCH}, {CALLERS} at once");
    let figure = beside(name, &rates.batches, floor::PIPELINED, &rates.floor);
    report.add(Section::Enqueue, figure.at_least(0.4));
    let name = "redis enqueue, one at a time";
    let figure = beside(
        name.to_owned(),
        &rates.singles,
        floor::SINGLE,
        &rates.single_floor,
    );
    report.add(Section::Enqueue, figure.at_least(0.8));
    over_http(setup, report).await
}

fn beside(name: String, rates: &[f64], floor_name: &str, floors: &[f64]) -> Figure {
    let ratios: Vec<f64> = rates.iter().zip(floors).map(|(a, b)| a / b).collect();
    let figure = Figure::new(name, median(rates), "jobs/s");
    figure.beside_with_ratio(floor_name, median(floors), median(&ratios))
}

async fn sqlite(setup: &Setup, report: &mut Report) -> Result<(), Exit> {
    say("enqueue: sqlite");
    let broker = store::sqlite(&setup.folder, "enqueue.db").await?;
    let name = format!("sqlite enqueue, batches of {BATCH}, {CALLERS} at once");
    let rate = batches(&broker, setup.jobs).await?;
    report.add(Section::Enqueue, Figure::new(name, rate, "jobs/s"));
    let rate = singles(broker.as_ref()).await?;
    let name = "sqlite enqueue, one at a time";
    report.add(Section::Enqueue, Figure::new(name, rate, "jobs/s"));
    Ok(())
}

/// Enqueues at least `jobs` jobs in batches; jobs per second.
async fn batches(broker: &Store, jobs: usize) -> Result<f64, Exit> {
    let each = jobs.div_ceil(BATCH * CALLERS);
    let batch = || (0..BATCH).map(|_| load::job(NOOP, INPUT_BYTES)).collect();
    let shares: Vec<Vec<Vec<NewJob>>> = (0..CALLERS)
        .map(|_| (0..each).map(|_| batch()).collect())
        .collect();
    let mut callers = JoinSet::new();
    let begun = Instant::now();
    for share in shares {
        let broker = broker.clone();
        callers.spawn(async move {
            for batch in share {
                broker.enqueue(batch, false).await?;
            }
            Ok(())
        });
    }
    while let Some(ended) = callers.join_next().await {
        let ended = ended.map_err(|error| Exit::because("a caller broke", &error))?;
        ended.map_err(failed)?;
    }
    let jobs = each * BATCH * CALLERS;
    Ok(jobs as f64 / begun.elapsed().as_secs_f64())
}

/// Enqueues one job after the other; jobs per second.
async fn singles(broker: &dyn Broker) -> Result<f64, Exit> {
    let jobs: Vec<NewJob> = (0..SINGLES).map(|_| load::job(NOOP, INPUT_BYTES)).collect();
    let begun = Instant::now();
    for job in jobs {
        broker.enqueue(vec![job], false).await.map_err(failed)?;
    }
    Ok(SINGLES as f64 / begun.elapsed().as_secs_f64())
}

/// The API in a process of its own, and what each process used meanwhile.
async fn over_http(setup: &Setup, report: &mut Report) -> Result<(), Exit> {
    say("enqueue: over HTTP");
    let server = Server::start(&setup.folder, &[]).await?;
    let api = Part::api(&server.url()).await?;
    let pids = [
        ("API", api.pid()),
        ("Redis", server.pid()),
        ("caller", Some(std::process::id())),
    ];
    let used = || pids.map(|(_, pid)| pid.and_then(usage::cpu_s));
    let (before, begun) = (used(), Instant::now());
    let sent = send(&api.said, begun + HTTP_TIME).await;
    let sent = sent.map_err(|error| Exit::because("the API cannot be called", &error))?;
    let (elapsed, after) = (begun.elapsed().as_secs_f64(), used());
    let name = format!("redis enqueue over HTTP, {CONNECTIONS} connections");
    let figure = Figure::new(name, sent as f64 / elapsed, "jobs/s").at_least(15_000.0);
    report.add(Section::Enqueue, figure);
    for (((name, _), after), before) in pids.iter().zip(after).zip(before) {
        if let Some((after, before)) = after.zip(before) {
            let cores = (after - before) / elapsed;
            let name = format!("redis enqueue over HTTP: processor used by the {name}");
            report.add(Section::Enqueue, Figure::new(name, cores, "cores"));
        }
    }
    Ok(())
}

/// Sends one request after the other on every connection; how many were accepted.
async fn send(address: &str, until: Instant) -> std::io::Result<usize> {
    let input = "x".repeat(INPUT_BYTES - 2);
    let body = format!(r#"{{"kind":"{NOOP}","input":"{input}"}}"#);
    let json = "content-type: application/json";
    let request = Arc::new(http::request("POST", "/v1/jobs", &[json], &body));
    let sent = Arc::new(AtomicUsize::new(0));
    let mut connections: JoinSet<std::io::Result<()>> = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let mut connection = Connection::open(address).await?;
        let (request, sent) = (request.clone(), sent.clone());
        connections.spawn(async move {
            while Instant::now() < until {
                connection.call(&request).await?;
                sent.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
    }
    while let Some(ended) = connections.join_next().await {
        ended.map_err(std::io::Error::other)??;
    }
    Ok(sent.load(Ordering::Relaxed))
}
