//! Calls, each bounded in time and size.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};
use url::Url;
use uuid::Uuid;

use crate::error::ClientError;
use crate::wire::{
    BatchReply, BatchRequest, ChildList, EnqueueRequest, EstimateView, JobList, JobState, JobView,
    NoResult, Problem, SignalRequest,
};

/// Time to get a connection.
pub(crate) const CONNECT: Duration = Duration::from_secs(5);
/// Time of one call, its answer included, not counting what it asks the server to wait.
pub(crate) const CALL: Duration = Duration::from_secs(30);
/// Longest wait asked of the server at a time; proxies cut at 60 s.
const POLL: Duration = Duration::from_secs(30);
/// Size of an answer, in bytes: a result of 16 MiB in a wordier format.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Calls one server. Cloning shares its connections.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) http: reqwest::Client,
    base: Url,
}

/// What a job gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobResult {
    /// Its result, in the format asked for.
    Ready {
        /// Media type of the body.
        content_type: String,
        /// The result.
        body: Bytes,
    },
    /// It is not over yet.
    NotReady(Box<JobView>),
    /// It failed or was cancelled.
    None(NoResult),
}

/// Which jobs to list; every set field narrows.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct ListQuery {
    /// Any of these; empty means all.
    #[serde(skip)]
    pub states: Vec<JobState>,
    /// This queue.
    pub queue: Option<String>,
    /// This kind.
    pub kind: Option<String>,
    /// This session.
    pub session: Option<String>,
    /// Carrying this tag.
    pub tag: Option<String>,
    /// Enqueued at or after, RFC 3339.
    pub created_after: Option<String>,
    /// Enqueued before, RFC 3339.
    pub created_before: Option<String>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// Jobs wanted, 1 to 200.
    pub limit: Option<usize>,
}

impl Client {
    /// A client of the server at `base_url`, such as `http://127.0.0.1:8080`.
    ///
    /// # Errors
    /// [`ClientError::Protocol`] when the address or the key cannot be used.
    pub fn new(base_url: &str, api_key: Option<&str>) -> Result<Self, ClientError> {
        let base = Url::parse(base_url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            .ok_or_else(|| {
                ClientError::Protocol(
                    "the server's address must be an http or https URL such as http://127.0.0.1:8080"
                        .to_owned(),
                )
            })?;
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            // A redirected POST loses its body, and a key must not travel.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("lovage-client/", env!("CARGO_PKG_VERSION")))
            .default_headers(key_header(api_key)?);
        if is_loopback(&base) {
            builder = builder.no_proxy();
        }
        let http = builder.build()?;
        Ok(Self { http, base })
    }

    /// Enqueues a job. The same `idempotency_key` and request give the same job again.
    ///
    /// # Errors
    /// Without a key, a job may have been enqueued after [`ClientError::Unreachable`].
    pub async fn enqueue(
        &self,
        request: &EnqueueRequest,
        idempotency_key: Option<&str>,
    ) -> Result<JobView, ClientError> {
        let call = self.http.post(self.url(&["v1", "jobs"])).json(request);
        read(with_key(call, idempotency_key)).await
    }

    /// What a job would probably use of a model; it is checked, and not enqueued.
    ///
    /// # Errors
    /// As enqueueing it, where its fields or its input are wrong.
    pub async fn estimate(&self, request: &EnqueueRequest) -> Result<EstimateView, ClientError> {
        let call = self.http.post(self.url(&["v1", "jobs"]));
        read(call.query(&[("dry_run", "true")]).json(request)).await
    }

    /// Enqueues jobs, each accepted or refused alone unless the batch is atomic.
    ///
    /// # Errors
    /// A refused job is in the reply; a refused atomic batch is a [`ClientError::Problem`].
    pub async fn batch(
        &self,
        request: &BatchRequest,
        idempotency_key: Option<&str>,
    ) -> Result<BatchReply, ClientError> {
        let call = self.http.post(self.url(&["v1", "batches"])).json(request);
        read(with_key(call, idempotency_key)).await
    }

    /// The job as it stands.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with status 404 for an unknown id.
    pub async fn job(&self, id: Uuid) -> Result<JobView, ClientError> {
        read(self.http.get(self.job_url(id, &[])).timeout(CALL)).await
    }

    /// The job when it is over, or as it stands when `timeout` is. Outlives restarts of the server.
    ///
    /// # Errors
    /// As for [`Self::job`]; a server that does not come back before `timeout` is [`ClientError::Unreachable`].
    pub async fn wait(&self, id: Uuid, timeout: Duration) -> Result<JobView, ClientError> {
        let deadline = Instant::now() + timeout;
        let mut failures = 0;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.poll(id, left.min(POLL)).await {
                Ok(job) if job.state.is_final() || left.is_zero() => return Ok(job),
                // A server that drains answers early: come back, but not at once.
                Ok(_) => failures = 0,
                Err(error) if error.is_transient() && !left.is_zero() => failures += 1,
                Err(error) => return Err(error),
            }
            let left = deadline.saturating_duration_since(Instant::now());
            sleep(pause(failures).min(left)).await;
        }
    }

