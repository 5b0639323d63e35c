//! The worker of the acceptance suite: `tests/celery/test_celery_compat.py` says
//! at its top which tasks it must offer.
//!
//! Settings are those of the suite, as variables: `REDIS_URL`, `RESULT_URL`,
//! `CELERY_QUEUE`, `KEY_PREFIX`, `RESULT_PREFIX`, `PRIORITY_SEP`, `PRIORITY_STEPS`,
//! `RESULT_EXPIRES`, `RESULT_EXTENDED`, `TRACK_STARTED`, `VISIBILITY_TIMEOUT`;
//! `STORE_URL` is where the jobs are kept.

#![allow(clippy::unwrap_used, reason = "a test's program fails by panicking")]

use std::collections::BTreeMap;
use std::env;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lovage_broker_redis::{RedisBroker, RedisConfig};
use lovage_celery::{Bridge, CeleryConfig, Mapping, Shape};
use lovage_worker::{Worker, WorkerConfig};
use lovage_workflow::{
    Catalog, Context, Failure, Handler, Handlers, Kind, KindSpec, Payload, SystemClock,
};
use serde::Deserialize;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Jobs at once: few, so that priorities show.
const SLOTS: usize = 2;
/// Attempts of a task, as many as its longest test needs.
const ATTEMPTS_MAX: u32 = 6;

/// Gives back what it was called with.
struct Echo;

#[derive(Deserialize)]
struct Call {
    args: Vec<Payload>,
    kwargs: BTreeMap<String, Payload>,
}

#[async_trait]
impl Handler for Echo {
    async fn run(&self, context: Context) -> Result<Payload, Failure> {
        let mut call: Call = context.input()?;
        match call.args.len() {
            _ if !call.kwargs.is_empty() => {
                context.done(&json!({ "args": call.args, "kwargs": call.kwargs }))
            }
            1 => Ok(call.args.remove(0)),
            _ => context.done(&call.args),
        }
    }
}

struct Add;

#[derive(Deserialize)]
struct Addends {
    x: i64,
    #[serde(default)]
    y: i64,
}

#[async_trait]
impl Handler for Add {
    async fn run(&self, context: Context) -> Result<Payload, Failure> {
        let Addends { x, y } = context.input()?;
        context.done(&(x + y))
    }
}

struct Fail;

#[derive(Deserialize)]
struct Failing {
    /// A text, or what a chain gave.
    #[serde(default = "boom")]
    message: serde_json::Value,
    #[serde(default = "value_error")]
    kind: String,
}

fn boom() -> serde_json::Value {
    "boom".into()
}

fn value_error() -> String {
    "ValueError".to_owned()
}

#[async_trait]
impl Handler for Fail {
    async fn run(&self, context: Context) -> Result<Payload, Failure> {
        let Failing { message, kind } = context.input()?;
        let message = message
            .as_str()
            .map_or_else(|| message.to_string(), str::to_owned);
        Err(Failure::give_up(&kind, message))
    }
}

struct Slow;

#[derive(Deserialize)]
struct Sleep {
    #[serde(default = "one")]
    seconds: f64,
    #[serde(default = "Payload::null")]
    value: Payload,
}

fn one() -> f64 {
    1.0
}

#[async_trait]
impl Handler for Slow {
    async fn run(&self, context: Context) -> Result<Payload, Failure> {
        let Sleep { seconds, value } = context.input()?;
        pause(&context, seconds).await?;
        Ok(value)
    }
}

/// What a task waits for is time.
async fn pause(context: &Context, seconds: f64) -> Result<(), Failure> {
    tokio::select! {
        () = tokio::time::sleep(Duration::from_secs_f64(seconds)) => Ok(()),
        () = context.stop().cancelled() => Err(Failure::Stopped),
    }
}

struct Progress;

#[derive(Deserialize)]
struct Steps {
    #[serde(default = "three")]
    n: u32,
    #[serde(default = "tenth")]
    delay: f64,
}

fn three() -> u32 {
    3
}

fn tenth() -> f64 {
    0.1
}

#[async_trait]
impl Handler for Progress {
    async fn run(&self, context: Context) -> Result<Payload, Failure> {
        let Steps { n, delay } = context.input()?;
        for current in 1..=n {
            let state = json!({ "state": "PROGRESS", "meta": { "current": current, "total": n } });
            context.emit("state", None, &state).await?;
            pause(&context, delay).await?;
        }
        context.done(&n)
    }
}

struct Flaky;

#[derive(Deserialize)]
struct Flakiness {
    #[serde(default = "once")]
    fails: u32,
    #[serde(default = "fifth")]
    countdown: f64,
}

