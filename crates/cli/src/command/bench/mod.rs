//! `lovage bench`: what the queue does on this machine, beside the floor that
//! Redis itself sets in the same run. Compare ratios, not absolute figures.

mod floor;
mod latency;
mod model;
mod report;
mod throughput;

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use lovage_broker_redis::{RedisBroker, RedisConfig};
use lovage_broker_sqlite::{SqliteBroker, SqliteConfig};
use lovage_core::broker::Broker;
use lovage_core::id::QueueName;
use lovage_worker::{Worker, WorkerConfig, WorkerError};
use lovage_workflow::Handlers;
use tokio_util::sync::CancellationToken;

use crate::args::{Bench, Output};
use crate::command::api::stopped;
use crate::command::server::Server;
use crate::command::worker;
use crate::compose;
use crate::exit::{self, Exit};
use crate::view::out;
use report::{Report, Store};

/// Size of a job's input, in bytes.
const INPUT_BYTES: usize = 1_000;
/// Jobs that wait for the model at once.
const WAITERS: usize = 200;

pub(crate) async fn run(args: &Bench) -> Result<(), Exit> {
    // Dropped half-way, the measurement ends its server and removes its folder.
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
        eprintln!("{what}");
    }
}

async fn measure(args: &Bench) -> Result<(), Exit> {
    let folder = tempfile::tempdir()
        .map_err(|error| Exit::because("cannot make a temporary folder", &error))?;
    let mut report = Report::new(args.jobs, args.concurrency);
    let sqlite = SqliteConfig::new(folder.path().join("bench.db"));
    let sqlite = SqliteBroker::open(sqlite)
        .await
        .map_err(|error| Exit::because("the SQLite store cannot be used", &error))?;
    report.stores.push(store(args, Arc::new(sqlite)).await?);
    match Server::start(folder.path(), &[]).await? {
        Some(server) => {
            say("measuring the Redis floor");
            report.floor = Some(floor::measure(&server).await?);
            let redis = RedisBroker::connect(RedisConfig::new(server.url()));
            let redis = redis
                .await
                .map_err(|error| Exit::because("the Redis store cannot be used", &error))?;
            report.stores.push(store(args, Arc::new(redis)).await?);
        }
        None => eprintln!("redis-server is not installed: its figures are left out"),
    }
    match args.output {
        Output::Json => out::json(&report),
        Output::Table => out::print(report.table()),
    }
}

async fn store(args: &Bench, broker: Arc<dyn Broker>) -> Result<Store, Exit> {
    let name = broker.name();
    say(&format!(
        "measuring {name}: enqueue and drain of {} jobs",
        args.jobs
    ));
    let enqueue_per_s = throughput::enqueue(broker.as_ref(), args.jobs).await?;
    let drain_per_s = throughput::drain(broker.clone(), args.jobs, args.concurrency).await?;
    let enqueue_single_per_s = throughput::enqueue_single(broker.as_ref()).await?;
    throughput::drain(broker.clone(), throughput::SINGLES, args.concurrency).await?;
    say(&format!("measuring {name}: idle latency"));
    let idle = latency::idle(broker.clone()).await?;
    say(&format!(
        "measuring {name}: {WAITERS} jobs that wait 1 s for the model"
    ));
    let waiting_s = model::waiting(broker, WAITERS).await?;
    Ok(Store {
        store: name,
        enqueue_per_s,
        enqueue_single_per_s,
        drain_per_s,
        idle,
        waiting_jobs: WAITERS,
        waiting_s,
    })
}

/// A worker of this process; ends when it is stopped.
struct Running {
    stop: CancellationToken,
    worker: tokio::task::JoinHandle<Result<(), WorkerError>>,
}

impl Running {
    fn start(broker: Arc<dyn Broker>, handlers: Handlers, slots: usize) -> Self {
        let stop = CancellationToken::new();
        let config = WorkerConfig::new(vec![QueueName::default()], slots);
        let worker = Worker::new(broker, handlers, compose::clock(), config);
        let worker = tokio::spawn(worker.run(stop.clone().cancelled_owned()));
        Self { stop, worker }
    }

    async fn stop(self) -> Result<(), Exit> {
        self.stop.cancel();
        worker::ended(self.worker.await)
    }
}

fn failed(error: lovage_core::error::BrokerError) -> Exit {
    Exit::because("the store failed", &error)
}

fn per_second(count: usize, elapsed: Duration) -> f64 {
    (count as f64 / elapsed.as_secs_f64()).round()
}
