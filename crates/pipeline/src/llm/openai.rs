//! An OpenAI-compatible endpoint: OpenAI, Azure, Gemini, Anthropic, Ollama, vLLM and others.
//!
//! It has its own HTTP client: the operator chose the address, which may be
//! private, so the guard against addresses found in pages does not apply.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use lovage_workflow::limiter::{Limiter, Limits};
use rand::SeedableRng;
use rand::rngs::StdRng;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, redirect};
use serde_json::Value;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, timeout_at};
use url::Url;

use super::admission::{self, Expected, Gate, Place};
use super::incoming::{Incoming, network, too_slow};
use super::ladder::{self, Parameter, Shape};
use super::piece::Reply;
use super::relay::{Assembly, Relay};
use super::retry::{Decision, RetryPolicy, decide};
use super::{
    ChatRequest, ChatResponse, Llm, LlmError, LlmErrorKind, Price, Queued, Secret, Sink, Spent,
    estimate, wire,
};

/// Calls one worker has under way at a time, unless configured otherwise.
pub const CALLS_IN_FLIGHT: usize = 3;

/// Where and how to call a model.
#[derive(Debug, Clone)]
pub struct OpenAiConfig {
    /// Address up to and without `/chat/completions`, such as
    /// `https://api.openai.com/v1`. A slash at its end does no harm; a key has
    /// no place here.
    pub base_url: String,
    /// Key; local servers need none.
    pub api_key: Option<Secret>,
    /// Header that carries the key as it is (Azure: `api-key`). None sends
    /// `Authorization: Bearer`.
    pub key_header: Option<String>,
    /// Further query parameters, such as Azure's `api-version`. Secret because
    /// some providers take a key here.
    pub query: Vec<(String, Secret)>,
    /// Model, as the provider names it.
    pub model: String,
    /// Bound of connecting.
    pub connect_timeout: Duration,
    /// Bound of the silence before and inside a stream.
    pub idle_timeout: Duration,
    /// Bound of one try, the whole answer included.
    pub total_timeout: Duration,
    /// Bounds of the retries.
    pub retry: RetryPolicy,
}

impl OpenAiConfig {
    /// No key, 10 s to connect, 60 s of silence, 300 s in all, standard retries.
    pub fn new(base_url: impl Into<String>, model: impl Into<String>) -> OpenAiConfig {
        OpenAiConfig {
            base_url: base_url.into(),
            api_key: None,
            key_header: None,
            query: Vec::new(),
            model: model.into(),
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            total_timeout: Duration::from_secs(300),
            retry: RetryPolicy::STANDARD,
        }
    }
}

/// Why a configuration cannot be used. Never holds the address or the key.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Not a URL.
    #[error("base_url is not an address")]
    BaseUrl(#[source] url::ParseError),
    /// Another scheme, or a user name or password in the address.
    #[error("base_url has to be http or https, without a user name or password")]
    BaseUrlForm,
    /// A line break or the like in the key or in the name of its header.
    #[error("api_key or key_header cannot stand in an HTTP header")]
    KeyHeader,
    /// The TLS set-up failed.
    #[error("the HTTP client cannot be built")]
    Client(#[source] reqwest::Error),
}

/// A model behind an OpenAI-compatible endpoint.
///
/// Retries, waits, and steps down to what the model supports; what it learnt
/// about the model is kept for the life of this value. Cheap to share, and
/// meant to be: make one per configured model.
pub struct OpenAi {
    client: Client,
    endpoint: Url,
    config: OpenAiConfig,
    permits: Arc<Semaphore>,
    gate: Option<Gate>,
    shape: Mutex<Shape>,
    rng: Mutex<StdRng>,
}

/// The right to one call: a permit of this worker, and a place under the
/// limits of all, in the order in which they are given back.
struct Entry<'a> {
    place: Option<Place<'a>>,
    _permit: SemaphorePermit<'a>,
}

impl OpenAi {
    /// A client for one model.
    ///
    /// `permits` bounds the calls under way and is shared by all models of a
    /// worker ([`CALLS_IN_FLIGHT`]); a call holds a permit while it is
    /// held back by limits and to its last byte, not while it waits to try again. `seed` sets the jitter
    /// and has to differ between workers.
    ///
    /// # Panics
    /// When no rustls crypto provider has been installed.
    pub fn new(
        mut config: OpenAiConfig,
        permits: Arc<Semaphore>,
        seed: u64,
    ) -> Result<OpenAi, SetupError> {
        config.api_key = config.api_key.filter(|key| !key.expose().is_empty());
        let client = Client::builder()
            .user_agent(concat!("lovage/", env!("CARGO_PKG_VERSION")))
            .default_headers(key_header(&config)?)
            .connect_timeout(config.connect_timeout)
            // A redirect would carry the prompt and a custom key header elsewhere.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(SetupError::Client)?;
        Ok(OpenAi {
            client,
            endpoint: endpoint(&config)?,
            config,
            permits,
            gate: None,
            shape: Mutex::default(),
            rng: Mutex::new(StdRng::seed_from_u64(seed)),
        })
    }

