//! A server on a free port, and callers.

use std::sync::Arc;
use std::time::Duration;

use lovage_api::{ApiConfig, FormatSpec, Image, OptionSpec, Render, Rendered, State, serve};
use lovage_client::Client;
use lovage_client::wire::{EnqueueRequest, JobView, Problem};
use lovage_core::broker::{Broker, Claimed};
use lovage_core::catalog::{Catalog, InputError, KindSpec};
use lovage_core::checkpoint::Checkpoint;
use lovage_core::estimate::{Estimate, StepEstimate};
use lovage_core::event::NewEvent;
use lovage_core::id::JobId;
use lovage_core::job::NewJob;
use lovage_core::limiter::MemoryLimiter;
use lovage_core::payload::Payload;
use lovage_tests::clock::ManualClock;
use lovage_tests::harness::Harness;
use lovage_tests::model::ModelBroker;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

/// Long enough for anything that is expected to happen.
pub(crate) const SOON: Duration = Duration::from_secs(10);

pub(crate) struct Server {
    pub(crate) base: String,
    pub(crate) store: Harness,
    pub(crate) limiter: MemoryLimiter,
    pub(crate) client: Client,
    pub(crate) http: reqwest::Client,
    pub(crate) draining: CancellationToken,
    pub(crate) stop: CancellationToken,
    pub(crate) task: JoinHandle<()>,
    _stop: DropGuard,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(ApiConfig::default()).await
    }

    pub(crate) async fn with(config: ApiConfig) -> Self {
        let (clock, lease) = (ManualClock::default(), Duration::from_secs(10));
        let broker = Arc::new(ModelBroker::new(clock.clone(), lease));
        Self::over(Harness::new(broker, clock, lease), config).await
    }

    pub(crate) async fn over(store: Harness, config: ApiConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let broker: Arc<dyn Broker> = store.broker.clone();
        let clock = Arc::new(store.clock.clone());
        let limiter = MemoryLimiter::new(clock.clone());
        let state = State::new(
            broker,
            Arc::new(catalog()),
            Arc::new(Headline),
            clock,
            config,
        )
        .with_limiter(Arc::new(limiter.clone()));
        let draining = state.draining();
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve(listener, state, stop.clone().cancelled_owned()));
        // Another test may have installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            client: Client::new(&base, None).unwrap(),
            http: reqwest::Client::builder()
                .no_proxy()
                .timeout(SOON)
                .build()
                .unwrap(),
            _stop: stop.clone().drop_guard(),
            base,
            store,
            limiter,
            draining,
            stop,
            task,
        }
    }

    pub(crate) fn call(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.call(Method::GET, path).send().await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str) -> Response {
        self.call(Method::POST, path).send().await.unwrap()
    }

    pub(crate) async fn post_json(&self, path: &str, body: &Value) -> Response {
        let call = self.call(Method::POST, path).json(body);
        call.send().await.unwrap()
    }

    pub(crate) async fn put_json(&self, path: &str, body: &Value) -> Response {
        let call = self.call(Method::PUT, path).json(body);
        call.send().await.unwrap()
    }

    /// Posts a job as text.
    pub(crate) async fn post_text(&self, body: impl Into<reqwest::Body>) -> Response {
        let call = self.call(Method::POST, "/v1/jobs");
        let call = call.header("content-type", "application/json").body(body);
        call.send().await.unwrap()
    }

    pub(crate) async fn enqueue(&self) -> JobView {
        self.client.enqueue(&request(), None).await.unwrap()
    }

    /// A job of the store that a worker runs.
    pub(crate) async fn running(&self) -> Claimed {
        self.store.running(self.job()).await.1
    }

    /// A job that is not in the store.
    pub(crate) fn job(&self) -> NewJob {
        let input = Payload::parse(r#"{"topic":"tides"}"#).unwrap();
        let kind = "script.generate".parse().unwrap();
        NewJob::new(JobId::at(self.store.now()), kind, input)
    }

    /// How many jobs the store holds.
    pub(crate) async fn job_count(&self) -> usize {
        self.store.list(&Default::default(), 200).await.len()
    }
}

pub(crate) fn request() -> EnqueueRequest {
    EnqueueRequest::new("script.generate", &json!({"topic": "tides"})).unwrap()
}

pub(crate) fn body() -> Value {
    serde_json::to_value(request()).unwrap()
}

pub(crate) fn job_id(id: Uuid) -> JobId {
    JobId::from(id)
}

pub(crate) fn event(kind: &str, data: &str) -> NewEvent {
    NewEvent {
        kind: kind.to_owned(),
        step: Some("plan".to_owned()),
        data: Payload::parse(data).unwrap(),
    }
}

