//! From settings to the real parts: which store, which model, which sources.

use std::sync::Arc;
use std::time::Duration;

use lovage_api::{ApiConfig, Render, Rendered, State};
use lovage_broker_redis::{RedisBroker, RedisConfig};
use lovage_broker_sqlite::{SqliteBroker, SqliteConfig};
use lovage_core::broker::Broker;
use lovage_core::checkpoint::Checkpoint;
use lovage_core::clock::{Clock, SystemClock};
use lovage_core::id::QueueName;
use lovage_core::payload::Payload;
use lovage_pipeline::Kinds;
use lovage_pipeline::llm::{Llm, OpenAi, OpenAiConfig};
use lovage_pipeline::net::{ClientSettings, GuardedClient};
use lovage_pipeline::news::Research;
use lovage_pipeline::script::{Deps, stored_image};
use lovage_worker::{Worker, WorkerConfig};
use tokio::sync::Semaphore;
use url::Url;

use crate::config::{LlmProvider, ResearchSource, Settings, Synchronous, VisionModel};
use crate::exit::{self, Exit};

/// The clock everything runs on.
pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

/// The store the settings name: Redis when there is a URL, else the embedded one.
pub(crate) async fn broker(settings: &Settings) -> Result<Arc<dyn Broker>, Exit> {
    if settings.store.url.expose().is_empty() {
        embedded(settings).await
    } else {
        redis(settings).await
    }
}

async fn redis(settings: &Settings) -> Result<Arc<dyn Broker>, Exit> {
    let config = RedisConfig {
        prefix: settings.store.prefix.clone(),
        tls: settings.store.tls.clone(),
        sentinel_login: settings.store.sentinel_login.expose().to_owned(),
        wait_replicas: settings.store.wait_replicas,
        lease: settings.store.lease_s,
        ..RedisConfig::new(settings.store.url.expose())
    };
    let broker = RedisBroker::connect(config)
        .await
        .map_err(|error| Exit::because("the Redis store cannot be used", &error))?;
    tracing::info!(prefix = settings.store.prefix, "the store is Redis");
    Ok(Arc::new(broker))
}

/// The store in the data folder.
pub(crate) async fn embedded(settings: &Settings) -> Result<Arc<dyn Broker>, Exit> {
    let folder = &settings.store.data;
    std::fs::create_dir_all(folder).map_err(|error| {
        Exit::new(
            exit::ERROR,
            format!("cannot make the folder {}: {error}", folder.display()),
        )
    })?;
    let config = SqliteConfig {
        lease: settings.store.lease_s,
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
pub(crate) fn deps(settings: &Settings) -> Result<Deps, Exit> {
    let permits = Arc::new(Semaphore::new(settings.llm.concurrency));
    Ok(Deps {
        llm: llm(settings, &permits)?,
        vision: vision(settings, &permits)?,
        research: Arc::new(research(settings)?),
    })
}

/// Longest call about images: a script can do without.
const VISION_TIMEOUT: Duration = Duration::from_secs(45);

fn vision(settings: &Settings, permits: &Arc<Semaphore>) -> Result<Option<Arc<dyn Llm>>, Exit> {
    let llm = &settings.llm;
    match &llm.vision_model {
        VisionModel::Off => Ok(None),
        VisionModel::Same => model(
            settings,
            &llm.model,
            llm.timeout_s.min(VISION_TIMEOUT),
            permits,
        ),
        VisionModel::Other(name) => {
            model(settings, name, llm.timeout_s.min(VISION_TIMEOUT), permits)
        }
    }
}

fn llm(settings: &Settings, permits: &Arc<Semaphore>) -> Result<Option<Arc<dyn Llm>>, Exit> {
    model(
        settings,
        &settings.llm.model,
        settings.llm.timeout_s,
        permits,
    )
}

fn model(
    settings: &Settings,
    name: &str,
    timeout: Duration,
    permits: &Arc<Semaphore>,
) -> Result<Option<Arc<dyn Llm>>, Exit> {
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
        idle_timeout: llm.idle_timeout_s.min(timeout),
        total_timeout: timeout,
        ..OpenAiConfig::new(&llm.base_url, name)
    };
    let seed = clock().now().as_nanosecond() as u64 ^ u64::from(std::process::id());
    let openai = OpenAi::new(config, permits.clone(), seed)
        .map_err(|error| Exit::because("llm settings", &error))?;
    Ok(Some(Arc::new(openai)))
}

fn research(settings: &Settings) -> Result<Research, Exit> {
    let research = &settings.research;
    let live = match research.source {
        ResearchSource::Sample => false,
        ResearchSource::Live => true,
        ResearchSource::Auto => !research.feeds.is_empty(),
    };
    if !live {
        return Ok(Research::sample());
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
    let feeds: Vec<Url> = research.feeds.clone();
    Ok(Research::live(feeds, Arc::new(fetch)).with_host_gap(research.host_pause_ms))
}

/// A worker that knows every kind.
pub(crate) fn worker(
    settings: &Settings,
    broker: Arc<dyn Broker>,
    queues: Vec<QueueName>,
) -> Result<Worker, Exit> {
    let config = WorkerConfig {
        blocking_threads: settings.worker.blocking_threads,
        grace: settings.worker.grace_s,
        ..WorkerConfig::new(queues, settings.worker.concurrency)
    };
    Ok(Worker::new(
        broker,
        kinds().handlers(&deps(settings)?),
        clock(),
        config,
    ))
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

    fn image(&self, checkpoints: &[Checkpoint], id: &str) -> Option<Rendered> {
        // The latest: a job that was run again under another recipe has stored it twice.
        let mut steps = checkpoints.iter().rev();
        let jpeg = steps.find_map(|one| stored_image(&one.step, &one.value, id))?;
        Some(Rendered {
            content_type: "image/jpeg".to_owned(),
            body: jpeg.into(),
        })
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
