//! `lovage up`: API, worker and store in one process.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::api::{announce, listen, stopped};
use super::{Flag, given};
use crate::args::Up;
use crate::command::worker::{self, queues};
use crate::compose;
use crate::config::Settings;
use crate::exit::Exit;
use crate::telemetry;

/// A worker whose claim loop was silent for this long is not ready; it comes round every second.
const READY_WITHIN: Duration = Duration::from_secs(20);

pub(crate) fn flags(args: &Up) -> Vec<Flag> {
    given([
        ("api.listen", args.listen.clone().map(Into::into)),
        ("store.data", args.data.clone().map(Into::into)),
    ])
}

pub(crate) async fn run(settings: Settings) -> Result<(), Exit> {
    telemetry::init(&settings.log);
    let listener = listen(&settings).await?;
    let store = compose::store(&settings).await?;
    let worker = compose::worker(&settings, &store, queues(&settings)?)?;
    let state = compose::api(&settings, store);
    let health = worker.health();
    let state = state.with_probe("worker", move || health.ready(READY_WITHIN));
    announce(&listener)?;
    let stop = CancellationToken::new();
    let serving = tokio::spawn(lovage_api::serve(
        listener,
        state,
        stop.clone().cancelled_owned(),
    ));
    let mut working = tokio::spawn(worker.run(stop.clone().cancelled_owned()));
    let early = tokio::select! {
        signal = stopped() => { signal?; None }
        ended = &mut working => Some(ended),
    };
    stop.cancel();
    let ended = match early {
        Some(ended) => ended,
        None => working.await,
    };
    serving
        .await
        .map_err(|error| Exit::because("the API broke", &error))?;
    worker::ended(ended)
}
