//! Writes how attempts ended, in batches: what ends during one write goes into the next.

use std::sync::Arc;

use lovage_core::broker::{Settle, Settled};
use lovage_core::limits;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;

use crate::pause::Pauses;
use crate::worker::Shared;

/// Batches under way at once.
const IN_FLIGHT_MAX: usize = 4;

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
        let (sender, receiver) = mpsc::channel(shared.config.concurrency.max(1));
        (Self(sender), receiver)
    }

    /// Waits until the end is written. Nothing when the worker ended before.
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
    writes.join_all().await;
}

/// Writes a batch, trying again until the store has answered: a paid result is
/// not dropped because the store blinked. Sending again is harmless (S2).
async fn write(shared: &Shared, batch: Vec<Ending>) {
    let (settles, answers): (Vec<_>, Vec<_>) = batch
        .into_iter()
        .map(|end| (end.settle, end.answer))
        .unzip();
    let mut pauses = Pauses::new();
    loop {
        match shared.broker.settle(&settles).await {
            Ok(settled) => {
                for (answer, settled) in answers.into_iter().zip(settled) {
                    let _ = answer.send(settled);
                }
                return;
            }
            Err(error) => {
                tracing::warn!(%error, jobs = settles.len(), "cannot settle; trying again");
                if pauses.wait(&shared.ended).await {
                    return;
                }
            }
        }
    }
}
