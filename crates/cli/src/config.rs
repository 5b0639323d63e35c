//! Settings: what each key must be, and how the keys relate.
//!
//! The defaults are `config/lovage.toml`, built into the program, and are what
//! every part is given. Whoever holds a [`Settings`] holds
//! values that were checked.

mod celery;
mod error;
mod layers;
mod read;
mod secret;
pub(crate) mod source;
mod suggest;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lovage_broker_redis::{Tls, is_address as is_redis};
use lovage_core::id::QueueName;
use lovage_core::limiter::Limits;
use lovage_core::limits;
use lovage_pipeline::llm::Price;
use lovage_pipeline::script::Prices;
use tracing_subscriber::EnvFilter;
use url::Url;

pub(crate) use celery::Celery;
pub(crate) use error::ConfigError;
use layers::Layers;
pub(crate) use secret::{Secret, masked};

/// Sections that decide what a job does, and not where and how fast.
const RECORDED: [&str; 2] = ["llm", "research"];
/// The file that is read when no other was named.
const FILE: &str = "lovage.toml";
/// Two extensions may be lost before a live worker is declared dead.
const LEASE_S_MIN: u64 = limits::HEARTBEAT.as_secs() * 3;
/// More replicas than anybody has.
const WAIT_REPLICAS_MAX: u32 = 16;
/// A store that holds so much besides jobs wants to be a store of its own.
const CACHE_BYTES_MAX: u64 = 64 << 30;
/// More requests or tokens per minute than any provider gives.
const LIMIT_MAX: u64 = 10_000_000_000;
const BUDGET_USD_MAX: f64 = 1_000_000.0;
const PRICE_USD_MAX: f64 = 100_000.0;
const HOUR_S: u64 = 3600;
const YEAR_S: u64 = 366 * 24 * HOUR_S;

/// Where values may come from, beside the defaults. Later fields win.
#[derive(Default)]
pub(crate) struct Sources {
    /// The file that was asked for. None: `lovage.toml` in the working folder, if there is one.
    pub(crate) file: Option<PathBuf>,
    /// The environment: `LOVAGE__WORKER__CONCURRENCY`, its `…_FILE` form, and the aliases.
    pub(crate) env: BTreeMap<String, String>,
    /// What a recorded run was given: it stands for all that the layers before
    /// say in [`RECORDED`] sections.
    pub(crate) recorded: Option<Vec<(String, toml::Value)>>,
    /// Flags, by the dotted key they set.
    pub(crate) flags: Vec<(String, toml::Value)>,
}

impl Sources {
    /// This process's environment, with the file and the flags of its command line.
    ///
    /// # Errors
    ///
    /// [`ConfigError::NotUtf8`] for one of our variables; others may hold what they like.
    pub(crate) fn of_process(
        file: Option<PathBuf>,
        flags: Vec<(String, toml::Value)>,
    ) -> Result<Self, ConfigError> {
        let mut env = BTreeMap::new();
        for (name, value) in std::env::vars_os() {
            let Some(variable) = name.into_string().ok().filter(|name| layers::reads(name)) else {
                continue;
            };
            match value.into_string() {
                Ok(value) => env.insert(variable, value),
                Err(_) => return Err(ConfigError::NotUtf8 { variable }),
            };
        }
        Ok(Self {
            file,
            env,
            recorded: None,
            flags,
        })
    }
}

/// Every setting, checked.
pub(crate) struct Settings {
    /// Where jobs are kept.
    pub(crate) store: Store,
    /// The HTTP side.
    pub(crate) api: Api,
    /// The worker.
    pub(crate) worker: Worker,
    /// The language model.
    pub(crate) llm: Llm,
    /// News research.
    pub(crate) research: Research,
    /// What jobs share.
    pub(crate) cache: Cache,
    /// The bridge to Celery.
    pub(crate) celery: Celery,
    /// Logs.
    pub(crate) log: Log,
    layers: Layers,
}

// As it is shown: a derived one would print the passwords of addresses.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.show())
    }
}

impl Settings {
    /// The defaults, then the file, then the environment, then the flags.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, with the place it came from: a file that
    /// cannot be read, a key that does not exist, a value out of its bounds.
    pub(crate) fn load(sources: Sources) -> Result<Self, ConfigError> {
        Self::load_with(sources, Path::new(FILE))
    }