fn once() -> u32 {
    1
}

fn fifth() -> f64 {
    0.2
}

#[async_trait]
impl Handler for Flaky {
    async fn run(&self, context: Context) -> Result<Payload, Failure> {
        let Flakiness { fails, countdown } = context.input()?;
        let retries = context.job().attempt - 1;
        if retries < fails {
            return Err(Failure::Retry {
                code: "ValueError".to_owned(),
                message: format!("attempt {retries}"),
                after: Some(Duration::from_secs_f64(countdown)),
            });
        }
        context.done(&retries)
    }
}

fn handlers() -> Handlers {
    Handlers::new()
        .with("accept.echo", Echo)
        .with("accept.add", Add)
        .with("accept.fail", Fail)
        .with("accept.slow", Slow)
        .with("accept.progress", Progress)
        .with("accept.flaky", Flaky)
}

fn tasks() -> BTreeMap<String, Mapping> {
    let named = |names: &[&str]| Shape::Named(names.iter().map(|&name| name.to_owned()).collect());
    [
        ("echo", Shape::Call),
        ("add", named(&["x", "y"])),
        ("fail", named(&["message", "kind"])),
        ("slow", named(&["seconds", "value"])),
        ("progress", named(&["n", "delay"])),
        ("flaky", named(&["fails", "countdown"])),
    ]
    .map(|(task, shape)| {
        let kind = format!("accept.{task}");
        (task.to_owned(), Mapping { kind, shape })
    })
    .into()
}

fn catalog() -> Catalog {
    let spec = |mapping: Mapping| KindSpec {
        attempts_max: ATTEMPTS_MAX,
        ..KindSpec::new(
            mapping.kind.parse::<Kind>().unwrap(),
            "a task of the acceptance suite",
        )
    };
    Catalog::new(tasks().into_values().map(spec))
}

/// A variable, or what holds without it.
fn knob<T: FromStr>(name: &str, default: T) -> T {
    let Ok(text) = env::var(name) else {
        return default;
    };
    text.parse().unwrap_or_else(|_| panic!("{name}: {text}"))
}

fn text(name: &str, default: &str) -> String {
    knob(name, default.to_owned())
}

fn config() -> CeleryConfig {
    let broker = text("REDIS_URL", "redis://127.0.0.1:7301/0");
    CeleryConfig {
        result_backend: text("RESULT_URL", &broker),
        queues: text("CELERY_QUEUE", "celery")
            .split(',')
            .map(str::to_owned)
            .collect(),
        tasks: tasks(),
        name: text("WORKER_NAME", "lovage@acceptance"),
        concurrency: SLOTS,
        result_expires: Duration::from_secs(knob("RESULT_EXPIRES", 86_400)),
        result_extended: knob("RESULT_EXTENDED", 0) == 1,
        track_started: knob("TRACK_STARTED", 0) == 1,
        visibility_timeout: Duration::from_secs(knob("VISIBILITY_TIMEOUT", 3_600)),
        key_prefix: text("KEY_PREFIX", ""),
        result_prefix: text("RESULT_PREFIX", ""),
        priority_sep: text("PRIORITY_SEP", "\u{6}\u{16}"),
        priority_steps: serde_json::from_str(&text("PRIORITY_STEPS", "[0, 3, 6, 9]")).unwrap(),
        ..CeleryConfig::new(broker)
    }
}

#[tokio::main]
async fn main() {
    let config = config();
    let queues = config
        .queues
        .iter()
        .map(|name| name.parse().unwrap())
        .collect();
    let store = RedisConfig::new(text("STORE_URL", &config.broker_url));
    let broker = Arc::new(RedisBroker::connect(store).await.unwrap());
    let clock = Arc::new(SystemClock);
    let bridge = Bridge::new(config, broker.clone(), catalog(), clock.clone());
    let worker = Worker::new(broker, handlers(), clock, WorkerConfig::new(queues, SLOTS));
    let stop = CancellationToken::new();
    let mut terminated = signal(SignalKind::terminate()).unwrap();
    let work = worker.run(stop.clone().cancelled_owned());
    let bridged = bridge.run(stop.clone().cancelled_owned());
    let both = async {
        tokio::try_join!(async { work.await.map_err(|e| e.to_string()) }, async {
            bridged.await.map_err(|e| e.to_string())
        })
    };
    tokio::pin!(both);
    tokio::select! {
        ended = &mut both => panic!("a part ended by itself: {ended:?}"),
        _ = terminated.recv() => stop.cancel(),
    }
    both.await.unwrap();
}
