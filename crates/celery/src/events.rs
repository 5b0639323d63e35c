//! Events of tasks and of this worker, as Flower and `celery events` read them.
//!
//! They are told on channels, to whoever listens now: one that is lost is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use lovage_core::payload::Payload;
use serde_json::{Map, Value, json};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{MissedTickBehavior, interval};

use crate::bridge::Parts;
use crate::envelope::{Address, seal};
use crate::json;
use crate::message::Task;
use crate::notice::{Notice, What};
use crate::time;

/// Time between two signs of life.
const BEAT: Duration = Duration::from_secs(2);
/// Bytes of a result as events show it.
const SHOWN_BYTES: usize = 1_024;

/// Lamport's clock of this worker, and whether events of tasks are wanted.
pub(crate) struct Events {
    clock: AtomicU64,
    of_tasks: AtomicBool,
}

impl Events {
    pub(crate) fn new(of_tasks: bool) -> Self {
        Self {
            clock: AtomicU64::new(0),
            of_tasks: AtomicBool::new(of_tasks),
        }
    }

    /// The clock after an event of ours.
    pub(crate) fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The clock after a message of someone whose clock was `other`.
    pub(crate) fn heard(&self, other: u64) {
        // A stranger's clock may be anything; one at the end of numbers would stop ours.
        self.clock
            .fetch_max(other.min(u64::MAX >> 1), Ordering::Relaxed);
        self.tick();
    }

    /// Begins or ends to tell events of tasks; says whether that is a change.
    pub(crate) fn switch(&self, on: bool) -> bool {
        self.of_tasks.swap(on, Ordering::Relaxed) != on
    }
}

/// Tells what happens until the bridge stops.
pub(crate) async fn tell_all(parts: Arc<Parts>, mut notices: broadcast::Receiver<Notice>) {
    let mut beats = interval(BEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tell_worker(&parts, "worker-online").await;
    loop {
        tokio::select! {
            _ = beats.tick() => tell_worker(&parts, "worker-heartbeat").await,
            notice = notices.recv() => match notice {
                Ok(notice) => tell_task(&parts, &notice).await,
                Err(RecvError::Lagged(missed)) => tracing::debug!(missed, "events of Celery tasks are left out"),
                Err(RecvError::Closed) => return,
            },
            () = parts.stop.cancelled() => break,
        }
    }
    tell_worker(&parts, "worker-offline").await;
}

/// Tells how this worker is.
pub(crate) async fn tell_worker(parts: &Parts, kind: &str) {
    let processed: u64 = parts.open.ended().values().sum();
    let fields = json!({
        "freq": BEAT.as_secs_f64(),
        "active": parts.open.running(),
        "processed": processed,
        "loadavg": load(),
        "sw_ident": "lovage",
        "sw_ver": env!("CARGO_PKG_VERSION"),
        "sw_sys": std::env::consts::OS,
    });
    publish(parts, kind, fields).await;
}

/// The machine's load over 1, 5 and 15 minutes, where it says.
fn load() -> [f64; 3] {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let mut numbers = text.split(' ').filter_map(|number| number.parse().ok());
    std::array::from_fn(|_| numbers.next().unwrap_or_default())
}

async fn tell_task(parts: &Parts, notice: &Notice) {
    if parts.events.of_tasks.load(Ordering::Relaxed) {
        let (kind, fields) = told(&notice.task, &notice.what);
        publish(parts, kind, fields).await;
    }
}

fn told(task: &Task, what: &What) -> (&'static str, Value) {
    let uuid = &task.id;
    match what {
        What::Received => ("task-received", received(task)),
        What::Started => ("task-started", json!({ "uuid": uuid })),
        What::Succeeded { result, runtime } => (
            "task-succeeded",
            json!({
                "uuid": uuid,
                "result": json::repr(result.as_str(), SHOWN_BYTES),
                "runtime": runtime.as_secs_f64(),
            }),
        ),
        What::Failed(exception) | What::Retried(exception) => (
            if matches!(what, What::Failed(_)) {
                "task-failed"
            } else {
                "task-retried"
            },
            json!({
                "uuid": uuid,
                "exception": exception.repr(),
                "traceback": exception.traceback(),
            }),
        ),
        What::Revoked {
            terminated,
            expired,
        } => (
            "task-revoked",
            json!({
                "uuid": uuid,
                "terminated": terminated,
                "signum": terminated.then_some("SIGTERM"),
                "expired": expired,
            }),
        ),
    }
}

fn received(task: &Task) -> Value {
    json!({
        "uuid": task.id,
        "name": task.name,
        "args": task.args_repr,
        "kwargs": task.kwargs_repr,
        "root_id": task.root_id,
        "parent_id": task.parent_id,
        "retries": task.retries,
        "eta": task.eta.map(time::write),
        "expires": task.expires.map(time::write),
    })
}

async fn publish(parts: &Parts, kind: &str, fields: Value) {
    let transport = &parts.canvas.transport;
    let routing_key = kind.replace('-', ".");
    let event = event(parts, kind, fields, parts.canvas.clock.now());
    let headers = Payload::of(&json!({ "hostname": parts.config.name }));
    let address = Address {
        exchange: "celeryev",
        routing_key: &routing_key,
        priority: 0,
        delivery_mode: 1,
        correlation_id: None,
        reply_to: None,
    };
    let headers = headers.expect("a name has a JSON form");
    let message = seal(&event.to_string(), &headers, &address);
    let mut publish = redis::pipe();
    publish
        .publish(transport.keys().events(&routing_key), message)
        .ignore();
    if let Err(error) = transport.link.send::<()>(&publish).await {
        tracing::debug!(%error, kind, "an event of Celery is lost");
    }
}

/// The event with what all have.
fn event(parts: &Parts, kind: &str, fields: Value, now: Timestamp) -> Value {
    let mut event = match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    let common = [
        ("hostname", json!(parts.config.name)),
        ("utcoffset", json!(0)),
        ("pid", json!(std::process::id())),
        ("clock", json!(parts.events.tick())),
        ("timestamp", json!(now.as_microsecond() as f64 / 1e6)),
        ("type", json!(kind)),
    ];
    event.extend(common.map(|(name, value)| (name.to_owned(), value)));
    Value::Object(event)
}
