//! From settings to the real parts: which store, which model, which sources.

use std::sync::Arc;

use lovage_api::{ApiConfig, Render, Rendered, State};
use lovage_broker_redis::{RedisBroker, RedisConfig};
use lovage_broker_sqlite::{SqliteBroker, SqliteConfig};
use lovage_core::broker::Broker;
use lovage_core::cache::Cache;
use lovage_core::clock::{Clock, SystemClock};
use lovage_core::id::QueueName;
use lovage_core::payload::Payload;
use lovage_pipeline::Kinds;
use lovage_pipeline::llm::{Llm, OpenAi, OpenAiConfig, Taped};
use lovage_pipeline::net::{CachedFetch, ClientSettings, Fetch, GuardedClient, TapedFetch};
use lovage_pipeline::news::Research;
use lovage_pipeline::script::{Deps, Sharing};
use lovage_pipeline::tape::Tape;
use lovage_worker::{Worker, WorkerConfig};
use lovage_workflow::Handlers;
use tokio::sync::Semaphore;
use url::Url;

use crate::config::{LlmProvider, ResearchSource, Settings, Synchronous, masked};
use crate::exit::{self, Exit};

/// The clock everything runs on.
pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

/// All that a store does.
pub(crate) trait Store: Broker + Cache {}

impl<S: Broker + Cache> Store for S {}

/// The store the settings name: Redis when there is a URL, else the embedded one.
pub(crate) async fn broker(settings: &Settings) -> Result<Arc<dyn Store>, Exit> {
    if settings.store.url.expose().is_empty() {
        embedded(settings).await
    } else {
        redis(settings).await
    }
}

async fn redis(settings: &Settings) -> Result<Arc<dyn Store>, Exit> {
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
    Ok(Arc::new(broker))
}

/// The store in the data folder.
pub(crate) async fn embedded(settings: &Settings) -> Result<Arc<dyn Store>, Exit> {
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
    Ok(Arc::new(broker))
}

/// What the script pipeline needs, as the settings say.
fn deps(settings: &Settings, cache: Arc<dyn Cache>) -> Result<Deps, Exit> {
    let fetch = fetch(settings)?;
    let research = Arc::new(research(settings, fetch.clone()));
    let cached = &settings.cache;
    let sharing = cached.enabled.then(|| Sharing {
        endpoint: settings.llm.base_url.clone(),
        llm_keep: cached.llm_keep_s,
        research: match fetch {
            Some(fetch) => {
                let fetch = CachedFetch::new(fetch, cache.clone(), cached.page_keep_s);
                Arc::new(self::research(settings, Some(Arc::new(fetch))).mannered_as(&research))
            }
            None => research.clone(),
        },
        cache,
    });
    Ok(Deps {
        llm: llm(settings)?,
        research,
        sharing,
    })
}

/// The same over a tape: recorded on it, or answered from it. Nothing is
/// shared: a recording is whole, and a replay asks nobody.
pub(crate) fn taped(settings: &Settings, tape: &Arc<Tape>) -> Result<Deps, Exit> {
    let llm = llm(settings)?;
    let fetch = fetch(settings)?;
    let fetch = fetch.map(|fetch| Arc::new(TapedFetch::new(fetch, tape.clone(), masked)) as _);
    Ok(Deps {
        llm: llm.map(|llm| Arc::new(Taped::new(llm, tape.clone())) as _),
        research: Arc::new(research(settings, fetch)),
        sharing: None,
    })
}

fn llm(settings: &Settings) -> Result<Option<Arc<dyn Llm>>, Exit> {
    let llm = &settings.llm;
    let named = !llm.api_key.expose().is_empty() || settings.is_set("llm.base_url");
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
        idle_timeout: llm.idle_timeout_s,
        total_timeout: llm.timeout_s,
        ..OpenAiConfig::new(&llm.base_url, &llm.model)
    };
    let permits = Arc::new(Semaphore::new(llm.concurrency));
    let seed = clock().now().as_nanosecond() as u64 ^ u64::from(std::process::id());
    let openai = OpenAi::new(config, permits, seed)
        .map_err(|error| Exit::because("llm settings", &error))?;
    Ok(Some(Arc::new(openai)))
}

/// The door to the network; none where the sample inside the program is read.
fn fetch(settings: &Settings) -> Result<Option<Arc<dyn Fetch>>, Exit> {
    let research = &settings.research;
    let live = match research.source {
        ResearchSource::Sample => false,
        ResearchSource::Live => true,
        ResearchSource::Auto => !research.feeds.is_empty(),
    };
    if !live {
        return Ok(None);
    }
    if research.contact.is_empty() {
        let why = "research.contact must be set for live research: an address or mailbox for the owners of the sites";
        return Err(Exit::new(exit::USAGE, why));
    }
    let client = ClientSettings {
        trusted_hosts: research.trusted_hosts.clone(),
        downloads: research.concurrency,
        ..ClientSettings::new(&research.contact)
    };
    let fetch =
        GuardedClient::new(&client).map_err(|error| Exit::because("research settings", &error))?;
    Ok(Some(Arc::new(fetch)))
}

fn research(settings: &Settings, fetch: Option<Arc<dyn Fetch>>) -> Research {
    let Some(fetch) = fetch else {
        return Research::sample();
    };
    let feeds: Vec<Url> = settings.research.feeds.clone();
    Research::live(feeds, fetch).with_host_gap(settings.research.host_pause_ms)
}

/// A worker that knows every kind.
pub(crate) fn worker(
    settings: &Settings,
    store: Arc<dyn Store>,
    queues: Vec<QueueName>,
) -> Result<Worker, Exit> {
    let handlers = kinds().handlers(&deps(settings, store.clone())?);
    Ok(worker_with(settings, store, queues, handlers))
}

/// A worker that knows these handlers.
pub(crate) fn worker_with(
    settings: &Settings,
    broker: Arc<dyn Broker>,
    queues: Vec<QueueName>,
    handlers: Handlers,
) -> Worker {
    let config = WorkerConfig {
        blocking_threads: settings.worker.blocking_threads,
        grace: settings.worker.grace_s,
        ..WorkerConfig::new(queues, settings.worker.concurrency)
    };
    Worker::new(broker, handlers, clock(), config)
}

/// The API over a store.
pub(crate) fn api(settings: &Settings, broker: Arc<dyn Broker>) -> State {
    let config = ApiConfig {
        body_bytes_max: settings.api.body_bytes_max,
        keep: settings.store.keep_result_s,
        keep_dead: settings.store.keep_failed_s,
        ..ApiConfig::default()
    };
    State::new(
        broker,
        Arc::new(kinds().catalog()),
        Arc::new(KindRender(kinds())),
        clock(),
        config,
    )
}

/// Every kind there is.
pub(crate) fn kinds() -> Kinds {
    Kinds::new(lovage_pipeline::standard())
}

/// Renders results as their kinds say.
pub(crate) struct KindRender(pub(crate) Kinds);

impl Render for KindRender {
    fn formats(&self, kind: &str) -> Vec<&'static str> {
        let entry = self.0.get(kind).into_iter();
        let renderings = entry.flat_map(|entry| &entry.renderings);
        renderings.map(|rendering| rendering.format).collect()
    }

    fn render(
        &self,
        kind: &str,
        result: &Payload,
        format: &str,
    ) -> Option<Result<Rendered, String>> {
        let rendering = self.0.rendering(kind, format)?;
        let shown = rendering.show(result);
        Some(shown.map(|body| Rendered {
            content_type: rendering.content_type.to_owned(),
            body: body.into_bytes(),
        }))
    }
}
