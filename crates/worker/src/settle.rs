//! Writes how attempts ended, in batches: what ends during one write goes into the next.

use std::slice;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use lovage_core::attempt::JobError;
use lovage_core::broker::{Settle, Settled};
use lovage_core::error::BrokerError;
use lovage_core::lifecycle;
use lovage_core::limits;
use lovage_core::outcome::Outcome;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;

use crate::pause::Pauses;
use crate::worker::Shared;

/// Batches under way at once: one that the store writes, one on its way.
const IN_FLIGHT_MAX: usize = 2;

/// Jobs of a refused batch written at once.
const ALONE_MAX: usize = 8;

/// How often one job's end may be refused before it is given up: an unknown
/// error of a store may pass.
const REFUSALS_MAX: u32 = 4;

/// One attempt's end, waiting to be written.
pub(crate) struct Ending {
    settle: Settle,
    answer: oneshot::Sender<Settled>,
}

/// Takes attempts' ends.
#[derive(Clone)]
pub(crate) struct Settler(mpsc::Sender<Ending>);

impl Settler {
    pub(crate) fn new(shared: &Shared) -> (Self, mpsc::Receiver<Ending>) {
        let (sender, receiver) = mpsc::channel(shared.config.concurrency);
        (Self(sender), receiver)
    }

    /// Waits until the end is written. Nothing when it cannot be: the worker
    /// ended before, or the store refuses it.
    pub(crate) async fn settle(&self, settle: Settle) -> Option<Settled> {
        let (answer, written) = oneshot::channel();
        self.0.send(Ending { settle, answer }).await.ok()?;
        written.await.ok()
    }
}

/// Writes until the worker has ended.
pub(crate) async fn run(shared: Arc<Shared>, mut endings: mpsc::Receiver<Ending>) {
    let room = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
    let mut writes = JoinSet::new();
    loop {
        let Ok(place) = room.clone().acquire_owned().await else {
            return;
        };
        let mut batch = Vec::new();
        tokio::select! {
            () = shared.ended.cancelled() => break,
            count = endings.recv_many(&mut batch, limits::BATCH_MAX) => if count == 0 { break },
        }
        while writes.try_join_next().is_some() {}
        let shared = shared.clone();
        writes.spawn(async move {
            write(&shared, batch).await;
            drop(place);
        });
    }
    while writes.join_next().await.is_some() {}
}

/// Writes a batch. Where the store refuses it, its jobs are written one by
/// one, so that one that cannot be written keeps no other from its end.
async fn write(shared: &Shared, batch: Vec<Ending>) {
    let (settles, answers): (Vec<_>, Vec<_>) = batch
        .into_iter()
        .map(|ending| (ending.settle, ending.answer))
        .unzip();
    match send(shared, &settles, 1).await {
        Ok(settled) => {
            for (answer, settled) in answers.into_iter().zip(settled) {
                let _ = answer.send(settled);
            }
        }
        Err(Unsent::Ended) => {}
        Err(Unsent::Refused(error)) => {
            tracing::warn!(%error, jobs = settles.len(), "the store refuses to settle: one by one");
            let alone = stream::iter(settles.into_iter().zip(answers));
            let write = async |(settle, answer): (Settle, oneshot::Sender<Settled>)| {
                if let Some(settled) = write_alone(shared, settle).await {
                    let _ = answer.send(settled);
                }
            };
            alone.for_each_concurrent(ALONE_MAX, write).await;
        }
    }
}

/// Writes one end the store may refuse: as it is, else as a failure. Where
/// even that is refused, the job stays running until it is cancelled or this
/// worker ends; a sweep could write no more than this.
async fn write_alone(shared: &Shared, settle: Settle) -> Option<Settled> {
    let job = settle.lease.job;
    match send(shared, slice::from_ref(&settle), REFUSALS_MAX).await {
        Ok(settled) => return settled.first().copied(),
        Err(Unsent::Ended) => return None,
        Err(Unsent::Refused(error)) => {
            tracing::error!(%job, %error, "the store refuses how this attempt ended: the job fails");
        }
    }
    let error = JobError::permanent("settle_refused", "the store refused how the attempt ended");
    let now = shared.clock.now();
    let next = lifecycle::settle(&settle.job, &Outcome::GiveUp(error), now, 0.0);
    let failed = Settle { next, ..settle };
    match send(shared, slice::from_ref(&failed), REFUSALS_MAX).await {
        Ok(settled) => settled.first().copied(),
        Err(Unsent::Ended) => None,
        Err(Unsent::Refused(error)) => {
            tracing::error!(%job, %error, "the store refuses that the job failed, too: leaving it");
            None
        }
    }
}

/// Why settles were not written.
enum Unsent {
    /// The store will not take them.
    Refused(BrokerError),
    /// The worker ended first.
    Ended,
}

/// Sends until the store has answered, or refused this often: a paid result is
/// not dropped because the store blinked. Sending again is harmless (S2).
async fn send(
    shared: &Shared,
    settles: &[Settle],
    refusals_max: u32,
) -> Result<Vec<Settled>, Unsent> {
    let mut pauses = Pauses::new();
    let mut refusals = 0;
    loop {
        match shared.broker.settle(settles).await {
            Ok(settled) => return Ok(settled),
            Err(error) if error.is_transient() => {
                tracing::warn!(%error, jobs = settles.len(), "cannot settle; trying again");
            }
            Err(error) => {
                refusals += 1;
                if refusals >= refusals_max {
                    return Err(Unsent::Refused(error));
                }
            }
        }
        if pauses.wait(&shared.ended).await {
            return Err(Unsent::Ended);
        }
    }
}
