//! From settings to the real parts: which store, which model, which sources.

use std::sync::Arc;
use std::time::Duration;

use lovage_api::{ApiConfig, FormatSpec, Image, OptionSpec, Render, Rendered, State};
use lovage_broker_redis::{RedisBroker, RedisConfig};
use lovage_broker_sqlite::{SqliteBroker, SqliteConfig};
use lovage_celery::Bridge;
use lovage_core::broker::Broker;
use lovage_core::cache::Cache;
use lovage_core::checkpoint::Checkpoint;
use lovage_core::clock::{Clock, SystemClock};
use lovage_core::id::{QueueName, WorkerId};
use lovage_core::limiter::Limiter;
use lovage_core::payload::Payload;
use lovage_pipeline::llm::{Llm, OpenAi, OpenAiConfig, Price, Taped};
use lovage_pipeline::net::{CachedFetch, TapedFetch};
use lovage_pipeline::news::Research;
use lovage_pipeline::render::Choice;
use lovage_pipeline::script::{Deps, Sharing, stored_image};
use lovage_pipeline::tape::Tape;
use lovage_pipeline::{Kinds, Rendering};
use lovage_worker::{Worker, WorkerConfig};
use lovage_workflow::Handlers;
use tokio::sync::Semaphore;

use crate::config::{LlmProvider, ResearchSource, Settings, Synchronous, VisionModel, masked};
use crate::exit::{self, Exit};
use crate::sources::{self, Doors};

/// The clock everything runs on.
pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

/// One store, as those that use it see it.
#[derive(Clone)]
pub(crate) struct Store {
    /// Keeps jobs.
    pub(crate) broker: Arc<dyn Broker>,
    /// Admits calls to providers.
    pub(crate) limiter: Arc<dyn Limiter>,
    /// Keeps what jobs share.
    pub(crate) cache: Arc<dyn Cache>,
}

impl Store {
    fn new<T: Broker + Limiter + Cache>(store: T) -> Self {
        let store = Arc::new(store);
        Self {
            broker: store.clone(),
            limiter: store.clone(),
            cache: store,
        }
    }
}

/// The store the settings name: Redis when there is a URL, else the embedded one.
pub(crate) async fn store(settings: &Settings) -> Result<Store, Exit> {
    if settings.store.url.expose().is_empty() {
        embedded(settings).await
    } else {
        redis(settings).await
    }
}

async fn redis(settings: &Settings) -> Result<Store, Exit> {
    let config = RedisConfig {
        prefix: settings.store.prefix.clone(),
        tls: settings.store.tls.clone(),
        sentinel_login: settings.store.sentinel_login.expose().to_owned(),
        wait_replicas: settings.store.wait_replicas,
        lease: settings.store.lease_s,
        cache_bytes_max: settings.cache.bytes_max,
        ..RedisConfig::new(settings.store.url.expose())
    };
    let broker = RedisBroker::connect(config)
        .await
        .map_err(|error| Exit::because("the Redis store cannot be used", &error))?;
    tracing::info!(prefix = settings.store.prefix, "the store is Redis");
    Ok(Store::new(broker))
}

/// The store in the data folder.
pub(crate) async fn embedded(settings: &Settings) -> Result<Store, Exit> {
    let folder = &settings.store.data;
    std::fs::create_dir_all(folder).map_err(|error| {
        Exit::new(
            exit::ERROR,
            format!("cannot make the folder {}: {error}", folder.display()),
        )
    })?;
    let config = SqliteConfig {
        lease: settings.store.lease_s,
        cache_bytes_max: settings.cache.bytes_max,
        synchronous: match settings.store.synchronous {
            Synchronous::Normal => lovage_broker_sqlite::Synchronous::Normal,
            Synchronous::Full => lovage_broker_sqlite::Synchronous::Full,
        },
        ..SqliteConfig::new(folder.join("lovage.db"))
    };
    let what = format!("the store in {} cannot be used", folder.display());
    let broker = SqliteBroker::open(config)
        .await
        .map_err(|error| Exit::because(&what, &error))?;
    tracing::info!(folder = %folder.display(), "the store is embedded; set REDIS_URL to share one");
    Ok(Store::new(broker))
}

