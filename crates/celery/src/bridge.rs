//! The bridge as a whole: its tasks, their start and their end.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lovage_core::broker::Broker;
use lovage_core::catalog::Catalog;
use lovage_core::clock::Clock;
use lovage_core::id::{InvalidId, QueueName};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::backend::Backend;
use crate::canvas::Canvas;
use crate::config::CeleryConfig;
use crate::control::obey;
use crate::events::{Events, tell_all};
use crate::intake::take_all;
use crate::notice::Notices;
use crate::open::Open;
use crate::patience::Patience;
use crate::queues::Queues;
use crate::restore::restore;
use crate::revoked::Revoked;
use crate::transport::{RENEW_EVERY, Transport};

/// How often abandoned messages are looked for, at the rarest.
const RESTORE_EVERY: Duration = Duration::from_secs(5);
/// How often at the most, however short the visibility timeout.
const RESTORE_PAUSE: Duration = Duration::from_millis(100);

/// The bridge to Celery.
pub struct Bridge {
    config: CeleryConfig,
    broker: Arc<dyn Broker>,
    catalog: Catalog,
    clock: Arc<dyn Clock>,
}

/// Why a bridge cannot be, or ended.
#[derive(Debug, thiserror::Error)]
pub enum BridgeError {
    /// Another form of address.
    #[error(
        "the address of Celery's server cannot be read: expected \
         redis://[user:password@]host[:port][/db], rediss:// for TLS, or redis+unix:///path"
    )]
    Address,
    /// The files of the TLS settings; says which and why.
    #[error("the TLS files cannot be used: {0}")]
    Tls(String),
    /// A queue of Celery whose name is none here.
    #[error(transparent)]
    Queue(#[from] InvalidId),
    /// Celery's server cannot be reached, or refuses.
    #[error("Celery's server does not do as asked")]
    Redis(#[from] redis::RedisError),
    /// A part of the bridge broke off.
    #[error("a part of the bridge broke off")]
    Broken(#[from] JoinError),
}

/// What all parts of a bridge use.
pub(crate) struct Parts {
    pub(crate) config: Arc<CeleryConfig>,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) catalog: Catalog,
    pub(crate) canvas: Canvas,
    pub(crate) revoked: Revoked,
    /// What is taken and not over.
    pub(crate) open: Open,
    pub(crate) queues: Queues,
    pub(crate) notices: Notices,
    pub(crate) events: Events,
    /// When this bridge began.
    pub(crate) since: Timestamp,
    /// With the server of Celery's queues.
    pub(crate) celery: Patience,
    /// With the server of Celery's results.
    pub(crate) results: Patience,
    /// With the store of jobs.
    pub(crate) store: Patience,
    pub(crate) stop: CancellationToken,
}

impl Bridge {
    /// A bridge from the queues of `config` to the kinds of `catalog` in the store `broker`.
    pub fn new(
        config: CeleryConfig,
        broker: Arc<dyn Broker>,
        catalog: Catalog,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            config,
            broker,
            catalog,
            clock,
        }
    }

    /// Takes messages and answers their producers until `stop`; then leaves what
    /// is not over to the other bridges, at once. Servers that go away are waited for.
    ///
    /// # Errors
    /// A setting that cannot be used, and a server of Celery that cannot be reached
    /// when it begins.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) -> Result<(), BridgeError> {
        let parts = Arc::new(self.parts()?);
        parts.canvas.transport.ping().await?;
        parts.canvas.backend.ping().await?;
        let mut tasks = JoinSet::new();
        tasks.spawn(tell_all(parts.clone(), parts.notices.listen()));
        tasks.spawn(obey(parts.clone()));
        tasks.spawn(take_all(parts.clone()));
        tasks.spawn(renew(parts.clone()));
        tasks.spawn(restore_abandoned(parts.clone()));
        let broken = tokio::select! {
            () = stop => None,
            Some(ended) = tasks.join_next() => ended.err(),
        };
        parts.stop.cancel();
        while let Some(ended) = tasks.join_next().await {
            ended?;
        }
        broken.map_or(Ok(()), |error| Err(error.into()))
    }

    fn parts(self) -> Result<Parts, BridgeError> {
        for queue in &self.config.queues {
            queue.parse::<QueueName>()?;
        }
        let transport = Transport::open(&self.config)?;
        let backend = Backend::open(&self.config, self.clock.clone())?;
        let config = Arc::new(self.config);
        let stop = CancellationToken::new();
        let patience = |server| Patience::new(server, stop.clone());
        Ok(Parts {
            broker: self.broker,
            catalog: self.catalog,
            revoked: Revoked::new(&transport, self.clock.clone()),
            open: Open::default(),
            queues: Queues::new(config.queues.clone()),
            notices: Notices::new(),
            events: Events::new(config.task_events),
            since: self.clock.now(),
            celery: patience("Celery's broker"),
            results: patience("Celery's result backend"),
            store: patience("the store of jobs"),
            canvas: Canvas {
                transport,
                backend,
                config: config.clone(),
                clock: self.clock,
            },
            config,
            stop,
        })
    }
}

/// Says again and again that this bridge lives, and which queues it takes from.
async fn renew(parts: Arc<Parts>) {
    let transport = &parts.canvas.transport;
    let mut ticks = ticks(RENEW_EVERY);
    while goes_on(&parts, &mut ticks).await {
        let entries = parts.open.entries();
        parts.celery.insist(|| transport.renew(&entries)).await;
        // A full server refuses it; messages are taken from it none the less.
        if let Err(error) = transport.declare(&parts.queues.names()).await {
            tracing::debug!(%error, "queues are not declared");
        }
    }
}

/// Gives back what Celery workers took before they died.
async fn restore_abandoned(parts: Arc<Parts>) {
    let canvas = &parts.canvas;
    let visibility = parts.config.visibility_timeout;
    let mut ticks = ticks(RESTORE_EVERY.min(visibility / 3).max(RESTORE_PAUSE));
    while goes_on(&parts, &mut ticks).await {
        let now = canvas.clock.now();
        let restored = parts
            .celery
            .insist(|| restore(&canvas.transport, visibility, now));
        if let Some(restored @ 1..) = restored.await {
            tracing::info!(restored, "messages of dead Celery workers go out again");
        }
    }
}

fn ticks(every: Duration) -> Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Waits for the next time; not so when the bridge stops.
async fn goes_on(parts: &Parts, ticks: &mut Interval) -> bool {
    tokio::select! {
        _ = ticks.tick() => true,
        () = parts.stop.cancelled() => false,
    }
}
