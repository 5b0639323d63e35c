//! Jobs that go through a store while its servers are replaced.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lovage_broker_redis::RedisBroker;
use lovage_core::broker::Broker;
use lovage_core::id::{JobId, QueueName};
use lovage_core::status::Status;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::support::{LONG, enqueue, register, until_back, work_off};

/// A producer and a worker that run until they are told to stop.
pub(crate) struct Traffic {
    stop: Arc<AtomicBool>,
    producer: tokio::task::JoinHandle<BTreeSet<JobId>>,
    worker: tokio::task::JoinHandle<BTreeSet<JobId>>,
}

impl Traffic {
    /// Begins, and returns once the first job is done.
    pub(crate) async fn start(broker: &Arc<RedisBroker>, queue: &QueueName) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (begun, mut begins) = watch::channel(false);
        let producer = {
            let (broker, queue, stop) = (broker.clone(), queue.clone(), stop.clone());
            tokio::spawn(async move {
                let mut accepted = BTreeSet::new();
                while !stop.load(Ordering::Relaxed) {
                    accepted.insert(enqueue(&broker, &queue).await);
                }
                accepted
            })
        };
        let worker = {
            let (broker, queue, stop) = (broker.clone(), queue.clone(), stop.clone());
            tokio::spawn(async move {
                let mut done = BTreeSet::new();
                let worker = register(&broker, &queue).await;
                while !stop.load(Ordering::Relaxed) {
                    done.extend(work_off(&broker, &queue, worker).await);
                    begun.send_replace(!done.is_empty());
                }
                done
            })
        };
        let first = begins.wait_for(|begun| *begun);
        timeout(LONG, first).await.unwrap().unwrap();
        Self {
            stop,
            producer,
            worker,
        }
    }

    /// What was accepted and what was done when it was told to stop.
    pub(crate) async fn end(self) -> (BTreeSet<JobId>, BTreeSet<JobId>) {
        self.stop.store(true, Ordering::Relaxed);
        let accepted = timeout(LONG, self.producer).await.unwrap().unwrap();
        (accepted, timeout(LONG, self.worker).await.unwrap().unwrap())
    }
}

/// Every accepted job is in the store, and what was done stays done.
pub(crate) async fn nothing_is_lost(
    broker: &RedisBroker,
    queue: &QueueName,
    accepted: &BTreeSet<JobId>,
    done: &BTreeSet<JobId>,
) {
    let worker = register(broker, queue).await;
    while !work_off(broker, queue, worker).await.is_empty() {}
    for id in accepted {
        let job = until_back(|| broker.get(id)).await;
        let status = job.unwrap_or_else(|| panic!("{id} is lost")).status;
        let held = status == Status::Running && !done.contains(id);
        assert!(status == Status::Succeeded || held, "{id} is {status:?}");
    }
}
