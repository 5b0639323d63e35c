//! `lovage worker`: runs jobs.

use std::collections::BTreeSet;

use lovage_core::id::QueueName;
use lovage_worker::WorkerError;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

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
        ("celery.broker_url", args.celery.clone().map(Into::into)),
    ])
}

pub(crate) async fn run(settings: Settings) -> Result<(), Exit> {
    telemetry::init(&settings.log);
    let store = compose::store(&settings).await?;
    let bridge = compose::bridge(&settings, &store)?;
    let worker = compose::worker(&settings, &store, queues(&settings)?)?;
    let stop = CancellationToken::new();
    let working = async {
        let ended = worker.run(stop.clone().cancelled_owned()).await;
        ended.map_err(|error| Exit::because("the worker ended", &error))
    };
    let bridging = async {
        match bridge {
            Some(bridge) => bridge.run(stop.clone().cancelled_owned()).await,
            None => {
                stop.cancelled().await;
                Ok(())
            }
        }
        .map_err(|error| Exit::because("the bridge to Celery ended", &error))
    };
    let hearing = async {
        if let Err(error) = stopped().await {
            tracing::error!(message = error.message, "cannot hear signals: stopping");
        }
        stop.cancel();
        Ok(())
    };
    // Whichever fails ends all: half a worker would look alive.
    tokio::try_join!(working, bridging, hearing).map(|_| ())
}

/// How a worker that ran as a task ended.
pub(crate) fn ended(task: Result<Result<(), WorkerError>, JoinError>) -> Result<(), Exit> {
    let ended = task.map_err(|error| Exit::because("the worker broke", &error))?;
    ended.map_err(|error| Exit::because("the worker ended", &error))
}

/// The queues of the settings, as names; those of the bridge too.
pub(crate) fn queues(settings: &Settings) -> Result<Vec<QueueName>, Exit> {
    let bridged = settings.celery.bridge(1).map(|config| config.queues);
    let names = settings
        .worker
        .queues
        .iter()
        .cloned()
        .chain(bridged.into_iter().flatten());
    let names: BTreeSet<String> = names.collect();
    let names = names.iter().map(|name| name.parse());
    names
        .collect::<Result<_, _>>()
        .map_err(|error| Exit::new(exit::USAGE, format!("worker.queues: {error}")))
}
