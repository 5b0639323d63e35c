//! What every request works with.

use std::sync::Arc;

use lovage_core::broker::Broker;
use lovage_core::catalog::Catalog;
use lovage_core::checkpoint::Checkpoint;
use lovage_core::clock::Clock;
use lovage_core::payload::Payload;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::config::ApiConfig;
use crate::error::ApiError;

/// A result in a format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// Media type of the body, such as `text/markdown; charset=utf-8`.
    pub content_type: String,
    /// The result.
    pub body: Vec<u8>,
}

/// Shows results in other formats than the `json` every kind has.
pub trait Render: Send + Sync + 'static {
    /// The formats of a kind's results besides `json`.
    fn formats(&self, kind: &str) -> Vec<&'static str>;

    /// The result in `format`, one of [`Self::formats`]; nothing for another one.
    /// May take its time: it is called off the async loop.
    ///
    /// # Errors
    /// A sentence for the log when the result cannot be shown so.
    fn render(
        &self,
        kind: &str,
        result: &Payload,
        format: &str,
    ) -> Option<Result<Rendered, String>>;

    /// The image `id` among what a job's steps stored; nothing where there is none.
    /// May take its time, too. The body is sent as an image, so its maker has to
    /// have drawn it: never hand through what a stranger wrote.
    fn image(&self, checkpoints: &[Checkpoint], id: &str) -> Option<Rendered> {
        let _ = (checkpoints, id);
        None
    }
}

/// Says whether a part of the process can do its work; if not, why, for a person.
pub(crate) type Probe = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// What the interface serves. Cloning shares it.
#[derive(Clone)]
pub struct State {
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) renderer: Arc<dyn Render>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) config: Arc<ApiConfig>,
    pub(crate) draining: CancellationToken,
    pub(crate) probes: Vec<(&'static str, Probe)>,
    watchers: Arc<Semaphore>,
}

impl State {
    /// An interface to `broker` that accepts the kinds of `catalog`.
    pub fn new(
        broker: Arc<dyn Broker>,
        catalog: Arc<Catalog>,
        renderer: Arc<dyn Render>,
        clock: Arc<dyn Clock>,
        config: ApiConfig,
    ) -> Self {
        Self {
            broker,
            catalog,
            renderer,
            clock,
            watchers: Arc::new(Semaphore::new(config.watchers_max)),
            config: Arc::new(config),
            draining: CancellationToken::new(),
            probes: Vec::new(),
        }
    }

    /// The same interface, ready only while `probe` says so of `component`
    /// (a worker in the same process, say).
    #[must_use]
    pub fn with_probe(
        mut self,
        component: &'static str,
        probe: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.probes.push((component, Arc::new(probe)));
        self
    }

    /// Cancelled when the drain begins; whoever cancels it begins the drain:
    /// `/readyz` says 503, no job is taken any more, streams and long-polls end.
    pub fn draining(&self) -> CancellationToken {
        self.draining.clone()
    }

    /// The right to keep one wait open in the store.
    pub(crate) fn watch(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        Arc::clone(&self.watchers)
            .try_acquire_owned()
            .map_err(|_| ApiError::Busy)
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("broker", &self.broker.name())
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
