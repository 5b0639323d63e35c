//! The live [`Fetch`]: asks public addresses only, and never for long or for much.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use reqwest::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, LAST_MODIFIED, LOCATION, RETRY_AFTER,
};
use reqwest::{Client, ClientBuilder, RequestBuilder, Response, StatusCode, redirect};
use tokio::sync::Semaphore;
use url::Url;

use super::guard::{Lookup, Passage, PublicAddr, PublicDns, Refusal, TrustedHosts, system_lookup};
use super::limits::{CONNECT_TIMEOUT, DOWNLOADS, READ_TIMEOUT, REQUESTS_MAX, TOTAL_TIMEOUT};
use super::{Fetch, FetchError, Origin, Page, Request, Validators, Want};

/// How long a page may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// To connect.
    pub connect: Duration,
    /// Longest silence while reading.
    pub read: Duration,
    /// For the whole page, redirects included.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: CONNECT_TIMEOUT,
            read: READ_TIMEOUT,
            total: TOTAL_TIMEOUT,
        }
    }
}

/// What the operator decides about fetching.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSettings {
    /// Address or mailbox in the `User-Agent`, for site owners to reach the operator.
    pub contact: String,
    /// Hosts the operator runs, as exact `host:port`; they may be private. Only
    /// an address of [`Origin::Operator`] may be on them: no request of a job,
    /// page, redirect or entry of another host's feed leads there.
    pub trusted_hosts: Vec<String>,
    /// Requests in flight at once, at least 1.
    pub downloads: usize,
    /// How long a page may take.
    pub timeouts: Timeouts,
}

impl ClientSettings {
    /// The defaults, with the contact that no default can know.
    pub fn new(contact: impl Into<String>) -> Self {
        Self {
            contact: contact.into(),
            trusted_hosts: Vec::new(),
            downloads: DOWNLOADS,
            timeouts: Timeouts::default(),
        }
    }
}

