//! A worker process of `lovage chaos`. It ends when its standard input does,
//! so that none outlives the process that started it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use lovage_broker_redis::{RedisBroker, RedisConfig};
use lovage_core::clock::{Clock, SystemClock};
use lovage_core::id::QueueName;
use lovage_worker::{Worker, WorkerConfig};
use lovage_workflow::Handlers;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::ledger::Ledger;
use super::work::{KIND, Work};
use super::{LEASE, SLOTS};
use crate::args::ChaosWorker;
use crate::config::{Format, Log};
use crate::exit::{self, Exit};
use crate::telemetry;

/// As often per lease as with the engine's usual times, or nearly.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// Likewise.
const SWEEP: Duration = Duration::from_millis(500);
/// Pause between two tries to reach a store that is away.
const AGAIN: Duration = Duration::from_millis(100);

/// A clock that is as far off as it is told.
#[derive(Clone, Default)]
struct WrongClock {
    ahead_ms: Arc<AtomicI64>,
}

impl Clock for WrongClock {
    fn now(&self) -> Timestamp {
        let ahead = self.ahead_ms.load(Ordering::Relaxed);
        let now = SystemClock.now().as_millisecond().saturating_add(ahead);
        Timestamp::from_millisecond(now).unwrap_or(Timestamp::MAX)
    }
}

pub(super) async fn run(args: ChaosWorker) -> Result<(), Exit> {
    telemetry::init(&Log {
        filter: "info".to_owned(),
        filter_is_set: true,
        format: Format::Json,
    });
    let clock = WrongClock::default();
    let hearing = hear(clock.clone());
    let working = work(args, clock);
    // Dropped half-way, as by a crash: the store must cope.
    tokio::select! {
        () = hearing => Ok(()),
        ended = working => ended,
    }
}

/// Reads how far off the clock is to be, line by line, to the end.
async fn hear(clock: WrongClock) {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        match line.trim().parse() {
            Ok(ahead) => clock.ahead_ms.store(ahead, Ordering::Relaxed),
            Err(_) => tracing::warn!(line, "not a number of ms"),
        }
    }
}

async fn work(args: ChaosWorker, clock: WrongClock) -> Result<(), Exit> {
    let ledger = Ledger::open(&args.ledger)
        .map_err(|error| Exit::because("the ledger cannot be written", &error))?;
    let handlers = Handlers::new().with(
        KIND,
        Work {
            ledger,
            worker: args.name,
        },
    );
    let broker = Arc::new(connect(&args.store, args.wait_replicas).await?);
    let worker = || {
        let config = WorkerConfig {
            heartbeat: HEARTBEAT,
            sweep: SWEEP,
            ..WorkerConfig::new(vec![QueueName::default()], SLOTS)
        };
        let (broker, clock) = (broker.clone(), Arc::new(clock.clone()));
        Worker::new(broker, handlers.clone(), clock, config)
    };
    // A store that is away at the start is an error; a supervisor would start the worker again.
    while let Err(error) = worker().run(std::future::pending()).await {
        tracing::warn!(error = %lovage_core::error::chain(&error), "the worker ended; starting it again");
        tokio::time::sleep(AGAIN).await;
    }
    Ok(())
}

/// Connects to the store, however long it is away; it is to wait for so many replicas.
pub(super) async fn connect(url: &str, wait_replicas: u32) -> Result<RedisBroker, Exit> {
    loop {
        let config = RedisConfig {
            lease: LEASE,
            wait_replicas,
            ..RedisConfig::new(url)
        };
        match RedisBroker::connect(config).await {
            Ok(broker) => return Ok(broker),
            Err(error) if error.is_transient() => tokio::time::sleep(AGAIN).await,
            Err(error) => {
                return Err(Exit::new(
                    exit::ERROR,
                    format!(
                        "the store cannot be used: {}",
                        lovage_core::error::chain(&error)
                    ),
                ));
            }
        }
    }
}