    fn load_with(sources: Sources, fallback: &Path) -> Result<Self, ConfigError> {
        let mut layers = Layers::defaults()?;
        match &sources.file {
            Some(file) => layers.apply_file(file)?,
            None => layers.apply_file_if_there(fallback)?,
        }
        layers.apply_env(&sources.env)?;
        if let Some(recorded) = sources.recorded {
            RECORDED.iter().for_each(|section| layers.reset(section));
            for (key, value) in recorded {
                layers.apply_flag(&key, value)?;
            }
        }
        for (key, value) in sources.flags {
            layers.apply_flag(&key, value)?;
        }
        Ok(Self {
            store: Store::read(&layers)?,
            api: Api::read(&layers)?,
            worker: Worker::read(&layers)?,
            llm: Llm::read(&layers)?,
            research: Research::read(&layers)?,
            cache: Cache::read(&layers)?,
            celery: Celery::read(&layers)?,
            log: Log::read(&layers)?,
            layers,
        })
    }

    /// The effective settings as TOML, in the order of the defaults file.
    ///
    /// Secrets and passwords are masked; a value that is not the default says
    /// in a comment where it came from.
    pub(crate) fn show(&self) -> String {
        self.layers.show()
    }

    /// What was given in the sections that decide what a job does, to be
    /// written into a recording: without secrets, which are marked as given.
    pub(crate) fn recorded(&self) -> Vec<(String, toml::Value)> {
        self.layers.recorded(&RECORDED)
    }

    /// Whether somebody gave `key` (such as `llm.base_url`) a value, even its default.
    ///
    /// # Panics
    ///
    /// When there is no such key.
    pub(crate) fn is_set(&self, key: &str) -> bool {
        self.layers.is_set(key)
    }
}

/// Where jobs are kept.
pub(crate) struct Store {
    /// Address of the store; empty for the embedded one in `data`.
    pub(crate) url: Secret,
    /// Folder of the embedded store.
    pub(crate) data: PathBuf,
    /// First part of every Redis key.
    pub(crate) prefix: String,
    /// Whom to trust and who we are, when Redis is reached by TLS.
    pub(crate) tls: Tls,
    /// What the sentinels themselves ask for.
    pub(crate) sentinel_login: Secret,
    /// Redis replicas that must have what counts as stored.
    pub(crate) wait_replicas: u32,
    /// How long a worker may be silent before it loses its jobs.
    pub(crate) lease_s: Duration,
    /// How long results are kept.
    pub(crate) keep_result_s: Duration,
    /// How long failed jobs are kept for a retry.
    pub(crate) keep_failed_s: Duration,
    /// How soon SQLite's writes reach the disk.
    pub(crate) synchronous: Synchronous,
}

/// How soon SQLite's writes reach the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Synchronous {
    /// A committed write survives a crash of the process.
    Normal,
    /// A committed write survives a power cut too.
    Full,
}

impl Store {
    fn read(from: &Layers) -> Result<Self, ConfigError> {
        Ok(Self {
            url: from.parsed(
                "store.url",
                "an address such as \"redis://user:password@host:6379/0\", \"redis-cluster://host,host\" or \
                 \"redis-sentinel://host,host/master\", or \"\" for the embedded store",
                |text| (text.is_empty() || is_redis(text)).then(|| Secret::new(text)),
            )?,
            data: from.parsed("store.data", "a folder", |text| {
                (!text.is_empty()).then(|| PathBuf::from(text))
            })?,
            // A brace would move Redis Cluster's hash tag.
            prefix: from.parsed(
                "store.prefix",
                "1 to 64 letters, digits, '.', '_', '-' or ':'",
                |text| is_word(text, "._-:").then(|| text.to_owned()),
            )?,
            tls: read_tls(from)?,
            sentinel_login: Secret::new(from.text("store.sentinel_login")?),
            wait_replicas: from.whole("store.wait_replicas", 0..=WAIT_REPLICAS_MAX)?,
            lease_s: from.seconds("store.lease_s", LEASE_S_MIN..=HOUR_S)?,
            keep_result_s: from.seconds("store.keep_result_s", 1..=10 * YEAR_S)?,
            keep_failed_s: from.seconds("store.keep_failed_s", 1..=10 * YEAR_S)?,
            synchronous: from.one_of(
                "store.synchronous",
                &[("normal", Synchronous::Normal), ("full", Synchronous::Full)],
            )?,
        })
    }
}

