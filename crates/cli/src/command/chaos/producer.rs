//! Hands in jobs at a bounded rate and follows each to its end.

use std::sync::Arc;
use std::time::Duration;

use lovage_broker_redis::RedisBroker;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};
use tokio_util::sync::CancellationToken;

use super::order::{self, Order};

/// Jobs under way at once: while the store is away, no more are handed in.
const UNDER_WAY_MAX: usize = 500;

/// What became of all that was handed in.
#[derive(Default)]
pub(super) struct Orders {
    /// Jobs handed in, acknowledged or not.
    pub(super) sent: usize,
    /// Those that were acknowledged, followed to their end or as long as there was patience.
    pub(super) followed: Vec<Order>,
    /// What the store said that no caller can mend.
    pub(super) refusals: Vec<String>,
}

/// Hands in `rate` jobs a second until `stop`, then waits for their ends, but
/// not longer than `patience`.
pub(super) async fn run(
    broker: Arc<RedisBroker>,
    rate: usize,
    stop: CancellationToken,
    patience: Duration,
) -> Orders {
    let mut orders = Orders::default();
    let mut under_way = JoinSet::new();
    let give_up = CancellationToken::new();
    let mut tick = interval(Duration::from_secs(1) / u32::try_from(rate).unwrap_or(u32::MAX));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = under_way.join_next() => orders.take(ended),
            _ = tick.tick(), if under_way.len() < UNDER_WAY_MAX => {
                under_way.spawn(order::follow(broker.clone(), orders.sent, give_up.clone()));
                orders.sent += 1;
            }
        }
    }
    let deadline = Instant::now() + patience;
    while let Ok(Some(ended)) = timeout_at(deadline, under_way.join_next()).await {
        orders.take(ended);
    }
    give_up.cancel();
    while let Some(ended) = under_way.join_next().await {
        orders.take(ended);
    }
    orders
}

impl Orders {
    fn take(&mut self, ended: Result<Result<Option<Order>, String>, JoinError>) {
        match ended {
            Ok(Ok(order)) => self.followed.extend(order),
            Ok(Err(refusal)) => self.refusals.push(refusal),
            Err(panic) => self.refusals.push(panic.to_string()),
        }
    }
}
