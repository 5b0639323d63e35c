//! What a worker says of itself.

use std::collections::BTreeMap;

use lovage_core::payload::Payload;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::revoke::OneOrMore;
use super::{Answer, Command, error, of, ok};
use crate::bridge::Parts;
use crate::message::Task;
use crate::open::{Opened, Stage};
use crate::time;

/// A task as `inspect` shows it.
#[derive(Serialize)]
struct Request<'a> {
    id: &'a str,
    name: &'a str,
    args: &'a Payload,
    kwargs: &'a Payload,
    r#type: &'a str,
    hostname: &'a str,
    /// When its attempt began, in seconds.
    time_start: Option<f64>,
    acknowledged: bool,
    delivery_info: Value,
    worker_pid: u32,
}

#[derive(Serialize)]
struct Scheduled<'a> {
    eta: String,
    priority: u8,
    request: Request<'a>,
}

/// The answer to a question; an error to what is not understood.
pub(super) async fn answer(parts: &Parts, command: &Command) -> Answer {
    match command.method.as_str() {
        "ping" => ok("pong"),
        "active" | "dump_active" => active(parts),
        "scheduled" | "dump_schedule" => scheduled(parts),
        "reserved" | "dump_reserved" => reserved(parts),
        "revoked" | "dump_revoked" => of(&parts.celery.insist(|| parts.revoked.ids()).await?),
        "registered" | "dump_tasks" => of(&parts.config.tasks.keys().collect::<Vec<_>>()),
        "query_task" => query(parts, command),
        "stats" => of(&stats(parts)),
        "active_queues" => of(&parts
            .queues
            .names()
            .iter()
            .map(|name| queue(name))
            .collect::<Vec<_>>()),
        "conf" | "dump_conf" => of(&settings(parts)),
        "clock" => of(&json!({ "clock": parts.events.tick() })),
        "report" => ok(concat!("lovage ", env!("CARGO_PKG_VERSION"))),
        "hello" => hello(parts, command).await,
        other => error(&format!("lovage has no command {other:?}")),
    }
}

fn request<'a>(parts: &'a Parts, opened: &'a Opened) -> Request<'a> {
    let task: &Task = &opened.task;
    let since = match opened.stage {
        Stage::Running(since) => Some(since.as_microsecond() as f64 / 1e6),
        Stage::Waiting => None,
    };
    Request {
        id: &task.id,
        name: &task.name,
        args: &task.args,
        kwargs: &task.kwargs,
        r#type: &task.name,
        hostname: &parts.config.name,
        time_start: since,
        acknowledged: true,
        delivery_info: json!({
            "exchange": task.exchange,
            "routing_key": task.routing_key,
            "priority": task.priority,
            "redelivered": false,
        }),
        worker_pid: std::process::id(),
    }
}

fn is_running(opened: &Opened) -> bool {
    matches!(opened.stage, Stage::Running(_))
}

/// Whether it waits for its time.
fn is_scheduled(parts: &Parts, opened: &Opened) -> bool {
    let now = parts.canvas.clock.now();
    !is_running(opened) && opened.task.eta.is_some_and(|eta| eta > now)
}

fn active(parts: &Parts) -> Answer {
    let tasks = parts.open.tasks();
    let running = tasks.iter().filter(|opened| is_running(opened));
    of(&running
        .map(|opened| request(parts, opened))
        .collect::<Vec<_>>())
}

fn reserved(parts: &Parts) -> Answer {
    let tasks = parts.open.tasks();
    let waits = |opened: &&Opened| !is_running(opened) && !is_scheduled(parts, opened);
    let waiting = tasks.iter().filter(waits);
    of(&waiting
        .map(|opened| request(parts, opened))
        .collect::<Vec<_>>())
}

fn scheduled(parts: &Parts) -> Answer {
    let tasks = parts.open.tasks();
    let later = tasks.iter().filter(|opened| is_scheduled(parts, opened));
    let later = later.filter_map(|opened| {
        Some(Scheduled {
            eta: time::write(opened.task.eta?),
            // As Celery's timer has it, whatever the task's own.
            priority: 6,
            request: request(parts, opened),
        })
    });
    of(&later.collect::<Vec<_>>())
}

fn query(parts: &Parts, command: &Command) -> Answer {
    #[derive(Deserialize)]
    struct Of {
        ids: OneOrMore,
    }
    let ids = match command.arguments::<Of>() {
        Ok(of) => Vec::from(of.ids),
        Err(answer) => return answer,
    };
    let tasks = parts.open.tasks();
    let known = tasks.iter().filter(|opened| ids.contains(&opened.task.id));
    let known = known.map(|opened| {
        let state = match opened.stage {
            Stage::Running(_) => "active",
            Stage::Waiting if is_scheduled(parts, opened) => "scheduled",
            Stage::Waiting => "reserved",
        };
        (opened.task.id.as_str(), (state, request(parts, opened)))
    });
    of(&known.collect::<BTreeMap<_, _>>())
}

fn stats(parts: &Parts) -> Value {
    let up = parts.canvas.clock.now().duration_since(parts.since);
    json!({
        "total": parts.open.ended(),
        "pid": std::process::id(),
        "clock": parts.events.tick().to_string(),
        "uptime": up.as_secs(),
        "prefetch_count": 0,
        "rusage": {},
        "pool": { "implementation": "lovage", "max-concurrency": parts.config.concurrency },
        "broker": {
            "transport": "redis",
            "virtual_host": parts.canvas.transport.keys().database.to_string(),
        },
    })
}

fn queue(name: &str) -> Value {
    json!({
        "name": name,
        "exchange": { "name": name, "type": "direct", "durable": true },
        "routing_key": name,
        "durable": true,
        "no_ack": false,
        "alias": null,
        "bindings": [],
    })
}

/// What may be shown: addresses hold passwords.
fn settings(parts: &Parts) -> Value {
    let config = &parts.config;
    json!({
        "result_expires": config.result_expires.as_secs(),
        "result_extended": config.result_extended,
        "task_track_started": config.track_started,
        "task_default_queue": config.queues.first(),
        "worker_concurrency": config.concurrency,
        "worker_send_task_events": config.task_events,
        "timezone": "UTC",
    })
}

async fn hello(parts: &Parts, command: &Command) -> Answer {
    #[derive(Deserialize)]
    struct Of {
        from_node: String,
    }
    let Of { from_node } = match command.arguments() {
        Ok(of) => of,
        Err(answer) => return answer,
    };
    if from_node == parts.config.name {
        return None;
    }
    let revoked = parts.celery.insist(|| parts.revoked.ids()).await?;
    of(&json!({ "revoked": revoked, "clock": parts.events.tick() }))
}