/// The HTTP side.
pub(crate) struct Api {
    /// Address to listen on.
    pub(crate) listen: SocketAddr,
    /// Largest request body, in bytes.
    pub(crate) body_bytes_max: usize,
    /// Whether to listen beyond loopback although there are no keys.
    pub(crate) insecure: bool,
}

impl Api {
    fn read(from: &Layers) -> Result<Self, ConfigError> {
        Ok(Self {
            listen: from.parsed(
                "api.listen",
                "an IP address and a port, such as \"127.0.0.1:8080\"",
                |text| text.parse().ok(),
            )?,
            body_bytes_max: from.whole("api.body_bytes_max", 1 << 10..=64 << 20)?,
            insecure: from.flag("api.insecure")?,
        })
    }
}

/// The worker.
pub(crate) struct Worker {
    /// Queues to take jobs from; never empty, none twice.
    pub(crate) queues: Vec<String>,
    /// Jobs held at once.
    pub(crate) concurrency: usize,
    /// Threads for handlers that block.
    pub(crate) blocking_threads: usize,
    /// On a stop signal, how long running jobs may go on.
    pub(crate) grace_s: Duration,
}

impl Worker {
    fn read(from: &Layers) -> Result<Self, ConfigError> {
        let queues = from.list(
            "worker.queues",
            "a list of queue names (1 to 64 of a-z, 0-9, '.', '_', '-')",
            |text| text.parse::<QueueName>().is_ok().then(|| text.to_owned()),
        )?;
        let different = queues.iter().collect::<BTreeSet<_>>().len();
        if different != queues.len() || !(1..=limits::QUEUES_MAX).contains(&different) {
            let expected = format!("a list of 1 to {} different queues", limits::QUEUES_MAX);
            return Err(from.invalid("worker.queues", expected));
        }
        Ok(Self {
            queues,
            concurrency: from.whole("worker.concurrency", 1..=10_000)?,
            blocking_threads: from.whole("worker.blocking_threads", 1..=512)?,
            grace_s: from.seconds("worker.grace_s", 0..=HOUR_S)?,
        })
    }
}

/// The language model.
pub(crate) struct Llm {
    /// Who answers.
    pub(crate) provider: LlmProvider,
    /// Address of the OpenAI-compatible endpoint.
    pub(crate) base_url: String,
    /// Key for it; empty when there is none.
    pub(crate) api_key: Secret,
    /// Header that carries the key.
    pub(crate) key_header: String,
    /// Model to ask for.
    pub(crate) model: String,
    /// Model that looks at images.
    pub(crate) vision_model: VisionModel,
    /// Calls in flight at once in one worker.
    pub(crate) concurrency: usize,
    /// Longest time of one call.
    pub(crate) timeout_s: Duration,
    /// Longest silence inside a streamed answer; at most `timeout_s`.
    pub(crate) idle_timeout_s: Duration,
    /// What the provider allows all workers together.
    pub(crate) limits: Limits,
    /// What tokens of the two models cost, where it is known.
    pub(crate) prices: Prices,
}

/// Who looks at images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum VisionModel {
    /// The model that writes.
    Same,
    /// Nobody.
    Off,
    /// Another model at the same address.
    Other(String),
}

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LlmProvider {
    /// The endpoint when a key or an address was given, else the program itself.
    Auto,
    /// The program itself, from the sources alone.
    Extractive,
    /// An OpenAI-compatible endpoint.
    Openai,
}

