//! `lovage celery`.

use lovage_celery::{Checked, CheckedQueue, CheckedTask};
use serde::Serialize;

use super::{Flag, given};
use crate::args::Output;
use crate::args::celery::CeleryCheck;
use crate::config::Settings;
use crate::exit::{self, Exit};
use crate::view::{out, table};

/// What a broker has, as it is printed.
#[derive(Serialize)]
struct Report {
    queues: Vec<Queue>,
    tasks: Vec<Task>,
    /// Messages looked at that are no tasks.
    unreadable: u64,
    /// Messages that workers of ours hold.
    held: u64,
    /// Messages that were no tasks.
    dead: u64,
}

#[derive(Serialize)]
struct Queue {
    queue: String,
    /// Whether the settings take from it.
    taken: bool,
    waiting: u64,
    /// Of each priority that has a list of its own.
    by_priority: Vec<(u8, u64)>,
}

#[derive(Serialize)]
struct Task {
    task: String,
    /// Messages of it among those looked at.
    seen: u64,
    /// What it is here; none when it is not mapped.
    kind: Option<String>,
}

pub(crate) fn flags(args: &CeleryCheck) -> Vec<Flag> {
    given([("celery.broker_url", args.broker.clone().map(Into::into))])
}

pub(crate) async fn check(args: &CeleryCheck, settings: &Settings) -> Result<(), Exit> {
    let Some(config) = settings.celery.bridge(settings.worker.concurrency) else {
        let message = "no broker: give --broker redis://host:6379/0, or set celery.broker_url";
        return Err(Exit::new(exit::USAGE, message));
    };
    let checked = lovage_celery::check(&config).await;
    let checked =
        checked.map_err(|error| Exit::because("Celery's broker cannot be looked at", &error))?;
    let report = report(checked);
    match args.output {
        Output::Json => out::json(&report),
        Output::Table => out::print(shown(&report)),
    }
}

fn report(checked: Checked) -> Report {
    let queue = |CheckedQueue {
                     name,
                     taken,
                     lengths,
                 }| Queue {
        queue: name,
        taken,
        waiting: lengths.iter().map(|(_, length): &(u8, u64)| length).sum(),
        by_priority: lengths,
    };
    let task = |CheckedTask { name, seen, kind }| Task {
        task: name,
        seen,
        kind,
    };
    Report {
        queues: checked.queues.into_iter().map(queue).collect(),
        tasks: checked.tasks.into_iter().map(task).collect(),
        unreadable: checked.unreadable,
        held: checked.held,
        dead: checked.dead,
    }
}

fn shown(report: &Report) -> String {
    let mut queues = table::table(&["QUEUE", "TAKEN", "WAITING", "BY PRIORITY"]);
    for queue in &report.queues {
        let lengths = queue.by_priority.iter().filter(|(_, length)| *length > 0);
        let lengths: Vec<_> = lengths
            .map(|(step, length)| format!("{step}: {length}"))
            .collect();
        queues.add_row([
            queue.queue.clone(),
            if queue.taken { "yes" } else { "no" }.to_owned(),
            queue.waiting.to_string(),
            lengths.join(", "),
        ]);
    }
    let mut tasks = table::table(&["TASK", "SEEN", "KIND"]);
    for task in &report.tasks {
        let kind = task
            .kind
            .as_deref()
            .unwrap_or("not mapped: would fail with NotRegistered");
        tasks.add_row([&task.task, &task.seen.to_string(), kind]);
    }
    let Report {
        unreadable,
        held,
        dead,
        ..
    } = report;
    format!(
        "{queues}\n\n{tasks}\n{unreadable} seen that are no tasks, {held} held by workers of lovage, {dead} in lovage.dead"
    )
}
