//! A store whose clock follows tokio's, and workers on it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lovage_core::broker::{Broker, Enqueued};
use lovage_core::clock::Clock;
use lovage_core::id::{JobId, QueueName};
use lovage_core::job::{Job, NewJob};
use lovage_core::limits;
use lovage_core::payload::Payload;
use lovage_core::query::{Filter, Page, QueueStats};
use lovage_core::retry::Backoff;
use lovage_core::status::Status;
use lovage_tests::clock::ManualClock;
use lovage_tests::model::ModelBroker;
use lovage_worker::{Health, Worker, WorkerConfig, WorkerError};
use lovage_workflow::{BlockingContext, BlockingHandler, Context, Failure, Handler, Handlers};
use tokio::task::JoinHandle;
use tokio::time::{interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::link::Link;

/// Longest wait for something that is bound to happen.
pub(crate) const SOON: Duration = Duration::from_secs(120);

/// How exactly the store's clock follows tokio's.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Any time that needs no timer of the worker but the clock's own.
pub(crate) const AT_ONCE: Duration = Duration::from_millis(100);

/// A store, and the link to it.
pub(crate) struct World {
    pub(crate) store: ModelBroker,
    pub(crate) link: Arc<Link>,
    pub(crate) clock: ManualClock,
    time: JoinHandle<()>,
}

impl World {
    pub(crate) fn new() -> Self {
        let clock = ManualClock::default();
        let store = ModelBroker::new(clock.clone(), limits::LEASE);
        let moved = clock.clone();
        let time = tokio::spawn(async move {
            let mut ticks = interval(TICK);
            ticks.tick().await;
            loop {
                ticks.tick().await;
                moved.advance(TICK);
            }
        });
        Self {
            link: Arc::new(Link::new(store.clone())),
            store,
            clock,
            time,
        }
    }

    /// A worker with this many slots on the default queue, behind the link.
    pub(crate) fn worker(&self, slots: usize, handlers: Handlers) -> Running {
        self.worker_as(config(slots), handlers)
    }

    pub(crate) fn worker_as(&self, config: WorkerConfig, handlers: Handlers) -> Running {
        Running::start(self.link.clone(), handlers, self.clock.clone(), config)
    }

    /// A worker of another process: its link is never cut.
    pub(crate) fn other_worker(&self, slots: usize, handlers: Handlers) -> Running {
        let store = Arc::new(self.store.clone());
        Running::start(store, handlers, self.clock.clone(), config(slots))
    }

    /// A job of this kind that is retried at once, not yet in the store.
    pub(crate) fn job(&self, kind: &str) -> NewJob {
        let id = JobId::at(self.clock.now());
        NewJob {
            backoff: Backoff {
                base_ms: 0,
                cap_ms: 0,
            },
            ..NewJob::new(id, kind.parse().unwrap(), Payload::null())
        }
    }

    pub(crate) async fn enqueue(&self, job: NewJob) -> JobId {
        let id = job.id;
        let answers = self.store.enqueue(vec![job], false).await.unwrap();
        assert_eq!(answers, [Enqueued::Accepted(id)]);
        id
    }

    /// Enqueues a plain job of this kind.
    pub(crate) async fn add(&self, kind: &str) -> JobId {
        self.enqueue(self.job(kind)).await
    }

    /// Enqueues plain jobs of this kind, in one call.
    pub(crate) async fn add_many(&self, kind: &str, count: usize) -> Vec<JobId> {
        let jobs: Vec<NewJob> = (0..count).map(|_| self.job(kind)).collect();
        let ids = jobs.iter().map(|job| job.id).collect();
        self.store.enqueue(jobs, true).await.unwrap();
        ids
    }

    pub(crate) async fn get(&self, id: JobId) -> Job {
        self.store.get(&id).await.unwrap().expect("a known job")
    }

    /// Waits until a job's next event after which it is like this.
    pub(crate) async fn until(&self, id: JobId, like: impl Fn(&Job) -> bool) -> Job {
        let mut after = 0;
        let reached = async {
            loop {
                let job = self.get(id).await;
                if like(&job) {
                    return job;
                }
                let page = self.store.events(&id, after, limits::EVENT_PAGE_MAX, SOON);
                let page = page.await.unwrap().expect("a known job");
                after = page.events.last().map_or(after, |event| event.seq);
            }
        };
        match timeout(SOON, reached).await {
            Ok(job) => job,
            Err(_) => panic!("the job stays as it is: {:?}", self.get(id).await),
        }
    }

    /// Waits until a job is over.
    pub(crate) async fn ended(&self, id: JobId) -> Job {
        self.until(id, |job| job.status.is_final()).await
    }

    /// Waits until a job is over; it must have succeeded.
    pub(crate) async fn succeeded(&self, id: JobId) -> Job {
        let job = self.ended(id).await;
        assert_eq!(job.status, Status::Succeeded, "{:?}", job.error);
        job
    }

    /// The dead list: jobs that failed.
    pub(crate) async fn dead(&self) -> Vec<JobId> {
        let failed = Filter {
            states: vec![Status::Failed],
            ..Filter::default()
        };
        let page = Page {
            cursor: None,
            limit: limits::LIST_PAGE_MAX,
        };
        let page = self.store.list(&failed, &page).await.unwrap();
        page.jobs.iter().map(|job| job.id).collect()
    }

    /// What the default queue holds.
    pub(crate) async fn stats(&self) -> QueueStats {
        let rows = self.store.stats().await.unwrap();
        let mut rows = rows.into_iter();
        let row = rows.find(|row| row.queue == QueueName::default());
        row.unwrap_or_default()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.time.abort();
    }
}

/// The engine's usual settings, on the default queue.
pub(crate) fn config(slots: usize) -> WorkerConfig {
    WorkerConfig::new(vec![QueueName::default()], slots)
}

/// A worker at work.
pub(crate) struct Running {
    pub(crate) health: Health,
    stop: CancellationToken,
    task: JoinHandle<Result<(), WorkerError>>,
}

impl Running {
    pub(crate) fn start(
        broker: Arc<dyn Broker>,
        handlers: Handlers,
        clock: impl Clock,
        config: WorkerConfig,
    ) -> Self {
        let stop = CancellationToken::new();
        let worker = Worker::new(broker, handlers, Arc::new(clock), config);
        let health = worker.health();
        let task = tokio::spawn(worker.run(stop.clone().cancelled_owned()));
        Self { health, stop, task }
    }

    /// Begins to drain.
    pub(crate) fn drain(&self) {
        self.stop.cancel();
    }

    /// Waits until the worker has ended; how it did.
    pub(crate) async fn result(self) -> Result<(), WorkerError> {
        let ended = timeout(SOON, self.task).await.expect("the worker ends");
        ended.unwrap()
    }

    /// Waits until the worker has ended; it must have been by request.
    pub(crate) async fn ended(self) {
        self.result().await.unwrap();
    }

    /// Drains, and waits until the worker has ended.
    pub(crate) async fn stop(self) {
        self.drain();
        self.ended().await;
    }

    /// Drops the worker as it is.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let ended = self.task.await;
        assert!(ended.is_err_and(|error| error.is_cancelled()));
    }

    pub(crate) fn is_running(&self) -> bool {
        !self.task.is_finished()
    }
}

struct Function<F>(F);

#[async_trait]
impl<F, R> Handler for Function<F>
where
    F: Fn(Context) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Payload, Failure>> + Send + 'static,
{
    async fn run(&self, context: Context) -> Result<Payload, Failure> {
        (self.0)(context).await
    }
}

/// An async function as a handler.
pub(crate) fn handler<F, R>(run: F) -> impl Handler
where
    F: Fn(Context) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Payload, Failure>> + Send + 'static,
{
    Function(run)
}

struct BlockingFunction<F>(F);

impl<F> BlockingHandler for BlockingFunction<F>
where
    F: Fn(BlockingContext) -> Result<Payload, Failure> + Send + Sync + 'static,
{
    fn run(&self, context: BlockingContext) -> Result<Payload, Failure> {
        (self.0)(context)
    }
}

/// A function as a blocking handler.
pub(crate) fn blocking<F>(run: F) -> impl BlockingHandler
where
    F: Fn(BlockingContext) -> Result<Payload, Failure> + Send + Sync + 'static,
{
    BlockingFunction(run)
}

/// Handlers with one that ends at once, for kind `quick`.
pub(crate) fn quick() -> Handlers {
    Handlers::new().with("quick", handler(async |_| Ok(Payload::null())))
}
