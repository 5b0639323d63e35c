//! A private Redis server, and what `redis-benchmark` says it can do.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use super::report::Floor;
use crate::exit::{self, Exit};

/// Longest time the server may take to listen.
const START: Duration = Duration::from_secs(10);

/// A `redis-server` on a free loopback port, ended when dropped.
pub(super) struct Server {
    port: u16,
    _process: Child,
}

impl Server {
    /// Starts it; nothing when it is not installed.
    pub(super) async fn start(folder: &Path) -> Result<Option<Self>, Exit> {
        let port = free_port()
            .await
            .map_err(|error| Exit::because("no free port", &error))?;
        let process = Command::new("redis-server")
            .args([
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
                "--dir",
            ])
            .arg(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let process = match process {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            process => {
                process.map_err(|error| Exit::because("redis-server does not start", &error))?
            }
        };
        let listening = async {
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(START, listening).await.is_err() {
            return Err(Exit::new(exit::ERROR, "redis-server does not listen"));
        }
        Ok(Some(Self {
            port,
            _process: process,
        }))
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }
}

async fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port())
}

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
        .args(["-p", &server.port.to_string(), "--csv"])
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
