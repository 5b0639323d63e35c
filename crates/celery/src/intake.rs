//! From Celery's lists to entries that are carried to their end.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};

use crate::bridge::Parts;
use crate::entry::carry;

/// Longest wait for messages before the entries of dead bridges are looked for.
const WAIT: Duration = Duration::from_secs(1);
/// How long entries may take to come to a place where they can be left.
const STOP_MAX: Duration = Duration::from_secs(10);

/// The entries under way; each gives itself back when it is left.
type Carried = JoinSet<Option<String>>;

/// Takes messages until the bridge stops; then leaves what is not over to others.
pub(crate) async fn take_all(parts: Arc<Parts>) {
    let mut carried = Carried::new();
    let mut left = Vec::new();
    while !parts.stop.is_cancelled() {
        while let Some(ended) = carried.try_join_next() {
            left.extend(returned(ended));
        }
        take(&parts, &mut carried).await;
    }
    let ending = async {
        while let Some(ended) = carried.join_next().await {
            left.extend(returned(ended));
        }
    };
    if tokio::time::timeout(STOP_MAX, ending).await.is_err() {
        tracing::warn!("entries of Celery are left in the middle of something");
    }
    left.extend(parts.open.entries());
    carried.shutdown().await;
    // Whoever cannot be told finds out when they are not renewed.
    if let Err(error) = parts.canvas.transport.leave(&left).await {
        tracing::warn!(%error, "Celery's server is away: other bridges take over later");
    }
}

/// Takes as many messages as there is room for, or waits for some, or for room.
async fn take(parts: &Arc<Parts>, carried: &mut Carried) {
    let (transport, config) = (&parts.canvas.transport, &parts.config);
    let room = config.open_max.saturating_sub(parts.open.len());
    if room == 0 {
        tokio::select! {
            Some(ended) = carried.join_next() => drop(returned(ended)),
            () = parts.stop.cancelled() => {}
        }
        return;
    }
    let queues = parts.queues.names();
    // An answer that is lost leaves its entries to be adopted in a while.
    let taken = parts.celery.insist(|| transport.take(&queues, room)).await;
    let taken = taken.unwrap_or_default();
    if taken.is_empty() {
        tokio::select! {
            waited = transport.wait(&queues, WAIT) => if waited.is_err() {
                parts.celery.pause(1).await;
            },
            () = parts.stop.cancelled() => {}
        }
        return;
    }
    for held in taken {
        let hold = parts.open.hold(&held.entry);
        carried.spawn(carry(parts.clone(), hold, held));
    }
}

/// The entry that was left, if it was.
fn returned(ended: Result<Option<String>, JoinError>) -> Option<String> {
    ended.unwrap_or_else(|error| {
        tracing::error!(%error, "an entry of Celery broke off: it is taken up again");
        None
    })
}
