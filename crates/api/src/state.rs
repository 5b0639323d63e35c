//! What every request works with.

use std::sync::Arc;

use lovage_core::broker::Broker;
use lovage_core::catalog::Catalog;
use lovage_core::clock::Clock;
use lovage_core::limiter::{Limiter, MemoryLimiter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::config::ApiConfig;
use crate::error::ApiError;
use crate::render::Render;

/// Says whether a part of the process can do its work; if not, why, for a person.
pub(crate) type Probe = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// What the interface serves. Cloning shares it.
#[derive(Clone)]
pub struct State {
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) limiter: Arc<dyn Limiter>,
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
            limiter: Arc::new(MemoryLimiter::new(Arc::clone(&clock))),
            catalog,
            renderer,
            clock,
            watchers: Arc::new(Semaphore::new(config.watchers_max)),
            config: Arc::new(config),
            draining: CancellationToken::new(),
            probes: Vec::new(),
        }
    }

    /// The same interface, showing the limits of `limiter`; without one there are none.
    #[must_use]
    pub fn with_limiter(mut self, limiter: Arc<dyn Limiter>) -> Self {
        self.limiter = limiter;
        self
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
