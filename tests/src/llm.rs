//! A stand-in for an OpenAI-compatible provider, for tests without a network.
//!
//! It speaks the real wire format over HTTP on 127.0.0.1, so that it serves a
//! client in the same process and workers in their own processes alike. Without
//! a script it plans and writes by fixed rules, the same answer every time;
//! scripted, it injects any fault.

mod author;
mod obedient;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode, Uri};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Characters in each chunk of a streamed answer.
const CHUNK_CHARS: usize = 12;

/// A running stand-in. Dropping it stops it.
pub struct StandIn {
    url: String,
    desk: Arc<Desk>,
    server: JoinHandle<()>,
}

/// One request, as it arrived.
#[derive(Debug, Clone)]
pub struct Received {
    /// Path and query.
    pub uri: Uri,
    /// Headers.
    pub headers: HeaderMap,
    /// Body; null when it was not JSON.
    pub body: Value,
}

/// Tokens that the answers so far have told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Told {
    /// Of the prompts.
    pub prompt: u64,
    /// Of the answers.
    pub completion: u64,
}

type Script = Box<dyn Fn(&Value) -> Answer + Send + Sync>;

/// What the handlers share.
#[derive(Default)]
struct Desk {
    script: Mutex<Option<Script>>,
    latency: Mutex<Duration>,
    received: Mutex<Vec<Received>>,
    told: Mutex<Told>,
    in_flight: watch::Sender<usize>,
    max_in_flight: watch::Sender<usize>,
    seeing: watch::Sender<usize>,
    max_seeing: watch::Sender<usize>,
    together: Mutex<usize>,
}

impl StandIn {
    /// Starts on a free port of 127.0.0.1, in the current tokio runtime.
    ///
    /// # Panics
    /// When no port can be bound.
    pub async fn start() -> StandIn {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free port of 127.0.0.1 can be bound");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let desk = Arc::new(Desk::default());
        let router = Router::new().fallback(handle).with_state(Arc::clone(&desk));
        let server = tokio::spawn(async move {
            // Serving ends only when this task is aborted.
            let _ = axum::serve(listener, router).await;
        });
        StandIn {
            url: format!("http://{address}/v1"),
            desk,
            server,
        }
    }

    /// Base URL, such as `http://127.0.0.1:40000/v1`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Requests so far.
    pub fn calls(&self) -> usize {
        lock(&self.desk.received).len()
    }

    /// The most requests that were being answered at one time.
    pub fn max_in_flight(&self) -> usize {
        *self.desk.max_in_flight.borrow()
    }

    /// Waits until no request is being answered.
    pub async fn until_idle(&self) {
        let mut in_flight = self.desk.in_flight.subscribe();
        let idle = in_flight.wait_for(|count| *count == 0).await;
        idle.expect("the sender lives in the same value");
    }

    /// Every request so far, in the order of arrival.
    pub fn received(&self) -> Vec<Received> {
        lock(&self.desk.received).clone()
    }

    /// The tokens of every answer so far that tells them, added up.
    pub fn told(&self) -> Told {
        *lock(&self.desk.told)
    }

    /// How many pictures each request showed, in the order of arrival.
    pub fn pictures(&self) -> Vec<usize> {
        let received = lock(&self.desk.received);
        received
            .iter()
            .map(|one| author::pictures(&one.body))
            .collect()
    }

    /// The most requests about pictures that were being answered at one time.
    pub fn max_pictures_in_flight(&self) -> usize {
        *self.desk.max_seeing.borrow()
    }

    /// Answers no request about pictures before so many of them waited at one time.
    pub fn see_together(&self, requests: usize) {
        *lock(&self.desk.together) = requests;
    }

    /// Waits this long before each answer begins.
    pub fn set_latency(&self, latency: Duration) {
        *lock(&self.desk.latency) = latency;
    }

    /// Answers every further request by this rule, given its body.
    /// [`Answer::by_default`] is what would have been said without a rule.
    pub fn respond_with(&self, rule: impl Fn(&Value) -> Answer + Send + Sync + 'static) {
        *lock(&self.desk.script) = Some(Box::new(rule));
    }

