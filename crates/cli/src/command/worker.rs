//! `lovage worker`: runs jobs.

use lovage_core::id::QueueName;
use lovage_worker::WorkerError;
use tokio::task::JoinError;

use super::api::stopped;
use super::{Flag, given};
use crate::args::Worker;
use crate::compose;
use crate::config::Settings;
use crate::exit::{self, Exit};
use crate::telemetry;

pub(crate) fn flags(args: &Worker) -> Vec<Flag> {
    given([
        (
            "worker.concurrency",
            args.concurrency.map(|count| i64::from(count).into()),
        ),
        (
            "worker.queues",
            (!args.queues.is_empty()).then(|| args.queues.clone().into()),
        ),
    ])
}

pub(crate) async fn run(settings: Settings) -> Result<(), Exit> {
    telemetry::init(&settings.log);
    let store = compose::store(&settings).await?;
    let worker = compose::worker(&settings, &store, queues(&settings)?)?;
    let stopped = async {
        if let Err(error) = stopped().await {
            tracing::error!(message = error.message, "cannot hear signals: stopping");
        }
    };
    worker
        .run(stopped)
        .await
        .map_err(|error| Exit::because("the worker ended", &error))
}

/// How a worker that ran as a task ended.
pub(crate) fn ended(task: Result<Result<(), WorkerError>, JoinError>) -> Result<(), Exit> {
    let ended = task.map_err(|error| Exit::because("the worker broke", &error))?;
    ended.map_err(|error| Exit::because("the worker ended", &error))
}

/// The queues of the settings, as names.
pub(crate) fn queues(settings: &Settings) -> Result<Vec<QueueName>, Exit> {
    let names = settings.worker.queues.iter().map(|name| name.parse());
    names
        .collect::<Result<_, _>>()
        .map_err(|error| Exit::new(exit::USAGE, format!("worker.queues: {error}")))
}