/// The HTTP client could not be set up: no TLS provider installed, or a
/// contact that is not a header value.
#[derive(Debug, thiserror::Error)]
#[error("the http client cannot be built")]
pub struct BuildError(#[from] reqwest::Error);

/// Fetches from the public web.
pub struct GuardedClient {
    /// Connects to public addresses only.
    public: Client,
    /// Connects anywhere; asked for trusted hosts only.
    trusted: Client,
    trusted_hosts: TrustedHosts,
    downloads: Semaphore,
    timeouts: Timeouts,
}

impl GuardedClient {
    /// A client that resolves names through the operating system.
    ///
    /// A rustls crypto provider must have been installed.
    ///
    /// # Errors
    /// When the TLS set-up or the contact is unusable.
    pub fn new(settings: &ClientSettings) -> Result<Self, BuildError> {
        Self::with_lookup(settings, system_lookup())
    }

    /// A client that resolves names through `lookup`.
    ///
    /// # Errors
    /// When the TLS set-up or the contact is unusable.
    pub fn with_lookup(settings: &ClientSettings, lookup: Lookup) -> Result<Self, BuildError> {
        let public = builder(settings)
            .dns_resolver(Arc::new(PublicDns::new(lookup)))
            .build()?;
        Ok(Self {
            public,
            trusted: builder(settings).build()?,
            trusted_hosts: TrustedHosts::new(&settings.trusted_hosts),
            downloads: Semaphore::new(settings.downloads.max(1)),
            timeouts: settings.timeouts,
        })
    }

    async fn fetch(&self, request: &Request) -> Result<Page, FetchError> {
        let ask = |url, origin| self.ask(url, origin, request);
        let (url, response) = follow(request, ask).await?;
        self.read(url, response, request.want).await
    }

    /// One request to an address that passes the guard, no redirect.
    async fn ask(
        &self,
        url: Url,
        origin: Origin,
        request: &Request,
    ) -> Result<Response, FetchError> {
        let passage = self.trusted_hosts.check(&url, origin)?;
        let client = match passage {
            Passage::Public => &self.public,
            Passage::Trusted => &self.trusted,
        };
        let asked = match &request.json {
            None => client.get(url),
            Some(json) => client
                .post(url)
                .header(CONTENT_TYPE, "application/json")
                .body(json.clone()),
        };
        let response = with_headers(asked, request)?
            .send()
            .await
            .map_err(|error| self.explain(error))?;
        if passage == Passage::Public {
            let peer = response.remote_addr().ok_or(Refusal::UnknownPeer)?;
            PublicAddr::new(peer.ip())?;
        }
        Ok(response)
    }

    async fn read(&self, url: Url, response: Response, want: Want) -> Result<Page, FetchError> {
        let status = response.status();
        let mut page = Page {
            url,
            status: status.as_u16(),
            content_type: header(&response, CONTENT_TYPE),
            etag: header(&response, ETAG),
            last_modified: header(&response, LAST_MODIFIED),
            cache_control: header(&response, CACHE_CONTROL),
            retry_after: header(&response, RETRY_AFTER),
            body: Bytes::new(),
        };
        let read = status.is_success() || want == Want::Answer;
        if read && status != StatusCode::NO_CONTENT {
            check_type(page.content_type.as_deref(), want)?;
            page.body = self.body(response, want.bytes_max()).await?;
        }
        Ok(page)
    }

    /// The body, counted after decompression: a small one may unpack to any size.
    async fn body(&self, mut response: Response, max: usize) -> Result<Bytes, FetchError> {
        let announced = response.content_length().unwrap_or(0);
        if announced > max as u64 {
            return Err(FetchError::TooLarge(max));
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| self.explain(error))?
        {
            if body.len() + chunk.len() > max {
                return Err(FetchError::TooLarge(max));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// Sort an error of the HTTP client into ours.
    fn explain(&self, error: reqwest::Error) -> FetchError {
        if error.is_timeout() {
            let waited = if error.is_connect() {
                self.timeouts.connect
            } else {
                self.timeouts.read
            };
            return FetchError::Timeout(waited.as_secs());
        }
        let error = error.without_url();
        let mut cause: &dyn Error = &error;
        loop {
            if let Some(refusal) = cause.downcast_ref::<Refusal>() {
                return refusal.clone().into();
            }
            match cause.source() {
                Some(deeper) => cause = deeper,
                None => return FetchError::Network(cause.to_string()),
            }
        }
    }
}

#[async_trait]
impl Fetch for GuardedClient {
    async fn send(&self, request: &Request) -> Result<Page, FetchError> {
        // Refused before it queues: a bad address must not wait for good ones.
        self.trusted_hosts.check(&request.url, request.origin)?;
        let _permit = self
            .downloads
            .acquire()
            .await
            .expect("the semaphore is never closed");
        let total = self.timeouts.total;
        let total = request.want.time_max().map_or(total, |max| total.min(max));
        tokio::time::timeout(total, self.fetch(request))
            .await
            .map_err(|_| FetchError::Timeout(total.as_secs()))?
    }
}

fn builder(settings: &ClientSettings) -> ClientBuilder {
    let agent = format!(
        "lovage/{} (+{})",
        env!("CARGO_PKG_VERSION"),
        settings.contact
    );
    Client::builder()
        .user_agent(agent)
        .redirect(redirect::Policy::none())
        // A proxy of the environment would resolve names behind our back.
        .no_proxy()
        .referer(false)
        .connect_timeout(settings.timeouts.connect)
        .read_timeout(settings.timeouts.read)
}

fn with_headers(asked: RequestBuilder, request: &Request) -> Result<RequestBuilder, FetchError> {
    let mut asked = asked.header(ACCEPT, request.want.accept());
    let Validators {
        etag,
        last_modified,
    } = &request.known;
    for (name, known) in [(IF_NONE_MATCH, etag), (IF_MODIFIED_SINCE, last_modified)] {
        if let Some(known) = known {
            asked = asked.header(name, known);
        }
    }
    for (name, secret) in &request.secrets {
        let mut value = HeaderValue::from_str(secret.expose())
            .map_err(|_| FetchError::Header((*name).to_owned()))?;
        value.set_sensitive(true);
        asked = asked.header(*name, value);
    }
    Ok(asked)
}

/// Asks, and follows redirects by hand, so that each hop passes the guard. The
/// answer that is no redirect, and where it came from.
async fn follow<A>(
    request: &Request,
    ask: impl Fn(Url, Origin) -> A,
) -> Result<(Url, Response), FetchError>
where
    A: Future<Output = Result<Response, FetchError>>,
{
    let (mut url, mut origin) = (request.url.clone(), request.origin);
    for _ in 0..REQUESTS_MAX {
        let response = ask(url.clone(), origin).await?;
        match redirect_target(&url, &response)? {
            // Whoever named the first address did not name this one.
            Some(next) if request.may_move() => (url, origin) = (next, Origin::Stranger),
            _ => return Ok((url, response)),
        }
    }
    Err(FetchError::Redirects(REQUESTS_MAX - 1))
}

/// Where a redirect leads; `None` when the answer is not one.
fn redirect_target(from: &Url, response: &Response) -> Result<Option<Url>, FetchError> {
    let moved = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let Some(location) = header(response, LOCATION).filter(|_| moved) else {
        return Ok(None);
    };
    from.join(&location)
        .map(Some)
        .map_err(|error| FetchError::Network(format!("redirect to an invalid address: {error}")))
}

fn check_type(content_type: Option<&str>, want: Want) -> Result<(), FetchError> {
    let sent = content_type.unwrap_or("(none)");
    let wanted = sent
        .parse::<mime::Mime>()
        .is_ok_and(|media_type| want.takes(&media_type));
    if wanted {
        Ok(())
    } else {
        Err(FetchError::ContentType(sent.chars().take(100).collect()))
    }
}

fn header(response: &Response, name: HeaderName) -> Option<String> {
    let value = response.headers().get(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use axum::Router;
    use axum::response::Redirect;
    use axum::routing::get;
    use tokio::net::TcpListener;

    use super::*;

    /// What a server on this machine answers at last, and what was asked on the
    /// way. Its address is private, so that the guard does not judge here.
    async fn followed(
        router: Router,
        request: impl Fn(Url) -> Request,
    ) -> (Result<(Url, Response), FetchError>, Vec<(String, Origin)>) {
        // Ignored: another test of this process may have installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        let client = builder(&ClientSettings::new("nobody")).build().unwrap();
        let asked = Mutex::default();
        let ask = |url: Url, origin| {
            let mut asked: std::sync::MutexGuard<'_, Vec<_>> = asked.lock().unwrap();
            asked.push((url.path().to_owned(), origin));
            let sent = client.get(url).send();
            async { Ok(sent.await.unwrap()) }
        };
        let request = request(format!("http://{address}/").parse().unwrap());
        let arrived = follow(&request, ask).await;
        server.abort();
        (arrived, asked.into_inner().unwrap())
    }

    fn of_operator(url: Url) -> Request {
        Request::of_operator(url, Want::Html)
    }

    #[tokio::test]
    async fn redirects_are_followed_to_their_end_as_a_strangers() {
        let router = Router::new()
            .route("/", get(|| async { Redirect::permanent("step/one") }))
            .route("/step/one", get(|| async { Redirect::to("/end?x=1") }))
            .route("/end", get(|| async { "arrived" }));
        let (arrived, asked) = followed(router, of_operator).await;
        let (url, response) = arrived.unwrap();
        assert_eq!((url.path(), url.query()), ("/end", Some("x=1")));
        assert_eq!(response.text().await.unwrap(), "arrived");
        let expected = [
            ("/", Origin::Operator),
            ("/step/one", Origin::Stranger),
            ("/end", Origin::Stranger),
        ];
        assert_eq!(
            asked,
            expected.map(|(path, origin)| (path.to_owned(), origin))
        );
    }

    #[tokio::test]
    async fn a_redirect_loop_ends() {
        let router = Router::new().route("/", get(|| async { Redirect::temporary("/") }));
        let (arrived, asked) = followed(router, of_operator).await;
        assert_eq!(
            arrived.unwrap_err(),
            FetchError::Redirects(REQUESTS_MAX - 1)
        );
        assert_eq!(asked.len(), REQUESTS_MAX);
    }

    #[tokio::test]
    async fn a_document_goes_nowhere_else() {
        let router = Router::new().route("/", get(|| async { Redirect::temporary("/end") }));
        let posting = |url| Request {
            json: Some("{}".into()),
            ..of_operator(url)
        };
        let (arrived, asked) = followed(router, posting).await;
        assert_eq!(arrived.unwrap().1.status(), 307);
        assert_eq!(asked.len(), 1);
    }
}
