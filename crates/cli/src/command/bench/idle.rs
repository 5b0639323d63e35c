//! One job at a time while nothing else goes on, and a worker that has nothing to do.

use std::process::Stdio;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use lovage_core::payload::Payload;
use lovage_workflow::{Context, Failure, Handler, Handlers};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::sync::mpsc;

use super::http::{self, Connection};
use super::load::{self, INPUT_BYTES, NOOP, Running};
use super::part::Part;
use super::report::{Figure, Report};
use super::spread::Spread;
use super::store::{self, Store, failed};
use super::{Setup, floor, say, usage};
use crate::args::Section;
use crate::command::server::Server;
use crate::exit::{self, Exit};

const SAMPLES: usize = 1_000;
const WARM_UP: usize = 50;
const KIND: &str = "bench.stamp";
/// How long the idle worker is watched, after a while to settle down.
const WATCH: Duration = Duration::from_secs(10);
const SETTLE_DOWN: Duration = Duration::from_secs(2);

/// Says when it starts.
struct Stamp(mpsc::Sender<Instant>);

#[async_trait]
impl Handler for Stamp {
    async fn run(&self, context: Context) -> Result<Payload, Failure> {
        let _ = self.0.send(Instant::now()).await;
        context.done(&true)
    }
}

pub(super) async fn measure(setup: &Setup, report: &mut Report) -> Result<(), Exit> {
    say("idle: sqlite");
    let sqlite = store::sqlite(&setup.folder, "idle.db").await?;
    let spread = to_start(sqlite).await?;
    for (share, name) in [(0.50, "p50"), (0.99, "p99")] {
        let name = format!("sqlite idle: enqueue to start, {name}");
        report.add(Section::Idle, Figure::new(name, spread.ms(share), "ms"));
    }
    if setup.redis.is_none() {
        return Ok(());
    }
    say("idle: redis");
    let server = Server::start(&setup.folder, &[]).await?;
    let mut trips = vec![floor::round_trip(&server).await?];
    let start = to_start(store::redis(&server.url()).await?).await?;
    trips.push(floor::round_trip(&server).await?);
    let worker = Part::worker(&server.url(), 16).await?;
    let result = to_result(&server).await?;
    trips.push(floor::round_trip(&server).await?);
    trips.sort_unstable();
    let trip = trips[1].as_secs_f64() * 1_000.0;
    for (what, spread, most) in [
        ("start of its handler", &start, [5.0, 10.0]),
        ("result over HTTP", &result, [10.0, 20.0]),
    ] {
        for ((share, name), most) in [(0.50, "p50"), (0.99, "p99")].into_iter().zip(most) {
            let name = format!("redis idle: enqueue to {what}, {name}");
            let figure = Figure::new(name, spread.ms(share), "ms").beside(floor::ROUND_TRIP, trip);
            report.add(Section::Idle, figure.at_most(most));
        }
    }
    watch(&server, &worker, report).await
}

/// Enqueues one job at a time and waits until it starts, in this process.
async fn to_start(broker: Store) -> Result<Spread, Exit> {
    let (stamp, mut starts) = mpsc::channel(1);
    let handlers = Handlers::new().with(KIND, Stamp(stamp));
    let running = Running::start(broker.clone(), handlers, 16);
    let mut spread = Spread::new();
    for sample in 1..=WARM_UP + SAMPLES {
        let job = load::job(KIND, INPUT_BYTES);
        let begun = Instant::now();
        broker.enqueue(vec![job], false).await.map_err(failed)?;
        let started = starts.recv().await;
        let started = started.ok_or_else(|| Exit::new(exit::ERROR, "the worker ended early"))?;
        if sample > WARM_UP {
            spread.record(started - begun);
        }
        // Idle again: the last job is settled, the worker waits.
        load::succeeded(broker.as_ref(), sample).await?;
    }
    running.stop().await?;
    Ok(spread)
}

#[derive(Deserialize)]
struct Accepted {
    id: String,
}

/// Enqueues over HTTP and waits there for the end; API and worker are processes.
async fn to_result(server: &Server) -> Result<Spread, Exit> {
    let api = Part::api(&server.url()).await?;
    let broken = |error: std::io::Error| Exit::because("the API cannot be called", &error);
    let mut connection = Connection::open(&api.said).await.map_err(broken)?;
    let input = "x".repeat(INPUT_BYTES - 2);
    let body = format!(r#"{{"kind":"{NOOP}","input":"{input}"}}"#);
    let json = "content-type: application/json";
    let enqueue = http::request("POST", "/v1/jobs", &[json], &body);
    let mut spread = Spread::new();
    for sample in 0..WARM_UP + SAMPLES {
        let begun = Instant::now();
        let accepted = connection.call(&enqueue).await.map_err(broken)?;
        let Accepted { id } = serde_json::from_slice(accepted)
            .map_err(|error| Exit::because("the API's answer cannot be read", &error))?;
        let wait = http::request("GET", &format!("/v1/jobs/{id}"), &["prefer: wait=10"], "");
        connection.call(&wait).await.map_err(broken)?;
        if sample >= WARM_UP {
            spread.record(begun.elapsed());
        }
    }
    Ok(spread)
}

/// What a worker does while there is nothing to do.
async fn watch(server: &Server, worker: &Part, report: &mut Report) -> Result<(), Exit> {
    say("idle: a worker without jobs");
    tokio::time::sleep(SETTLE_DOWN).await;
    let cpu = || usage::cpu_s(worker.pid()?);
    let before = cpu();
    let commands = commands_within(server, WATCH).await?;
    let after = cpu();
    let seconds = WATCH.as_secs_f64();
    let name = "redis idle worker: commands it sends";
    let figure = Figure::new(name, commands as f64 / seconds, "/s").at_most(5.0);
    report.add(Section::Idle, figure);
    if let Some((after, before)) = after.zip(before) {
        let name = "redis idle worker: share of a core";
        let figure = Figure::new(name, (after - before) / seconds * 100.0, "%").at_most(0.5);
        report.add(Section::Idle, figure);
    }
    Ok(())
}

/// Commands that clients send meanwhile; not those that scripts call.
async fn commands_within(server: &Server, time: Duration) -> Result<usize, Exit> {
    let broken = |error: std::io::Error| Exit::because("redis-cli does not run", &error);
    let mut monitor = Command::new("redis-cli")
        .args(["-p", &server.port().to_string(), "MONITOR"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(broken)?;
    let mut lines = BufReader::new(monitor.stdout.take().expect("it was piped")).lines();
    // OK, then one line per command.
    lines.next_line().await.map_err(broken)?;
    let mut commands = 0;
    let until = tokio::time::Instant::now() + time;
    while let Ok(line) = tokio::time::timeout_at(until, lines.next_line()).await {
        let line = line.map_err(broken)?;
        let line = line.ok_or_else(|| Exit::new(exit::ERROR, "redis-cli ended early"))?;
        commands += usize::from(!line.contains(" lua] "));
    }
    Ok(commands)
}
