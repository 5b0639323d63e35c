//! What `redis-benchmark` says a Redis server can do here.

use tokio::process::Command;

use super::report::Floor;
use crate::command::server::Server;
use crate::exit::{self, Exit};

/// LPUSH of 1,000 bytes, pipelined and one at a time.
pub(super) async fn measure(server: &Server) -> Result<Floor, Exit> {
    let pipelined = benchmark(
        server,
        &[
            "-t", "lpush", "-d", "1000", "-c", "50", "-P", "50", "-n", "300000",
        ],
    )
    .await?;
    let single = benchmark(
        server,
        &[
            "-t", "lpush", "-d", "1000", "-c", "1", "-P", "1", "-n", "20000",
        ],
    )
    .await?;
    Ok(Floor {
        lpush_pipelined_per_s: pipelined.0,
        lpush_single_per_s: single.0,
        round_trip_p50_ms: single.1,
    })
}

/// Requests per second and the median latency in milliseconds.
async fn benchmark(server: &Server, args: &[&str]) -> Result<(f64, f64), Exit> {
    let output = Command::new("redis-benchmark")
        .args(["-p", &server.port().to_string(), "--csv"])
        .args(args)
        .output();
    let output = output
        .await
        .map_err(|error| Exit::because("redis-benchmark does not run", &error))?;
    let text = String::from_utf8_lossy(&output.stdout);
    // "test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms",… then one line per test.
    let line = text.lines().find(|line| line.starts_with("\"LPUSH"));
    let fields: Vec<f64> = line
        .unwrap_or_default()
        .split(',')
        .skip(1)
        .filter_map(|field| field.trim_matches('"').parse().ok())
        .collect();
    match (fields.first(), fields.get(3)) {
        (Some(rate), Some(p50)) => Ok((*rate, *p50)),
        _ => Err(Exit::new(
            exit::ERROR,
            format!("redis-benchmark said something unexpected: {text}"),
        )),
    }
}