/// What the script pipeline needs, as the settings say.
fn deps(settings: &Settings, store: &Store) -> Result<Deps, Exit> {
    let doors = doors(settings)?;
    let own = Arc::new(research(settings, doors.as_ref()));
    let wanted = &settings.cache;
    let sharing = wanted.enabled.then(|| {
        let cached = |fetch| {
            Arc::new(CachedFetch::new(
                fetch,
                store.cache.clone(),
                wanted.page_keep_s,
            )) as _
        };
        let doors = doors.map(|doors| doors.through(cached));
        Sharing {
            cache: store.cache.clone(),
            endpoint: settings.llm.base_url.clone(),
            llm_keep: wanted.llm_keep_s,
            research: Arc::new(research(settings, doors.as_ref()).mannered_as(&own)),
        }
    });
    let models = Models::new(settings, store);
    Ok(Deps {
        llm: models.writer()?,
        vision: models.vision()?,
        prices: settings.llm.prices,
        research: own,
        sharing,
    })
}

/// The same over a tape: recorded on it, or answered from it. Nothing is
/// shared: a recording is whole, and a replay asks nobody.
pub(crate) fn taped(settings: &Settings, store: &Store, tape: &Arc<Tape>) -> Result<Deps, Exit> {
    let models = Models::new(settings, store);
    let heard = |llm| Arc::new(Taped::new(llm, tape.clone())) as _;
    let taped = |fetch| Arc::new(TapedFetch::new(fetch, tape.clone(), masked)) as _;
    let doors = doors(settings)?.map(|doors| doors.through(taped));
    Ok(Deps {
        llm: models.writer()?.map(heard),
        vision: models.vision()?.map(heard),
        prices: settings.llm.prices,
        research: Arc::new(research(settings, doors.as_ref())),
        sharing: None,
    })
}

/// Longest call about images: a script can do without.
const VISION_TIMEOUT: Duration = Duration::from_secs(45);

/// The models of a worker: they share its calls in flight and the store's limits.
struct Models<'a> {
    settings: &'a Settings,
    permits: Arc<Semaphore>,
    limiter: Arc<dyn Limiter>,
}

impl<'a> Models<'a> {
    fn new(settings: &'a Settings, store: &Store) -> Self {
        Self {
            settings,
            permits: Arc::new(Semaphore::new(settings.llm.concurrency)),
            limiter: store.limiter.clone(),
        }
    }

    fn writer(&self) -> Result<Option<Arc<dyn Llm>>, Exit> {
        let llm = &self.settings.llm;
        self.open(&llm.model, llm.prices.writer, llm.timeout_s)
    }

    fn vision(&self) -> Result<Option<Arc<dyn Llm>>, Exit> {
        let llm = &self.settings.llm;
        let name = match &llm.vision_model {
            VisionModel::Off => return Ok(None),
            VisionModel::Same => &llm.model,
            VisionModel::Other(name) => name,
        };
        let timeout = llm.timeout_s.min(VISION_TIMEOUT);
        self.open(name, llm.prices.vision, timeout)
    }

    /// A model by its name; none where the settings ask for the offline writer.
    fn open(
        &self,
        name: &str,
        price: Option<Price>,
        timeout: Duration,
    ) -> Result<Option<Arc<dyn Llm>>, Exit> {
        let llm = &self.settings.llm;
        let named = !llm.api_key.expose().is_empty() || self.settings.is_set("llm.base_url");
        let wanted = match llm.provider {
            LlmProvider::Extractive => false,
            LlmProvider::Openai => true,
            LlmProvider::Auto => named,
        };
        if !wanted {
            return Ok(None);
        }
        let bearer = llm.key_header.eq_ignore_ascii_case("authorization");
        let config = OpenAiConfig {
            api_key: Some(lovage_pipeline::llm::Secret::new(llm.api_key.expose())),
            key_header: (!bearer).then(|| llm.key_header.clone()),
            idle_timeout: llm.idle_timeout_s.min(timeout),
            total_timeout: timeout,
            ..OpenAiConfig::new(&llm.base_url, name)
        };
        let seed = clock().now().as_nanosecond() as u64 ^ u64::from(std::process::id());
        let openai = OpenAi::new(config, self.permits.clone(), seed)
            .map_err(|error| Exit::because("llm settings", &error))?;
        let holder = WorkerId::at(clock().now()).to_string();
        let admitted = openai.admitted_by(self.limiter.clone(), llm.limits, price, holder);
        Ok(Some(Arc::new(admitted)))
    }
}

