//! Jobs and queues as tables.

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use lovage_client::wire::{EstimateView, JobView, LimitsView, QueueView};

use crate::view::wait;

/// A table without lines, cut to the terminal.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header.to_vec());
    table
}

/// One row per job.
pub(crate) fn jobs(jobs: &[JobView]) -> Table {
    let mut table = table(&["ID", "KIND", "STATE", "ATTEMPT", "CREATED", "WHAT"]);
    for job in jobs {
        let attempt = format!("{}/{}", job.attempt, job.attempts_max);
        let row = [
            job.id.to_string(),
            job.kind.clone(),
            job.state.as_str().to_owned(),
            attempt,
            job.created_at.clone(),
            what(job),
        ];
        table.add_row(row);
    }
    table
}

/// One row per step that calls a model, their sum, and what to know of it.
pub(crate) fn estimate(estimate: &EstimateView) -> String {
    let mut table = table(&["STEP", "CALLS", "PROMPT", "COMPLETION", "USD"]);
    let text = |number: Option<u64>| number.map_or("unknown".to_owned(), |n| n.to_string());
    let usd = |cost: Option<f64>| cost.map_or("unknown".to_owned(), |usd| format!("{usd:.4}"));
    for step in &estimate.by_step {
        table.add_row([
            step.step.clone(),
            step.calls.to_string(),
            step.prompt_tokens.to_string(),
            step.completion_tokens.to_string(),
            usd(step.cost_usd),
        ]);
    }
    table.add_row([
        "all".to_owned(),
        text(estimate.calls),
        text(estimate.prompt_tokens),
        text(estimate.completion_tokens),
        usd(estimate.cost_usd),
    ]);
    let notes = estimate.notes.iter().map(|note| format!("\n{note}"));
    format!("{table}{}", notes.collect::<String>())
}

/// One job, a line per fact.
pub(crate) fn job(job: &JobView) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    let mut row = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            table.add_row([name.to_owned(), value]);
        }
    };
    row("id", Some(job.id.to_string()));
    row("kind", Some(job.kind.clone()));
    row("queue", Some(job.queue.clone()));
    row("state", Some(job.state.as_str().to_owned()));
    row(
        "attempt",
        Some(format!("{} of {}", job.attempt, job.attempts_max)),
    );
    row("created", Some(job.created_at.clone()));
    row("started", job.started_at.clone());
    row("finished", job.finished_at.clone());
    row(
        "waiting",
        job.waiting.as_ref().map(|waiting| {
            let what = waiting.signal.as_deref().or(waiting.limit.as_deref());
            wait::text(&waiting.reason, what, waiting.until.as_deref())
        }),
    );
    row("progress", progress(job));
    row(
        "error",
        job.error
            .as_ref()
            .map(|error| format!("{}: {}", error.code, error.message)),
    );
    row("parent", job.parent_id.map(|id| id.to_string()));
    row("session", job.session.clone());
    row("tags", (!job.tags.is_empty()).then(|| job.tags.join(", ")));
    table
}

/// One row per queue.
pub(crate) fn queues(queues: &[QueueView]) -> Table {
    let mut table = table(&[
        "QUEUE",
        "SCHEDULED",
        "QUEUED",
        "RUNNING",
        "WAITING",
        "SUCCEEDED",
        "FAILED",
        "CANCELLED",
        "LIMITS",
    ]);
    for queue in queues {
        let counts = [
            queue.scheduled,
            queue.queued,
            queue.running,
            queue.waiting,
            queue.succeeded_total,
            queue.failed_total,
            queue.cancelled_total,
        ];
        let row = std::iter::once(queue.queue.clone())
            .chain(counts.map(|count| count.to_string()))
            .chain([limits(queue.paused, &queue.limits)]);
        table.add_row(row);
    }
    table
}

fn limits(paused: bool, limits: &LimitsView) -> String {
    let length = limits.length.map(|jobs| format!("at most {jobs} waiting"));
    let concurrency = limits.concurrency.map(|jobs| format!("{jobs} at once"));
    let rate = limits.rate.map(|rate| {
        let (jobs, per_s, burst) = (rate.jobs, rate.per_s, rate.burst);
        format!("{jobs} in {per_s} s, burst {burst}")
    });
    let weights = limits.weights.iter();
    let weights = weights.map(|(tenant, weight)| format!("{tenant}={weight}"));
    let paused = paused.then(|| "paused".to_owned());
    let parts: Vec<_> = paused
        .into_iter()
        .chain(length)
        .chain(concurrency)
        .chain(rate)
        .chain(weights)
        .collect();
    parts.join("; ")
}

fn what(job: &JobView) -> String {
    let waiting = || {
        let waiting = job.waiting.as_ref()?;
        let name = waiting.signal.as_deref().or(waiting.limit.as_deref());
        let what = wait::what(&waiting.reason, name);
        Some(format!("waits: {what}"))
    };
    let error = || job.error.as_ref().map(|error| error.message.clone());
    progress(job)
        .filter(|_| !job.state.is_final())
        .or_else(waiting)
        .or_else(error)
        .unwrap_or_default()
}

fn progress(job: &JobView) -> Option<String> {
    job.progress
        .as_ref()
        .map(|progress| format!("{} {}/{}", progress.step, progress.current, progress.total))
}
