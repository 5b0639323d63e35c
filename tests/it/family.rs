//! A job that spawns jobs, joins them and waits for a signal, on the real stores
//! and with a worker that has one slot.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use lovage_broker_redis::{RedisBroker, RedisConfig};
use lovage_broker_sqlite::{SqliteBroker, SqliteConfig};
use lovage_core::broker::{Broker, SignalReply};
use lovage_core::clock::{Clock, SystemClock};
use lovage_core::id::{JobId, QueueName};
use lovage_core::job::{Job, NewJob};
use lovage_core::limits;
use lovage_core::status::{Join, Status, WaitReason};
use lovage_tests::redis::RedisServer;
use lovage_worker::{Worker, WorkerConfig};
use lovage_workflow::{Context, Failure, Handler, Handlers, NewChild, Payload};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Longest wait for something that is bound to happen.
const SOON: Duration = Duration::from_secs(60);

/// Joins three children, then gives what they gave with what it is told.
#[derive(Clone, Default)]
struct Parent(Arc<AtomicU32>);

#[async_trait]
impl Handler for Parent {
    async fn run(&self, context: Context) -> Result<Payload, Failure> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let children = (0..3).map(|place: u32| NewChild::new("child", &place));
        let children = children.collect::<Result<Vec<_>, _>>()?;
        let results = context
            .children("all", children, Join::FirstFailure)
            .await?;
        let results: Vec<Payload> = results.into_iter().collect::<Result<_, _>>()?;
        let said: Option<String> = context.signal("approval", SOON).await?;
        context.done(&(results, said))
    }
}

/// Gives ten times its place.
struct Child;

#[async_trait]
impl Handler for Child {
    async fn run(&self, context: Context) -> Result<Payload, Failure> {
        context.done(&(context.input::<u32>()? * 10))
    }
}

/// Waits until the job is like this, by its events.
async fn until(broker: &dyn Broker, id: JobId, like: impl Fn(&Job) -> bool) -> Job {
    let reached = async {
        let mut after = 0;
        loop {
            let job = broker.get(&id).await.unwrap().expect("a known job");
            if like(&job) {
                return job;
            }
            let page = broker
                .events(&id, after, limits::EVENT_PAGE_MAX, SOON)
                .await;
            let page = page.unwrap().expect("a known job");
            after = page.events.last().map_or(after, |event| event.seq);
        }
    };
    timeout(SOON, reached).await.expect("the job gets there")
}

async fn family(broker: Arc<dyn Broker>) {
    let parent = Parent::default();
    let handlers = Handlers::new()
        .with("parent", parent.clone())
        .with("child", Child);
    let config = WorkerConfig::new(vec![QueueName::default()], 1);
    let worker = Worker::new(broker.clone(), handlers, Arc::new(SystemClock), config);
    let stop = CancellationToken::new();
    let working = tokio::spawn(worker.run(stop.clone().cancelled_owned()));

    let id = JobId::at(SystemClock.now());
    let job = NewJob {
        attempts_max: 1,
        ..NewJob::new(id, "parent".parse().unwrap(), Payload::null())
    };
    broker.enqueue(vec![job], false).await.unwrap();
    let approval = WaitReason::Signal("approval".to_owned());
    let waits = |job: &Job| {
        let waiting = job.waiting.as_ref();
        waiting.is_some_and(|waiting| waiting.reason == approval)
    };
    until(&*broker, id, waits).await;
    for child in broker.children(&id).await.unwrap() {
        let child = broker.get(&child.id).await.unwrap().expect("it is kept");
        assert_eq!((child.status, child.parent), (Status::Succeeded, Some(id)));
    }
    let yes = Payload::of(&"yes").unwrap();
    let told = broker.signal(&id, "approval", &yes).await.unwrap();
    assert_eq!(told, SignalReply::Delivered);
    let over = until(&*broker, id, |job| job.status.is_final()).await;
    assert_eq!(
        over.result.expect("it succeeded").as_str(),
        r#"[[0,10,20],"yes"]"#
    );
    // Spawned; joined, and waited; told.
    assert_eq!((over.attempt, parent.0.load(Ordering::SeqCst)), (1, 3));
    stop.cancel();
    working.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_family_of_jobs_shares_one_slot_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let config = SqliteConfig::new(folder.path().join("jobs.db"));
    let broker = SqliteBroker::open(config).await.unwrap();
    family(Arc::new(broker)).await;
}

#[tokio::test]
async fn a_family_of_jobs_shares_one_slot_on_redis() {
    if !RedisServer::available() {
        return;
    }
    let server = RedisServer::start().await;
    let broker = RedisBroker::connect(RedisConfig::new(server.url())).await;
    family(Arc::new(broker.unwrap())).await;
}