    async fn poll(&self, id: Uuid, wait: Duration) -> Result<JobView, ClientError> {
        let call = self.http.get(self.job_url(id, &[])).timeout(CALL + wait);
        read(call.header("prefer", format!("wait={}", wait.as_secs()))).await
    }

    /// What the job gave, in `format` (`json` for every kind; others depend on the kind).
    ///
    /// # Errors
    /// [`ClientError::Problem`] with status 404 for an unknown id, 410 when the
    /// result is no longer kept, 422 for an unknown format.
    pub async fn result(&self, id: Uuid, format: &str) -> Result<JobResult, ClientError> {
        self.result_with(id, format, &[]).await
    }

    /// What the job gave, in `format`, with parameters of that format such as `for=d3`.
    ///
    /// # Errors
    /// As [`Self::result`]; 422, too, for a parameter that the format does not take.
    pub async fn result_with(
        &self,
        id: Uuid,
        format: &str,
        options: &[(String, String)],
    ) -> Result<JobResult, ClientError> {
        let call = self.http.get(self.job_url(id, &["result"])).timeout(CALL);
        let call = call.query(&[("format", format)]).query(options);
        let response = accepted(call.send().await?).await?;
        let status = response.status();
        let header = |name: &str| {
            let value = response.headers().get(name);
            value.and_then(|value| value.to_str().ok().map(str::to_owned))
        };
        let (state, content_type) = (header("x-job-state"), header(CONTENT_TYPE.as_str()));
        let body = bounded(response).await?;
        if status == StatusCode::ACCEPTED {
            return parse(&body).map(|job| JobResult::NotReady(Box::new(job)));
        }
        if matches!(state.as_deref(), Some("failed" | "cancelled")) {
            return parse(&body).map(JobResult::None);
        }
        Ok(JobResult::Ready {
            content_type: content_type.unwrap_or_default(),
            body,
        })
    }

    /// One page of jobs.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with status 422 for a filter or cursor that is none.
    pub async fn list(&self, query: &ListQuery) -> Result<JobList, ClientError> {
        let states: Vec<_> = query
            .states
            .iter()
            .map(|state| ("state", state.as_str()))
            .collect();
        let call = self.http.get(self.url(&["v1", "jobs"])).query(query);
        read(call.query(&states).timeout(CALL)).await
    }

    /// Stops a job, or asks its worker to.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with status 409 when it is over already.
    pub async fn cancel(&self, id: Uuid) -> Result<JobView, ClientError> {
        read(self.http.post(self.job_url(id, &["cancel"])).timeout(CALL)).await
    }

    /// Runs a failed or cancelled job again, what its steps stored kept.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with status 409 when its state does not allow it.
    pub async fn retry(&self, id: Uuid) -> Result<JobView, ClientError> {
        read(self.http.post(self.job_url(id, &["retry"])).timeout(CALL)).await
    }

    /// Gives a job a value, under a name. Sending the same again is harmless.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with status 409 when it has another value under
    /// the name, or is over already.
    pub async fn signal(&self, id: Uuid, signal: &SignalRequest) -> Result<JobView, ClientError> {
        let call = self.http.post(self.job_url(id, &["signals"])).json(signal);
        read(call.timeout(CALL)).await
    }