    /// The same model, each call of which `limiter` admits under these limits
    /// of its provider, shared by all that ask the same limiter. `holder` names
    /// this process and is new at every start. A price makes costs known.
    ///
    /// # Panics
    /// Outside of a tokio runtime, which settles the calls that were dropped.
    #[must_use]
    pub fn admitted_by(
        mut self,
        limiter: Arc<dyn Limiter>,
        limits: Limits,
        price: Option<Price>,
        holder: String,
    ) -> OpenAi {
        let gate = Gate::new(limiter, self.name(), &self.config, limits, price, holder);
        self.gate = Some(gate);
        self
    }

    /// Tries until there is an answer or nothing left to try.
    async fn answer(
        &self,
        request: &ChatRequest,
        mut relay: Relay,
    ) -> Result<ChatResponse, LlmError> {
        let mut messages = ladder::conversation(request);
        let answer = estimate::answer_tokens(request);
        let mut spent = Spent::default();
        let mut corrected = false;
        let mut tries = 0;
        let mut elapsed = Duration::ZERO;
        loop {
            let shape = *lock(&self.shape);
            let model = &self.config.model;
            let body = wire::body(model, request, &messages, shape, relay.is_live());
            relay.reset();
            let prompt = estimate::conversation_tokens(&messages);
            let entry = self
                .enter(Expected { prompt, answer }, &relay, &mut spent.queued)
                .await;
            let entry = match entry {
                Ok(entry) => entry,
                Err(mut error) => {
                    *error.spent = spent;
                    return Err(error);
                }
            };
            let (outcome, took) = self.try_once(&body, &mut relay, entry).await;
            elapsed += took;
            let usage = outcome
                .as_ref()
                .map_or_else(|error| error.spent.usage, |reply| reply.usage);
            spent.add(1, usage);
            let outcome = outcome.and_then(|reply| accept(reply, request, spent));
            let mut error = match outcome {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            *error.spent = spent;
            if self.step_down(&error, shape, &body) {
                continue;
            }
            if error.kind == LlmErrorKind::BadOutput && !corrected {
                corrected = true;
                let answer = error.partial.as_deref().unwrap_or_default();
                ladder::correction(&mut messages, answer, &error.detail);
                continue;
            }
            if error.partial.is_some() && relay.keeps_partial() {
                return Err(error);
            }
            tries += 1;
            match self.decide(&error, tries, elapsed) {
                Decision::GiveUp => return Err(error),
                Decision::Park(wait) => {
                    error.retry_after = Some(wait);
                    return Err(error);
                }
                Decision::Retry(wait) => {
                    tracing::warn!(model, kind = %error.kind, tries, ?wait, "call failed, trying again");
                    sleep(wait).await;
                    elapsed += wait;
                }
            }
        }
    }

    /// Remembers a parameter the model refused; false when it was not sent, so
    /// that leaving it out would change nothing.
    fn step_down(&self, error: &LlmError, tried: Shape, body: &Value) -> bool {
        if error.kind != LlmErrorKind::Unsupported {
            return false;
        }
        let sent = |parameter: &Parameter| body.get(parameter.as_str()).is_some();
        let Some(refused) = Parameter::named_in(&error.detail).filter(sent) else {
            return false;
        };
        let mut shape = lock(&self.shape);
        *shape = shape.lowest(tried.without(refused));
        tracing::info!(
            model = self.config.model,
            refused = refused.as_str(),
            "parameter not supported"
        );
        true
    }

    fn decide(&self, error: &LlmError, tries: u32, elapsed: Duration) -> Decision {
        let rng = &mut *lock(&self.rng);
        decide(&self.config.retry, error, tries, elapsed, rng)
    }

    /// Waits for a permit of this worker, then for the limits that all share.
    async fn enter(
        &self,
        expected: Expected,
        relay: &Relay,
        queued: &mut Queued,
    ) -> Result<Entry<'_>, LlmError> {
        let Ok(permit) = self.permits.acquire().await else {
            let detail = "no more calls are made";
            return Err(LlmError::new(LlmErrorKind::BadRequest, detail));
        };
        let place = match &self.gate {
            None => None,
            Some(gate) => {
                let jitter = |part| admission::up_to(part, &mut *lock(&self.rng));
                Some(gate.admit(expected, relay, queued, jitter).await?)
            }
        };
        Ok(Entry {
            place,
            _permit: permit,
        })
    }

