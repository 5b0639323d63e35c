//! One store per case on servers that many cases share, and short words for jobs.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lovage_broker_redis::{RedisBroker, RedisConfig};
use lovage_core::broker::{Broker, Claim, Enqueued, Settle, Settled};
use lovage_core::clock::{Clock, SystemClock};
use lovage_core::error::BrokerError;
use lovage_core::id::{JobId, QueueName, WorkerId};
use lovage_core::job::NewJob;
use lovage_core::lifecycle;
use lovage_core::outcome::Outcome;
use lovage_core::payload::Payload;
use lovage_tests::clock::ManualClock;
use lovage_tests::harness::Harness;
use tokio::time::timeout;

const LEASE: Duration = Duration::from_secs(10);
/// Longest wait for what is bound to happen, a failover included.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// An empty store: keys under a prefix that no other case has.
pub(crate) async fn fresh(config: RedisConfig) -> Harness {
    static CASES: AtomicUsize = AtomicUsize::new(0);
    let clock = ManualClock::default();
    let config = RedisConfig {
        prefix: format!("lovage:{}", CASES.fetch_add(1, Ordering::Relaxed)),
        lease: LEASE,
        clock: Some(Arc::new(clock.clone())),
        restart_grace: false,
        ..config
    };
    let open = move || {
        let config = config.clone();
        async move { connect(config).await as Arc<dyn Broker> }
    };
    Harness::new(open().await, clock, LEASE).reopening(open)
}

pub(crate) async fn connect(config: RedisConfig) -> Arc<RedisBroker> {
    let broker = RedisBroker::connect(config).await;
    Arc::new(broker.expect("the servers are fit"))
}

pub(crate) fn queue(name: &str) -> QueueName {
    name.parse().unwrap()
}

pub(crate) fn job(queue: &QueueName) -> NewJob {
    let kind = "test.noop".parse().unwrap();
    let mut job = NewJob::new(JobId::at(SystemClock.now()), kind, Payload::null());
    job.queue = queue.clone();
    job
}

/// Sends a call again, as callers do, while the store cannot be reached or is being replaced.
pub(crate) async fn until_back<T, F>(call: impl Fn() -> F) -> T
where
    F: Future<Output = Result<T, BrokerError>>,
{
    let trying = async {
        loop {
            match call().await {
                Ok(answer) => return answer,
                Err(error) if error.is_transient() => tokio::task::yield_now().await,
                Err(error) => panic!("{error:?}"),
            }
        }
    };
    timeout(LONG, trying).await.expect("the store is back")
}

/// Enqueues one job, however often it takes.
pub(crate) async fn enqueue(broker: &RedisBroker, queue: &QueueName) -> JobId {
    let job = job(queue);
    let id = job.id;
    let answers = until_back(|| broker.enqueue(vec![job.clone()], false)).await;
    assert_eq!(answers, [Enqueued::Accepted(id)]);
    id
}

pub(crate) async fn register(broker: &RedisBroker, queue: &QueueName) -> WorkerId {
    let worker = WorkerId::at(SystemClock.now());
    until_back(|| broker.register(queue, &worker)).await;
    worker
}

/// Claims what there is and settles it; the ids that were done.
pub(crate) async fn work_off(
    broker: &RedisBroker,
    queue: &QueueName,
    worker: WorkerId,
) -> Vec<JobId> {
    let ask = Claim {
        worker,
        queue: queue.clone(),
        want: 100,
    };
    let claimed = until_back(|| broker.claim(&ask)).await.claimed;
    let done = Outcome::Done(Payload::null());
    let settles: Vec<Settle> = claimed
        .into_iter()
        .map(|claimed| Settle {
            next: lifecycle::settle(&claimed.job, &done, SystemClock.now(), 0.5),
            lease: claimed.lease,
            job: claimed.job,
        })
        .collect();
    let settled = until_back(|| broker.settle(&settles)).await;
    let done = settles.iter().zip(settled);
    done.filter(|(_, settled)| *settled == Settled::Done)
        .map(|(settle, _)| settle.job.id)
        .collect()
}