impl Llm {
    fn read(from: &Layers) -> Result<Self, ConfigError> {
        let timeout_s = from.seconds("llm.timeout_s", 1..=HOUR_S)?;
        let idle_timeout_s = from.seconds("llm.idle_timeout_s", 1..=HOUR_S)?;
        if idle_timeout_s > timeout_s {
            let expected = format!("at most llm.timeout_s, which is {}", timeout_s.as_secs());
            return Err(from.invalid("llm.idle_timeout_s", expected));
        }
        let model = from.parsed("llm.model", "the name of a model", |text| {
            (!text.is_empty()).then(|| text.to_owned())
        })?;
        let vision_model = match from.text("llm.vision_model")? {
            "off" => VisionModel::Off,
            other if other.is_empty() || other == model => VisionModel::Same,
            other => VisionModel::Other(other.to_owned()),
        };
        let (limits, prices) = (read_limits(from)?, read_prices(from, &vision_model)?);
        for (price, settings) in [
            (prices.writer, "llm.price_in and llm.price_out"),
            (
                prices.vision,
                "llm.vision_price_in and llm.vision_price_out",
            ),
        ] {
            if limits.budget_usd.is_some() && price.is_none() {
                let expected =
                    format!("\"\" while {settings} are not set: what a call costs must be known");
                return Err(from.invalid("llm.budget_usd_day", expected));
            }
        }
        Ok(Self {
            limits,
            prices,
            provider: from.one_of(
                "llm.provider",
                &[
                    ("auto", LlmProvider::Auto),
                    ("extractive", LlmProvider::Extractive),
                    ("openai", LlmProvider::Openai),
                ],
            )?,
            base_url: from.parsed("llm.base_url", "an http or https address", |text| {
                web_address(text).map(|_| text.to_owned())
            })?,
            api_key: Secret::new(from.text("llm.api_key")?),
            key_header: from.parsed("llm.key_header", "the name of an HTTP header", |text| {
                is_word(text, "_-").then(|| text.to_ascii_lowercase())
            })?,
            model,
            vision_model,
            concurrency: from.whole("llm.concurrency", 1..=1_000)?,
            timeout_s,
            idle_timeout_s,
        })
    }
}

/// Limits of all workers; 0 and "" are none.
fn read_limits(from: &Layers) -> Result<Limits, ConfigError> {
    let count = |key: &str| {
        let number = from.whole(key, 0..=LIMIT_MAX)?;
        Ok((number > 0).then_some(number))
    };
    Ok(Limits {
        rpm: count("llm.rpm")?,
        tpm: count("llm.tpm")?,
        concurrency: count("llm.concurrency_all")?,
        budget_usd: from.dollars("llm.budget_usd_day", BUDGET_USD_MAX)?,
    })
}

/// What both models cost; one that does both costs the same for both.
fn read_prices(from: &Layers, vision: &VisionModel) -> Result<Prices, ConfigError> {
    let writer = read_price(from, ["llm.price_in", "llm.price_out", "llm.price_cached"])?;
    let own = [
        "llm.vision_price_in",
        "llm.vision_price_out",
        "llm.vision_price_cached",
    ];
    let vision = match (vision, read_price(from, own)?) {
        (VisionModel::Other(_), price) => price,
        (VisionModel::Same, Some(_)) => {
            let expected = "\"\" while llm.vision_model names no model of its own";
            return Err(from.invalid(own[0], expected));
        }
        (VisionModel::Same | VisionModel::Off, _) => writer,
    };
    Ok(Prices { writer, vision })
}

/// A price is known whole or not at all.
fn read_price(
    from: &Layers,
    [input, output, cached]: [&str; 3],
) -> Result<Option<Price>, ConfigError> {
    let price = |key: &str| from.dollars(key, PRICE_USD_MAX);
    let from_cache = price(cached)?;
    match (price(input)?, price(output)?) {
        (Some(input), Some(output)) => Ok(Some(Price {
            input,
            output,
            cached: from_cache,
        })),
        (None, None) if from_cache.is_none() => Ok(None),
        (None, _) => Err(from.invalid(input, "set together with the other prices")),
        (_, None) => Err(from.invalid(output, "set together with the other prices")),
    }
}

/// News research.
pub(crate) struct Research {
    /// Where articles come from.
    pub(crate) source: ResearchSource,
    /// Feeds to search.
    pub(crate) feeds: Vec<Url>,
    /// Every service there is, set up or not.
    pub(crate) services: Vec<source::Service>,
    /// Downloads in flight at once in one worker.
    pub(crate) concurrency: usize,
    /// Pause between two requests to one host.
    pub(crate) host_pause_ms: Duration,
    /// `host:port` of machines whose feeds may be read though their address is private.
    pub(crate) trusted_hosts: Vec<String>,
    /// What sites are told of who runs this.
    pub(crate) contact: String,
}

/// Where articles come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResearchSource {
    /// The web when feeds, a key or an address of a service are set, else the sample.
    Auto,
    /// The fictional articles inside the program.
    Sample,
    /// The feeds and services.
    Live,
}

