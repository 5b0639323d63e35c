//! What Redis itself does here: the floor that every other figure stands beside.

use std::time::{Duration, Instant};

use lovage_broker_redis::Probe;
use tokio::process::Command;

use super::report::{Figure, Report};
use super::spread::{Spread, median};
use super::store::failed;
use super::{Setup, say};
use crate::args::Section;
use crate::command::server::Server;
use crate::exit::{self, Exit};

/// Name of the pipelined floor.
pub(super) const PIPELINED: &str = "LPUSH -P 50 -c 50 -d 1000";
/// Name of the floor of one call at a time.
pub(super) const SINGLE: &str = "LPUSH -P 1 -c 1 -d 1000";
/// Name of the bare round trip.
pub(super) const ROUND_TRIP: &str = "PING";

/// Round trips of one measurement, and as many before it.
const PINGS: usize = 2_000;

/// Each floor, the median of all rounds.
pub(super) async fn measure(setup: &Setup, report: &mut Report) -> Result<(), Exit> {
    let (mut fast, mut single, mut trips) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..setup.rounds {
        let server = Server::start(&setup.folder, &[]).await?;
        say("floor: redis-benchmark");
        fast.push(pipelined(&server).await?);
        single.push(one_at_a_time(&server).await?);
        trips.push(round_trip(&server).await?.as_secs_f64() * 1_000.0);
    }
    let section = Section::Floor;
    report.add(section, Figure::new(PIPELINED, median(&fast), "/s"));
    report.add(section, Figure::new(SINGLE, median(&single), "/s"));
    let name = format!("{ROUND_TRIP}, one connection of our driver, p50");
    report.add(section, Figure::new(name, median(&trips), "ms"));
    Ok(())
}

/// LPUSH of 1,000 bytes, 50 in a pipeline on each of 50 connections; per second.
pub(super) async fn pipelined(server: &Server) -> Result<f64, Exit> {
    let args = [
        "-t", "lpush", "-d", "1000", "-c", "50", "-P", "50", "-n", "500000",
    ];
    let rate = benchmark(server, &args).await;
    forget(server).await?;
    rate
}

/// LPUSH of 1,000 bytes, one after the other; per second.
pub(super) async fn one_at_a_time(server: &Server) -> Result<f64, Exit> {
    let args = [
        "-t", "lpush", "-d", "1000", "-c", "1", "-P", "1", "-n", "30000",
    ];
    let rate = benchmark(server, &args).await;
    forget(server).await?;
    rate
}

/// The list that the benchmark filled.
async fn forget(server: &Server) -> Result<(), Exit> {
    let probe = Probe::connect(&server.url()).await.map_err(failed)?;
    probe.ask(&["DEL", "mylist"]).await.map_err(failed)
}

/// Median of a PING over one connection of the driver that the store uses.
pub(super) async fn round_trip(server: &Server) -> Result<Duration, Exit> {
    let probe = Probe::connect(&server.url()).await.map_err(failed)?;
    let mut spread = Spread::new();
    for ping in 0..2 * PINGS {
        let begun = Instant::now();
        let () = probe.ask(&["PING"]).await.map_err(failed)?;
        if ping >= PINGS {
            spread.record(begun.elapsed());
        }
    }
    Ok(spread.at(0.50))
}

/// Runs `redis-benchmark`; requests per second.
pub(super) async fn benchmark(server: &Server, args: &[&str]) -> Result<f64, Exit> {
    let output = Command::new("redis-benchmark")
        .args(["-p", &server.port().to_string(), "--csv"])
        .args(args)
        .kill_on_drop(true)
        .output();
    let output = output
        .await
        .map_err(|error| Exit::because("redis-benchmark does not run", &error))?;
    let text = String::from_utf8_lossy(&output.stdout);
    // "test","rps","avg_latency_ms",… then one line per test, its last seven fields numbers.
    let last = text.lines().last().unwrap_or_default();
    let rate = last.rsplit(',').nth(6);
    let rate = rate.and_then(|rate| rate.trim_matches('"').parse().ok());
    rate.ok_or_else(|| {
        let what = format!("redis-benchmark said something unexpected: {text}");
        Exit::new(exit::ERROR, what)
    })
}
