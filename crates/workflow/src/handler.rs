//! What runs an attempt.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use lovage_core::clock::Clock;
use lovage_core::payload::Payload;

use crate::context::{BlockingContext, Context};
use crate::error::Failure;

/// Runs attempts of one kind of job without blocking the thread.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Runs one attempt; dropped at any await when it is told to stop and does not.
    async fn run(&self, context: Context) -> Result<Payload, Failure>;
}

/// Runs attempts of one kind of job on a thread of its own.
pub trait BlockingHandler: Send + Sync + 'static {
    /// Runs one attempt. Should look at [`BlockingContext::is_stopped`] now and
    /// then: a thread cannot be stopped from outside.
    fn run(&self, context: BlockingContext) -> Result<Payload, Failure>;
}

/// A handler at the time of another clock.
struct At<H: ?Sized> {
    clock: Arc<dyn Clock>,
    handler: Arc<H>,
}

#[async_trait]
impl Handler for At<dyn Handler> {
    async fn run(&self, context: Context) -> Result<Payload, Failure> {
        self.handler
            .run(context.with_clock(self.clock.clone()))
            .await
    }
}

impl BlockingHandler for At<dyn BlockingHandler> {
    fn run(&self, context: BlockingContext) -> Result<Payload, Failure> {
        self.handler.run(context.with_clock(self.clock.clone()))
    }
}

/// How a kind's handler is run.
#[derive(Clone)]
pub enum Runner {
    /// On the async loop.
    Async(Arc<dyn Handler>),
    /// On the sized pool of blocking threads.
    Blocking(Arc<dyn BlockingHandler>),
}

/// The handlers of a system, by kind.
#[derive(Clone, Default)]
pub struct Handlers(BTreeMap<String, Runner>);

impl Handlers {
    /// No handlers.
    pub fn new() -> Self {
        Self::default()
    }

    /// With an async handler for `kind`.
    #[must_use]
    pub fn with(self, kind: &str, handler: impl Handler) -> Self {
        self.with_shared(kind, Arc::new(handler))
    }

    /// With an async handler for `kind` that others may hold too.
    #[must_use]
    pub fn with_shared(mut self, kind: &str, handler: Arc<dyn Handler>) -> Self {
        self.0.insert(kind.to_owned(), Runner::Async(handler));
        self
    }

    /// With a blocking handler for `kind`, run on the pool of threads.
    #[must_use]
    pub fn with_blocking(mut self, kind: &str, handler: impl BlockingHandler) -> Self {
        self.0
            .insert(kind.to_owned(), Runner::Blocking(Arc::new(handler)));
        self
    }

    /// The same handlers, each at the time of `clock`: a run that is played
    /// again is played at the time it was.
    #[must_use]
    pub fn at(self, clock: &Arc<dyn Clock>) -> Self {
        let at = |(kind, runner)| {
            let clock = clock.clone();
            let runner = match runner {
                Runner::Async(handler) => Runner::Async(Arc::new(At { clock, handler })),
                Runner::Blocking(handler) => Runner::Blocking(Arc::new(At { clock, handler })),
            };
            (kind, runner)
        };
        Self(self.0.into_iter().map(at).collect())
    }

    /// The handler of `kind`.
    pub fn get(&self, kind: &str) -> Option<&Runner> {
        self.0.get(kind)
    }
}
