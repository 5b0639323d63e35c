//! The job that is done for a task.

use std::time::Duration;

use jiff::Timestamp;
use lovage_core::catalog::{Catalog, CatalogError, InputError};
use lovage_core::id::{JobId, Priority, QueueName, check_label};
use lovage_core::job::NewJob;
use serde_json::Value;
use uuid::Uuid;

use crate::call;
use crate::config::CeleryConfig;
use crate::exception::Exception;
use crate::message::Task;

/// Root of the ids of jobs whose tasks have ids of another form.
const SPACE: Uuid = Uuid::from_u128(0x6c6f_7661_6765_5063_8e1e_7279_0000_0002);
/// The least urgent of Celery's priorities; here it is the other way round.
const PRIORITY_LAST: u8 = 9;

/// The id of a task's job: its own when it is a UUID, else one derived from it.
pub(crate) fn id(task: &str) -> JobId {
    let uuid = Uuid::try_parse(task).unwrap_or_else(|_| Uuid::new_v5(&SPACE, task.as_bytes()));
    JobId::from(uuid)
}

/// The job of a task that came through `queue`.
///
/// # Errors
/// The exception that the task fails with: nothing here knows its name, or its
/// arguments do not fit.
pub(crate) fn of(
    task: &Task,
    queue: &QueueName,
    config: &CeleryConfig,
    catalog: &Catalog,
    now: Timestamp,
) -> Result<NewJob, Exception> {
    let mapping = config.tasks.get(&task.name).ok_or_else(|| unknown(task))?;
    let input = call::input(task, &mapping.shape)
        .map_err(|reason| Exception::new("builtins", "TypeError", &reason))?;
    let value: Value = input
        .read()
        .map_err(|error| value_error(&error.to_string()))?;
    let spec = catalog
        .check(&mapping.kind, &value, input.as_str().len())
        .map_err(|error| misfit(task, &error))?;
    let mut job = spec.job(id(&task.id), input);
    job.queue = queue.clone();
    job.run_at = task.eta.filter(|eta| *eta > now);
    job.expires_at = task.expires;
    job.priority = Priority::try_from(PRIORITY_LAST.saturating_sub(task.priority))
        .expect("nine less something is at most nine");
    job.timeout = time_limit(task).or(job.timeout);
    job.traceparent.clone_from(&task.traceparent);
    job.tags = tag(task).into_iter().collect();
    Ok(job)
}

/// The time after which the task is stopped: the smaller of its limits.
pub(crate) fn time_limit(task: &Task) -> Option<Duration> {
    let (hard, soft) = task.time_limit;
    let limits = [hard, soft].into_iter().flatten();
    let seconds = limits.filter(|limit| *limit > 0.0).reduce(f64::min)?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// By which a job is found whose id is not its task's.
fn tag(task: &Task) -> Option<String> {
    let tag = format!("celery:{}", task.id);
    let needed = Uuid::try_parse(&task.id).is_err() && check_label(&tag).is_ok();
    needed.then_some(tag)
}

fn unknown(task: &Task) -> Exception {
    Exception::new("celery.exceptions", "NotRegistered", &task.name)
}

fn misfit(task: &Task, error: &CatalogError) -> Exception {
    match error {
        CatalogError::UnknownKind { .. } => unknown(task),
        CatalogError::TooLarge { .. } => value_error(&error.to_string()),
        CatalogError::Input(errors) => value_error(&told(errors)),
    }
}

fn told(errors: &[InputError]) -> String {
    let told = errors.iter().map(|error| match error.pointer.as_str() {
        "" => error.message.clone(),
        pointer => format!("{pointer}: {}", error.message),
    });
    told.collect::<Vec<_>>().join("; ")
}

fn value_error(text: &str) -> Exception {
    Exception::new("builtins", "ValueError", text)
}