    /// Gives these answers in turn, then the default ones.
    pub fn respond_in_turn(&self, answers: impl IntoIterator<Item = Answer>) {
        let answers = Mutex::new(answers.into_iter().collect::<VecDeque<_>>());
        self.respond_with(move |body| {
            let scripted = lock(&answers).pop_front();
            scripted.unwrap_or_else(|| Answer::by_default(body))
        });
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// How an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// As HTTP says it should.
    Clean,
    /// The connection breaks after the last chunk.
    Reset,
    /// Nothing more comes, and the connection stays open.
    Stall,
}

/// One HTTP response.
#[derive(Debug, Clone)]
pub struct Answer {
    status: StatusCode,
    headers: Vec<(String, String)>,
    chunks: Vec<Bytes>,
    ending: Ending,
    silent: bool,
    told: Told,
}

impl Answer {
    /// Any response.
    ///
    /// # Panics
    /// When `status` is no HTTP status.
    pub fn raw(status: u16, content_type: &str, body: impl Into<Bytes>) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).expect("tests use real HTTP statuses"),
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            chunks: vec![body.into()],
            ending: Ending::Clean,
            silent: false,
            told: Told::default(),
        }
    }

    /// A JSON document.
    pub fn json(status: u16, body: Value) -> Answer {
        Answer::raw(status, "application/json", body.to_string())
    }

    /// A stream of `data` events, without a closing `[DONE]` unless it is one of them.
    pub fn events<T: ToString>(events: impl IntoIterator<Item = T>) -> Answer {
        let events = events.into_iter();
        let chunks = events.map(|event| format!("data: {}\n\n", event.to_string()).into());
        Answer {
            chunks: chunks.collect(),
            ..Answer::raw(200, "text/event-stream", "")
        }
    }

    /// This text as the provider would send it: streamed if the request says so.
    pub fn says(text: &str, request: &Value) -> Answer {
        let usage = usage(request, text);
        let told = Told {
            prompt: usage["prompt_tokens"].as_u64().unwrap_or(0),
            completion: usage["completion_tokens"].as_u64().unwrap_or(0),
        };
        if request["stream"] != true {
            let answer = Answer::json(200, completion(text, &usage));
            return Answer { told, ..answer };
        }
        let characters: Vec<char> = text.chars().collect();
        let mut events: Vec<String> = characters
            .chunks(CHUNK_CHARS)
            .map(|part| chunk(json!({"content": String::from_iter(part)}), Value::Null))
            .collect();
        events.insert(
            0,
            chunk(json!({"role": "assistant", "content": ""}), Value::Null),
        );
        events.push(chunk(json!({}), json!("stop")));
        if request["stream_options"]["include_usage"] == true {
            events.push(
                json!({"object": "chat.completion.chunk", "choices": [], "usage": usage})
                    .to_string(),
            );
        }
        events.push("[DONE]".to_owned());
        let tells = request["stream_options"]["include_usage"] == true;
        Answer {
            told: if tells { told } else { Told::default() },
            ..Answer::events(events)
        }
    }

    /// Descriptions for a request that shows pictures, a plan for another that asks for JSON, a script
    /// with citations for any other.
    pub fn by_default(request: &Value) -> Answer {
        Answer::says(&author::reply(request), request)
    }

    /// The beginning of a streamed answer, after which the connection breaks.
    pub fn begins(text: &str, request: &Value) -> Answer {
        let mut answer = Answer::says(text, request);
        // What says that it is whole stays away: the reason, the usage, `[DONE]`.
        let ends = if request["stream_options"]["include_usage"] == true {
            3
        } else {
            2
        };
        answer.chunks.truncate(answer.chunks.len() - ends);
        answer.ending(Ending::Reset)
    }

    /// An answer that ends for another reason than that it is whole.
    pub fn ends_for(reason: &str, text: &str, request: &Value) -> Answer {
        let mut answer = Answer::says(text, request);
        for chunk in &mut answer.chunks {
            let text = String::from_utf8_lossy(chunk);
            let ends = format!("\"finish_reason\":\"{reason}\"");
            *chunk = text.replace("\"finish_reason\":\"stop\"", &ends).into();
        }
        answer
    }

    /// What [`Answer::by_default`] says.
    pub fn default_text(request: &Value) -> String {
        author::reply(request)
    }

    /// What a model says that follows every order it finds in the prompt,
    /// whoever gave it: to test that no order gets through.
    pub fn obediently(request: &Value) -> Answer {
        let mut answer = Answer::says(&obedient::reply(request), request);
        if let Some(name) = obedient::tool(request) {
            let call = json!({"id": "call_1", "type": "function", "function": {"name": name, "arguments": "{}"}});
            if request["stream"] == true {
                let event = chunk(json!({"tool_calls": [call]}), Value::Null);
                answer.chunks.insert(0, format!("data: {event}\n\n").into());
            } else {
                let mut body: Value = serde_json::from_slice(&answer.chunks.concat())
                    .expect("an answer that is not streamed is JSON");
                body["choices"][0]["message"]["tool_calls"] = json!([call]);
                answer.chunks = vec![body.to_string().into()];
            }
        }
        answer
    }

    /// How many different orders [`Answer::obediently`] finds in a request.
    pub fn orders_in(request: &Value) -> usize {
        obedient::count(request)
    }

    /// Not even a status line.
    pub fn silence() -> Answer {
        Answer {
            silent: true,
            ..Answer::raw(200, "text/plain", "")
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Answer {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Ends in another way than cleanly.
    #[must_use]
    pub fn ending(mut self, ending: Ending) -> Answer {
        self.ending = ending;
        self
    }

    /// Cuts the body into chunks of this many bytes, through characters too.
    #[must_use]
    pub fn cut_every(mut self, bytes: usize) -> Answer {
        let body = self.chunks.concat();
        self.chunks = body.chunks(bytes).map(Bytes::copy_from_slice).collect();
        self
    }

    fn into_response(self, in_flight: InFlight) -> Response<Body> {
        let mut response = Response::builder().status(self.status);
        for (name, value) in &self.headers {
            response = response.header(name, value);
        }
        let chunks: VecDeque<Bytes> = self.chunks.into();
        let ending = self.ending;
        // The guard travels with the body: in flight means up to the last byte.
        // It is given up with the last chunk, before a client can know that it
        // was the last one and call again.
        let body = stream::unfold((chunks, Some(in_flight)), move |mut state| async move {
            if let Some(chunk) = state.0.pop_front() {
                if state.0.is_empty() && ending != Ending::Stall {
                    state.1 = None;
                }
                return Some((Ok(chunk), state));
            }
            match ending {
                Ending::Clean => None,
                Ending::Reset => {
                    // Lets the server send what it holds before the error drops it.
                    tokio::task::yield_now().await;
                    Some((Err(io::Error::other("scripted reset")), state))
                }
                Ending::Stall => std::future::pending().await,
            }
        });
        response
            .body(Body::from_stream(body))
            .expect("tests use valid header names and values")
    }
}

/// Counts a request for as long as it lives.
struct InFlight {
    desk: Arc<Desk>,
    sees: bool,
}

impl InFlight {
    fn enter(desk: &Arc<Desk>, sees: bool) -> InFlight {
        one_more(&desk.in_flight, &desk.max_in_flight);
        if sees {
            one_more(&desk.seeing, &desk.max_seeing);
        }
        InFlight {
            desk: Arc::clone(desk),
            sees,
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.desk.in_flight.send_modify(|count| *count -= 1);
        if self.sees {
            self.desk.seeing.send_modify(|count| *count -= 1);
        }
    }
}

fn one_more(count: &watch::Sender<usize>, most: &watch::Sender<usize>) {
    count.send_modify(|count| *count += 1);
    let now = *count.borrow();
    most.send_modify(|most| *most = now.max(*most));
}

async fn handle(
    State(desk): State<Arc<Desk>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response<Body>, Infallible> {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let in_flight = InFlight::enter(&desk, author::pictures(&body) > 0);
    lock(&desk.received).push(Received {
        uri,
        headers,
        body: body.clone(),
    });
    if in_flight.sees {
        let together = *lock(&desk.together);
        let mut most = desk.max_seeing.subscribe();
        let met = most.wait_for(|most| *most >= together).await;
        met.expect("the sender lives in the same value");
    }
    let latency = *lock(&desk.latency);
    tokio::time::sleep(latency).await;
    let answer = match &*lock(&desk.script) {
        Some(rule) => rule(&body),
        None => Answer::by_default(&body),
    };
    {
        let mut told = lock(&desk.told);
        told.prompt += answer.told.prompt;
        told.completion += answer.told.completion;
    }
    if answer.silent {
        std::future::pending::<()>().await;
    }
    Ok(answer.into_response(in_flight))
}

fn completion(text: &str, usage: &Value) -> Value {
    json!({
        "id": "chatcmpl-standin",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": "stand-in-1",
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": text, "refusal": null},
            "finish_reason": "stop",
        }],
        "usage": usage,
    })
}

fn chunk(delta: Value, finish: Value) -> String {
    json!({
        "id": "chatcmpl-standin",
        "object": "chat.completion.chunk",
        "created": 1_790_000_000,
        "model": "stand-in-1",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    })
    .to_string()
}

/// One token per four characters, each way.
fn usage(request: &Value, text: &str) -> Value {
    let prompt = request["messages"].to_string().chars().count() / 4;
    let completion = text.chars().count().div_ceil(4);
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": 0},
    })
}

/// A rule that panics fails its own request; the next one may still be answered.
fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}