impl Research {
    /// Whether anything is set that only live research needs.
    pub(crate) fn is_set_up(&self) -> bool {
        !self.feeds.is_empty() || self.services.iter().any(source::Service::is_set_up)
    }

    fn read(from: &Layers) -> Result<Self, ConfigError> {
        let feeds = from.list(
            "research.feeds",
            "a list of http or https addresses",
            web_address,
        )?;
        let source = from.one_of(
            "research.source",
            &[
                ("auto", ResearchSource::Auto),
                ("sample", ResearchSource::Sample),
                ("live", ResearchSource::Live),
            ],
        )?;
        let services = source::read(from)?;
        let any = !feeds.is_empty() || services.iter().any(source::Service::is_asked);
        if source == ResearchSource::Live && !any {
            let expected = "\"auto\" or \"sample\" while there are no feeds and no services";
            return Err(from.invalid("research.source", expected));
        }
        Ok(Self {
            source,
            feeds,
            services,
            concurrency: from.whole("research.concurrency", 1..=1_000)?,
            host_pause_ms: from.milliseconds("research.host_pause_ms", 0..=60_000)?,
            contact: from.parsed(
                "research.contact",
                "an address or mailbox in ASCII",
                |text| {
                    (text.is_ascii() && !text.contains(char::is_control)).then(|| text.to_owned())
                },
            )?,
            trusted_hosts: from.list(
                "research.trusted_hosts",
                "a list of \"host:port\"",
                |text| is_host_and_port(text).then(|| text.to_owned()),
            )?,
        })
    }
}

/// What jobs share.
pub(crate) struct Cache {
    /// Whether they share anything.
    pub(crate) enabled: bool,
    /// How long a model's answer is kept.
    pub(crate) llm_keep_s: Duration,
    /// How long a page is kept.
    pub(crate) page_keep_s: Duration,
    /// Bytes of everything kept.
    pub(crate) bytes_max: u64,
}

impl Cache {
    fn read(from: &Layers) -> Result<Self, ConfigError> {
        Ok(Self {
            enabled: from.flag("cache.enabled")?,
            llm_keep_s: from.seconds("cache.llm_keep_s", 0..=YEAR_S)?,
            page_keep_s: from.seconds("cache.page_keep_s", 0..=YEAR_S)?,
            bytes_max: from.whole("cache.bytes_max", 0..=CACHE_BYTES_MAX)?,
        })
    }
}

/// Logs.
pub(crate) struct Log {
    /// A tracing filter.
    pub(crate) filter: String,
    /// Whether somebody asked for this filter, or it is the default.
    pub(crate) filter_is_set: bool,
    /// How a line looks.
    pub(crate) format: Format,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Text,
    /// One object per line.
    Json,
}

impl Log {
    fn read(from: &Layers) -> Result<Self, ConfigError> {
        Ok(Self {
            filter: from.parsed(
                "log.filter",
                "a tracing filter such as \"info\" or \"lovage=debug,warn\"",
                |text| EnvFilter::try_new(text).ok().map(|_| text.to_owned()),
            )?,
            filter_is_set: from.is_set("log.filter"),
            format: from.one_of(
                "log.format",
                &[
                    ("auto", Format::Auto),
                    ("text", Format::Text),
                    ("json", Format::Json),
                ],
            )?,
        })
    }
}

fn is_word(text: &str, also: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || also.contains(c))
}

/// A certificate is shown with its key or not at all.
fn read_tls(from: &Layers) -> Result<Tls, ConfigError> {
    let file = |key| {
        let path = from.text(key)?;
        Ok((!path.is_empty()).then(|| PathBuf::from(path)))
    };
    let ca = file("store.tls_ca")?;
    let client = match (file("store.tls_cert")?, file("store.tls_key")?) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) => {
            return Err(from.invalid("store.tls_cert", "empty, or with store.tls_key beside it"));
        }
        (None, Some(_)) => {
            return Err(from.invalid("store.tls_key", "empty, or with store.tls_cert beside it"));
        }
    };
    Ok(Tls { ca, client })
}

fn web_address(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    matches!(url.scheme(), "http" | "https").then_some(url)
}

fn is_host_and_port(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        url::Host::parse(host).is_ok() && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}
