//! The end of a worker: stop claiming, let jobs finish, hand back the rest.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::held::StopReason;
use crate::seat::Seat;
use crate::worker::Shared;

/// How long a call to the store may keep the worker from ending.
const CALL_MAX: Duration = Duration::from_secs(5);

/// Drains: returns when no job is held and the worker is deregistered, or the
/// time for it is over.
pub(crate) async fn run(shared: &Shared, seats: &[Arc<Seat>], claims: JoinSet<&'static str>) {
    shared.health.draining();
    shared.draining.cancel();
    join(claims).await;
    release(shared).await;
    for seat in seats {
        let id = seat.id();
        let leaving = shared.broker.deregister(&seat.queue, &id);
        match timeout(CALL_MAX, leaving).await {
            Ok(Ok(())) => tracing::info!(queue = %seat.queue, "worker deregistered"),
            Ok(Err(error)) => {
                tracing::warn!(queue = %seat.queue, %error, "cannot deregister: the lease will run out");
            }
            Err(_) => {
                tracing::warn!(queue = %seat.queue, "the store does not answer: the lease will run out");
            }
        }
    }
}

/// Waits until every job has ended; after the grace time hands back the rest.
async fn release(shared: &Shared) {
    let config = &shared.config;
    let held = shared.roster.len();
    if held > 0 {
        tracing::info!(held, grace_s = config.grace.as_secs(), "draining");
    }
    if timeout(config.grace, shared.roster.empty()).await.is_ok() {
        return;
    }
    let held = shared.roster.len();
    tracing::warn!(held, "the grace time is over: handing jobs back");
    shared.roster.stop_all(StopReason::Shutdown);
    let handed_back = timeout(config.stop_grace + CALL_MAX, shared.roster.empty());
    if handed_back.await.is_err() {
        let held = shared.roster.len();
        tracing::error!(
            held,
            "jobs could not be handed back: they will be reclaimed"
        );
    }
}

/// Waits for tasks that were told to end; a call that hangs does not keep them.
pub(crate) async fn join(mut parts: JoinSet<&'static str>) {
    let ended = async { while parts.join_next().await.is_some() {} };
    if timeout(CALL_MAX, ended).await.is_err() {
        tracing::warn!("the store does not answer: not waiting for it");
    }
}