    /// The jobs that a job spawned, in order.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with status 404 for an unknown id.
    pub async fn children(&self, id: Uuid) -> Result<ChildList, ClientError> {
        read(self.http.get(self.job_url(id, &["children"])).timeout(CALL)).await
    }

    /// Asks for the job's events as a stream, after the cursor `after`.
    pub(crate) fn events_call(&self, id: Uuid, after: u64) -> RequestBuilder {
        self.http
            .get(self.job_url(id, &["events"]))
            .header(ACCEPT, "text/event-stream")
            .header("last-event-id", after)
    }

    fn job_url(&self, id: Uuid, rest: &[&str]) -> Url {
        let id = id.to_string();
        self.url(&[&["v1", "jobs", id.as_str()], rest].concat())
    }

    pub(crate) fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .expect("an http URL has a path")
            .pop_if_empty()
            .extend(path);
        url
    }
}

/// How long to pause after so many failures in a row: 0.25 s, doubled up to 8 s.
pub(crate) fn pause(failures: u32) -> Duration {
    Duration::from_millis(250 << failures.min(5))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn key_header(api_key: Option<&str>) -> Result<HeaderMap, ClientError> {
    let mut headers = HeaderMap::new();
    if let Some(key) = api_key {
        let mut value = HeaderValue::try_from(format!("Bearer {key}")).map_err(|_| {
            ClientError::Protocol("the API key holds characters no header can".to_owned())
        })?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

fn with_key(call: RequestBuilder, idempotency_key: Option<&str>) -> RequestBuilder {
    let call = call.timeout(CALL);
    match idempotency_key {
        Some(key) => call.header("idempotency-key", key),
        None => call,
    }
}

pub(crate) async fn read<T: DeserializeOwned>(call: RequestBuilder) -> Result<T, ClientError> {
    let response = accepted(call.send().await?).await?;
    parse(&bounded(response).await?)
}

/// The response when it is a success, else what the server says is wrong.
pub(crate) async fn accepted(response: Response) -> Result<Response, ClientError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let body = bounded(response).await?;
    // A proxy in between does not speak our problems.
    let problem = serde_json::from_slice(&body).unwrap_or_else(|_| foreign_problem(status));
    Err(ClientError::Problem(Box::new(problem)))
}

fn foreign_problem(status: StatusCode) -> Problem {
    Problem {
        kind: "about:blank".to_owned(),
        title: status.canonical_reason().unwrap_or("unknown").to_owned(),
        status: status.as_u16(),
        detail: format!("the server answered {status} without a reason"),
        instance: None,
        code: "unknown".to_owned(),
        request_id: None,
        errors: Vec::new(),
        existing_job_id: None,
        expired_at: None,
        state: None,
    }
}

async fn bounded(mut response: Response) -> Result<Bytes, ClientError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(ClientError::Protocol(format!(
                "the answer is larger than {ANSWER_BYTES_MAX} bytes"
            )));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ClientError> {
    serde_json::from_slice(body)
        .map_err(|error| ClientError::Protocol(format!("the answer is not understood: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(base: &str) -> Client {
        // Another test may have installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Client::new(base, Some("s3cret")).unwrap()
    }

    #[test]
    fn a_base_url_with_a_path_keeps_it() {
        let id = Uuid::nil();
        for base in ["http://h/queue", "http://h/queue/"] {
            let url = client(base).job_url(id, &["result"]);
            assert_eq!(url.as_str(), format!("http://h/queue/v1/jobs/{id}/result"));
        }
    }

    #[test]
    fn an_api_key_is_not_shown() {
        assert!(!format!("{:?}", client("http://h")).contains("s3cret"));
    }

    #[test]
    fn an_address_that_is_none_is_refused_with_an_example() {
        for bad in ["", "127.0.0.1:8080", "ftp://h", "not a url"] {
            let error = Client::new(bad, None).unwrap_err();
            assert!(error.to_string().contains("http://127.0.0.1:8080"), "{bad}");
        }
    }

    #[test]
    fn pauses_double_up_to_a_bound() {
        assert_eq!(pause(0), Duration::from_millis(250));
        assert_eq!(pause(2), Duration::from_secs(1));
        assert_eq!(pause(u32::MAX), Duration::from_secs(8));
    }
}