pub(crate) fn header(response: &Response, name: &str) -> String {
    let value = response.headers().get(name);
    let value = value.unwrap_or_else(|| panic!("{name} is missing"));
    value.to_str().unwrap().to_owned()
}

/// Reads a problem and checks what every problem has.
pub(crate) async fn problem(response: Response) -> Problem {
    assert_eq!(
        header(&response, "content-type"),
        "application/problem+json"
    );
    let status = response.status().as_u16();
    let request_id = header(&response, "x-request-id");
    let path = response.url().path().to_owned();
    let problem: Problem = response.json().await.unwrap();
    assert_eq!(problem.status, status);
    assert_eq!(problem.kind, format!("urn:lovage:problem:{}", problem.code));
    assert_eq!(problem.request_id, Some(request_id));
    assert_eq!(problem.instance, Some(path));
    assert!(!problem.title.is_empty() && !problem.detail.is_empty());
    problem
}

/// The places and words of the errors of a problem.
pub(crate) fn errors(problem: &Problem) -> Vec<(&str, &str)> {
    let place = |error: &'_ lovage_client::wire::FieldError| {
        assert!(error.pointer.is_some() != error.parameter.is_some());
    };
    problem.errors.iter().for_each(place);
    problem
        .errors
        .iter()
        .map(|error| {
            let place = error.pointer.as_deref().or(error.parameter.as_deref());
            (place.unwrap(), error.detail.as_str())
        })
        .collect()
}

fn catalog() -> Catalog {
    let mut script = KindSpec::new("script.generate".parse().unwrap(), "Writes a script");
    script.attempts_max = 4;
    script.timeout = Some(Duration::from_secs(600));
    script.check = Arc::new(check_topic);
    script.estimate = Some(Arc::new(|input| {
        let step = |step: &str, prompt_tokens, cost_usd| StepEstimate {
            step: step.to_owned(),
            calls: 1,
            prompt_tokens,
            completion_tokens: 5,
            cost_usd,
        };
        let topic = input["topic"].as_str().unwrap().len() as u64;
        Estimate {
            by_step: vec![
                step("plan", topic, Some(0.25)),
                step("write", 100, Some(0.5)),
            ],
            notes: vec!["a guess".to_owned()],
        }
    }));
    let mut broken = KindSpec::new("test.panics".parse().unwrap(), "Has a broken check");
    broken.check = Arc::new(|_| panic!("a check that panics"));
    let odd = KindSpec::new("test.odd".parse().unwrap(), "Nobody knows what it uses");
    Catalog::new([script, broken, odd])
}

fn check_topic(input: &Value) -> Result<(), Vec<InputError>> {
    let topic = input["topic"].as_str().unwrap_or_default();
    let length = topic.chars().count();
    if (1..=500).contains(&length) && !topic.contains(char::is_control) {
        return Ok(());
    }
    Err(vec![InputError {
        pointer: "/topic".to_owned(),
        message: format!("expected 1 to 500 characters, got {length}"),
    }])
}

/// Shows a result as a headline, which may be loud, or as its letters counted.
struct Headline;

const LOUD: OptionSpec = OptionSpec {
    name: "loud",
    values: &["no", "yes"],
};

impl Render for Headline {
    fn formats(&self, kind: &str) -> Vec<FormatSpec> {
        let spec = |name, options: &[OptionSpec]| FormatSpec {
            name,
            options: options.to_vec(),
        };
        if kind == "script.generate" {
            vec![spec("markdown", &[LOUD]), spec("letters", &[])]
        } else {
            Vec::new()
        }
    }

    fn render(
        &self,
        _: &str,
        result: &Payload,
        format: &str,
        options: &[(&str, &str)],
    ) -> Option<Result<Rendered, String>> {
        let result: Value = result.read().unwrap();
        let Some(title) = result["title"].as_str() else {
            return Some(Err("no title, and a secret".to_owned()));
        };
        let mark = if options.contains(&("loud", "yes")) {
            "!"
        } else {
            ""
        };
        let (content_type, body) = match format {
            "markdown" => ("text/markdown; charset=utf-8", format!("# {title}{mark}\n")),
            "letters" => (
                "application/json",
                format!("{{\"letters\": {}.0}}", title.len()),
            ),
            _ => return None,
        };
        let content_type = content_type.to_owned();
        Some(Ok(Rendered { content_type, body }))
    }

    fn image(&self, checkpoints: &[Checkpoint], id: &str) -> Option<Image> {
        let stored = checkpoints
            .iter()
            .find(|one| one.step == format!("image-{id}"))?;
        Some(Image {
            content_type: "image/jpeg",
            body: stored.value.as_str().as_bytes().to_vec(),
        })
    }
}