/// The doors to the network; none where the sample inside the program is read.
fn doors(settings: &Settings) -> Result<Option<Doors>, Exit> {
    let research = &settings.research;
    let live = match research.source {
        ResearchSource::Sample => false,
        ResearchSource::Live => true,
        ResearchSource::Auto => research.is_set_up(),
    };
    live.then(|| Doors::open(research)).transpose()
}

fn research(settings: &Settings, doors: Option<&Doors>) -> Research {
    let Some(doors) = doors else {
        return Research::sample();
    };
    let research = &settings.research;
    let sources = sources::asked(research, doors);
    Research::live(sources, doors.pages.clone()).with_host_gap(research.host_pause_ms)
}

/// A worker that knows every kind.
pub(crate) fn worker(
    settings: &Settings,
    store: &Store,
    queues: Vec<QueueName>,
) -> Result<Worker, Exit> {
    let handlers = kinds().handlers(&deps(settings, store)?);
    Ok(worker_with(settings, store, queues, handlers))
}

/// A worker that knows these handlers.
pub(crate) fn worker_with(
    settings: &Settings,
    store: &Store,
    queues: Vec<QueueName>,
    handlers: Handlers,
) -> Worker {
    let config = WorkerConfig {
        blocking_threads: settings.worker.blocking_threads,
        grace: settings.worker.grace_s,
        ..WorkerConfig::new(queues, settings.worker.concurrency)
    };
    Worker::new(store.broker.clone(), handlers, clock(), config)
}

/// The bridge to Celery, where the settings have one.
///
/// # Errors
/// A task that is mapped to a kind there is not.
pub(crate) fn bridge(settings: &Settings, store: &Store) -> Result<Option<Bridge>, Exit> {
    let Some(config) = settings.celery.bridge(settings.worker.concurrency) else {
        return Ok(None);
    };
    let kinds = kinds();
    let stray = config
        .tasks
        .iter()
        .find(|(_, mapping)| kinds.get(&mapping.kind).is_none());
    if let Some((task, mapping)) = stray {
        let message = format!(
            "celery.tasks: {task} is mapped to {}, which is no kind: see lovage kinds",
            mapping.kind
        );
        return Err(Exit::new(exit::USAGE, message));
    }
    Ok(Some(Bridge::new(
        config,
        store.broker.clone(),
        kinds.catalog(),
        clock(),
    )))
}

/// The API over a store.
pub(crate) fn api(settings: &Settings, store: Store) -> State {
    let config = ApiConfig {
        body_bytes_max: settings.api.body_bytes_max,
        keep: settings.store.keep_result_s,
        keep_dead: settings.store.keep_failed_s,
        ..ApiConfig::default()
    };
    let state = State::new(
        store.broker,
        Arc::new(kinds().priced(settings.llm.prices).catalog()),
        Arc::new(KindRender(kinds())),
        clock(),
        config,
    );
    state.with_limiter(store.limiter)
}

/// Every kind there is.
pub(crate) fn kinds() -> Kinds {
    Kinds::new(lovage_pipeline::standard())
}

/// Shows results in the formats that their kinds have.
pub(crate) struct KindRender(pub(crate) Kinds);

impl Render for KindRender {
    fn formats(&self, kind: &str) -> Vec<FormatSpec> {
        let entry = self.0.get(kind).into_iter();
        let renderings = entry.flat_map(|entry| &entry.renderings);
        renderings.map(spec).collect()
    }

    fn image(&self, checkpoints: &[Checkpoint], id: &str) -> Option<Image> {
        // The latest: a job that was run again under another recipe has stored it twice.
        let mut steps = checkpoints.iter().rev();
        let jpeg = steps.find_map(|one| stored_image(&one.step, &one.value, id))?;
        Some(Image {
            content_type: "image/jpeg",
            body: jpeg.into(),
        })
    }

    fn render(
        &self,
        kind: &str,
        result: &Payload,
        format: &str,
        options: &[(&str, &str)],
    ) -> Option<Result<Rendered, String>> {
        let rendering = self.0.rendering(kind, format)?;
        let shown = rendering.show(result, options);
        Some(shown.map(|body| Rendered {
            content_type: rendering.content_type.to_owned(),
            body,
        }))
    }
}

fn spec(rendering: &Rendering) -> FormatSpec {
    let option = |choice: &Choice| OptionSpec {
        name: choice.name,
        values: choice.values,
    };
    FormatSpec {
        name: rendering.format,
        options: rendering.options.iter().map(option).collect(),
    }
}
