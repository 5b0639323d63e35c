//! Other processes of a measurement: the same program as worker or API, so
//! that everything contends for the machine as it does in earnest.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use lovage_api::{ApiConfig, State};
use lovage_core::catalog::{Catalog, KindSpec};
use lovage_core::id::QueueName;
use lovage_worker::{Worker, WorkerConfig};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use super::load;
use super::store;
use crate::args::{BenchPart, PartRole};
use crate::compose::{self, KindRender};
use crate::exit::{self, Exit};
use crate::view::out;

/// Longest time until a part is ready.
const START: Duration = Duration::from_secs(30);
/// Pause between two looks whether the worker claims.
const LOOK: Duration = Duration::from_millis(5);

/// A process of ours. It ends when this is dropped, and when this process dies.
pub(super) struct Part {
    process: Child,
    /// What it said when it was ready.
    pub(super) said: String,
}

impl Part {
    /// A worker that has begun to claim, from the Redis at `url`. It has one async
    /// thread: here it shares the cores with its server.
    pub(super) async fn worker(url: &str, slots: usize) -> Result<Self, Exit> {
        Self::start(url, &["worker", "--slots", &slots.to_string()]).await
    }

    /// An API that listens on the address it said.
    pub(super) async fn api(url: &str) -> Result<Self, Exit> {
        Self::start(url, &["api"]).await
    }

    async fn start(url: &str, args: &[&str]) -> Result<Self, Exit> {
        let broken = |error| Exit::because("cannot start a part of the bench", &error);
        let program = std::env::current_exe().map_err(broken)?;
        let mut process = Command::new(program)
            .env("TOKIO_WORKER_THREADS", "1")
            .args(["bench-part", "--url", url])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(broken)?;
        let stdout = process.stdout.take().expect("it was piped");
        let mut lines = BufReader::new(stdout).lines();
        match tokio::time::timeout(START, lines.next_line()).await {
            Ok(Ok(Some(said))) => Ok(Self { process, said }),
            _ => Err(Exit::new(exit::ERROR, "a part of the bench did not start")),
        }
    }

    /// Its process, while it runs.
    pub(super) fn pid(&self) -> Option<u32> {
        self.process.id()
    }
}

/// `lovage bench-part`: what [`Part`] starts. Says one line when it is ready,
/// and ends with its standard input.
pub(crate) async fn run(args: &BenchPart) -> Result<(), Exit> {
    tokio::select! {
        ended = play(args) => ended,
        () = orphaned() => Ok(()),
    }
}

/// Until whoever started this process is gone.
async fn orphaned() {
    let mut byte = [0];
    while matches!(tokio::io::stdin().read(&mut byte).await, Ok(1..)) {}
}

async fn play(args: &BenchPart) -> Result<(), Exit> {
    let broker = store::redis(&args.url).await?;
    match args.role {
        PartRole::Worker { slots } => {
            let config = WorkerConfig::new(vec![QueueName::default()], slots);
            let worker = Worker::new(broker, load::handlers(), compose::clock(), config);
            let health = worker.health();
            let ready = async {
                while health.ready(START).is_err() {
                    tokio::time::sleep(LOOK).await;
                }
                out::print("ready")?;
                std::future::pending().await
            };
            let ended = async {
                let ended = worker.run(std::future::pending()).await;
                ended.map_err(|error| Exit::because("the worker ended", &error))
            };
            tokio::select! { ended = ready => ended, ended = ended => ended }
        }
        PartRole::Api => {
            let broken = |error| Exit::because("cannot listen", &error);
            let listener = TcpListener::bind("127.0.0.1:0").await.map_err(broken)?;
            out::print(listener.local_addr().map_err(broken)?)?;
            lovage_api::serve(listener, api(broker), std::future::pending()).await;
            Ok(())
        }
    }
}

fn api(broker: store::Store) -> State {
    let kind = load::NOOP.parse().expect("the kind is valid");
    let catalog = Catalog::new([KindSpec::new(kind, "Does nothing.")]);
    let (catalog, config) = (Arc::new(catalog), ApiConfig::default());
    State::new(
        broker,
        catalog,
        Arc::new(KindRender(compose::kinds())),
        compose::clock(),
        config,
    )
}
