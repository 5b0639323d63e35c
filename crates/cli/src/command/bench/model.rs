//! Jobs that wait for a language model: how many one worker holds at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use lovage_core::broker::Broker;
use lovage_core::payload::Payload;
use lovage_pipeline::llm::{ChatRequest, Llm, Message, OpenAi, OpenAiConfig, Role};
use lovage_workflow::{Context, Failure, Handler, Handlers};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::throughput::job;
use super::{Running, failed};
use crate::exit::Exit;

const KIND: &str = "bench.model";
/// How long the stand-in model thinks.
const THINKS: Duration = Duration::from_secs(1);
const ANSWER: &str =
    r#"{"choices":[{"message":{"role":"assistant","content":"yes"},"finish_reason":"stop"}]}"#;

/// Asks the model once.
struct Ask {
    llm: OpenAi,
    done: mpsc::Sender<()>,
}

#[async_trait]
impl Handler for Ask {
    async fn run(&self, context: Context) -> Result<Payload, Failure> {
        let question = Message {
            role: Role::User,
            text: "?".to_owned(),
        };
        let request = ChatRequest {
            messages: vec![question],
            schema: None,
            max_tokens: None,
            temperature: None,
        };
        let answer = self
            .llm
            .complete(&request)
            .await
            .map_err(|error| Failure::give_up("llm", error.to_string()))?;
        let _ = self.done.send(()).await;
        context.done(&answer.text)
    }
}

/// Seconds until `jobs` that each wait 1 s for the model are done, with the
/// limit of calls lifted, on one worker.
pub(super) async fn waiting(broker: Arc<dyn Broker>, jobs: usize) -> Result<f64, Exit> {
    let stop = CancellationToken::new();
    let url = stand_in(stop.clone())
        .await
        .map_err(|error| Exit::because("cannot start the stand-in model", &error))?;
    let _stopped_at_the_end = stop.drop_guard();
    let permits = Arc::new(Semaphore::new(jobs));
    let llm = OpenAi::new(OpenAiConfig::new(url, "stand-in"), permits, 1)
        .map_err(|error| Exit::because("cannot reach the stand-in model", &error))?;
    let (done, mut dones) = mpsc::channel(jobs);
    broker
        .enqueue((0..jobs).map(|_| job(KIND)).collect(), false)
        .await
        .map_err(failed)?;
    let begun = Instant::now();
    let running = Running::start(broker, Handlers::new().with(KIND, Ask { llm, done }), jobs);
    for _ in 0..jobs {
        dones
            .recv()
            .await
            .ok_or_else(|| Exit::new(crate::exit::ERROR, "the worker ended early"))?;
    }
    let elapsed = begun.elapsed();
    running.stop().await?;
    Ok((elapsed.as_secs_f64() * 1_000.0).round() / 1_000.0)
}

/// A server that thinks and says yes, in OpenAI's words.
async fn stand_in(stop: CancellationToken) -> std::io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/v1", listener.local_addr()?);
    tokio::spawn(async move {
        let mut calls = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Ok((stream, _)) = listener.accept() => { calls.spawn(answer(stream)); }
                Some(_) = calls.join_next() => {}
            }
        }
    });
    Ok(url)
}

async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !is_whole(&request) {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    tokio::time::sleep(THINKS).await;
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length";
    stream
        .write_all(format!("{head}: {}\r\n\r\n{ANSWER}", ANSWER.len()).as_bytes())
        .await?;
    stream.shutdown().await
}

/// A question is one JSON object, which ends the request.
fn is_whole(request: &[u8]) -> bool {
    request.ends_with(b"}")
}
