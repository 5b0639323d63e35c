//! A worker by hand: claims and settles when told to, and nothing else.

use std::time::{Duration, Instant};

use lovage_core::broker::{Claim, Claimed, Settle, Settled};
use lovage_core::clock::{Clock, SystemClock};
use lovage_core::id::{QueueName, WorkerId};
use lovage_core::lifecycle;
use lovage_core::limits;
use lovage_core::outcome::Outcome;
use lovage_core::payload::Payload;

use super::store::{Store, failed};
use crate::exit::{self, Exit};

/// Registered on the default queue.
pub(super) struct Hand {
    broker: Store,
    queue: QueueName,
    worker: WorkerId,
    extended: Instant,
}

impl Hand {
    pub(super) async fn register(broker: Store) -> Result<Self, Exit> {
        let (queue, worker) = (QueueName::default(), WorkerId::at(SystemClock.now()));
        broker.register(&queue, &worker).await.map_err(failed)?;
        Ok(Self {
            broker,
            queue,
            worker,
            extended: Instant::now(),
        })
    }

    /// Moves the lease; how long it took.
    pub(super) async fn extend(&mut self) -> Result<Duration, Exit> {
        let begun = Instant::now();
        let extended = self.broker.extend(&self.queue, &self.worker).await;
        extended.map_err(failed)?;
        self.extended = Instant::now();
        Ok(begun.elapsed())
    }

    /// One claim, and how long it took; the lease is seen to beforehand.
    pub(super) async fn claim(&mut self, want: usize) -> Result<(Vec<Claimed>, Duration), Exit> {
        if self.extended.elapsed() >= limits::HEARTBEAT {
            self.extend().await?;
        }
        let ask = Claim {
            worker: self.worker,
            queue: self.queue.clone(),
            want,
        };
        let begun = Instant::now();
        let claims = self.broker.claim(&ask).await.map_err(failed)?;
        Ok((claims.claimed, begun.elapsed()))
    }

    /// Settles jobs as done, in one call; how long it took.
    ///
    /// # Errors
    /// Also when one of them is not held any more: the figure would be wrong.
    pub(super) async fn settle(&self, claimed: Vec<Claimed>) -> Result<Duration, Exit> {
        let result = Payload::of(&true).expect("a bool has a JSON form");
        let outcome = Outcome::Done(result);
        let now = SystemClock.now();
        let settles: Vec<Settle> = claimed
            .into_iter()
            .map(|Claimed { job, lease }| {
                let next = lifecycle::settle(&job, &outcome, now, 0.0);
                Settle { lease, job, next }
            })
            .collect();
        let begun = Instant::now();
        let settled = self.broker.settle(&settles).await.map_err(failed)?;
        let elapsed = begun.elapsed();
        if settled.contains(&Settled::Fenced) {
            return Err(Exit::new(exit::ERROR, "the bench lost its own lease"));
        }
        Ok(elapsed)
    }
}