    /// One HTTP call, and how long it took: queueing behind other calls does
    /// not use up the time for retries.
    async fn try_once(
        &self,
        body: &Value,
        relay: &mut Relay,
        entry: Entry<'_>,
    ) -> (Result<Reply, LlmError>, Duration) {
        let began = Instant::now();
        let outcome = self.call(body, relay).await;
        let took = began.elapsed();
        if let Some(place) = entry.place {
            place.settle(&outcome).await;
        }
        (outcome, took)
    }

    /// One HTTP call, to the last byte.
    async fn call(&self, body: &Value, relay: &mut Relay) -> Result<Reply, LlmError> {
        let deadline = Instant::now() + self.config.total_timeout;
        let idle = if relay.is_live() {
            self.config.idle_timeout
        } else {
            self.config.total_timeout
        };
        let call = self.client.post(self.endpoint.clone()).json(body).send();
        let response = timeout_at(deadline.min(Instant::now() + idle), call)
            .await
            .map_err(|_| too_slow())?
            .map_err(network)?;
        if let Some(gate) = &self.gate {
            gate.observe(response.headers()).await;
        }
        let mut incoming = Incoming {
            response,
            deadline,
            idle,
            key: self.config.api_key.as_ref(),
        };
        if !incoming.response.status().is_success() {
            return Err(incoming.refusal().await);
        }
        let mut assembly = Assembly::default();
        let outcome = if relay.is_live() && !incoming.is_json() {
            incoming.read_stream(&mut assembly, relay).await
        } else {
            incoming.read_whole(&mut assembly, relay).await
        };
        assembly.conclude(outcome, relay)
    }
}

impl fmt::Debug for OpenAi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAi")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Llm for OpenAi {
    fn name(&self) -> &str {
        "openai"
    }

    fn model(&self) -> &str {
        &self.config.model
    }

    async fn complete(&self, request: &ChatRequest) -> Result<ChatResponse, LlmError> {
        self.answer(request, Relay::new(None)).await
    }

    async fn stream(
        &self,
        request: &ChatRequest,
        sink: Arc<dyn Sink>,
    ) -> Result<ChatResponse, LlmError> {
        self.answer(request, Relay::new(Some(sink))).await
    }
}

/// The response for a whole reply, if it is what was asked for.
fn accept(reply: Reply, request: &ChatRequest, spent: Spent) -> Result<ChatResponse, LlmError> {
    let text = match request.schema {
        None => reply.text,
        Some(_) => match ladder::extract_json(&reply.text) {
            Ok(json) => json.to_owned(),
            Err(error) => {
                let error = LlmError::new(LlmErrorKind::BadOutput, format!("not JSON: {error}"));
                return Err(reply.cut(error));
            }
        },
    };
    Ok(ChatResponse {
        text,
        usage: spent.usage,
        model: reply.model,
        calls: spent.calls,
        queued: spent.queued,
    })
}

fn endpoint(config: &OpenAiConfig) -> Result<Url, SetupError> {
    let mut url = Url::parse(&config.base_url).map_err(SetupError::BaseUrl)?;
    let plain = url.username().is_empty() && url.password().is_none();
    if !matches!(url.scheme(), "http" | "https") || !plain {
        return Err(SetupError::BaseUrlForm);
    }
    let path = format!("{}/chat/completions", url.path().trim_end_matches('/'));
    url.set_path(&path);
    for (name, value) in &config.query {
        url.query_pairs_mut().append_pair(name, value.expose());
    }
    Ok(url)
}

fn key_header(config: &OpenAiConfig) -> Result<HeaderMap, SetupError> {
    let mut headers = HeaderMap::new();
    if let Some(key) = &config.api_key {
        let (name, value) = match &config.key_header {
            Some(name) => (
                name.parse::<HeaderName>()
                    .map_err(|_| SetupError::KeyHeader)?,
                key.expose().to_owned(),
            ),
            None => (AUTHORIZATION, format!("Bearer {}", key.expose())),
        };
        let mut value = HeaderValue::try_from(value).map_err(|_| SetupError::KeyHeader)?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

/// Held for a few instructions, so a panic elsewhere leaves no half-written value.
fn lock<T>(value: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}
