//! Jobs that wait for a language model: how many one worker holds at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use lovage_core::payload::Payload;
use lovage_pipeline::llm::{ChatRequest, Llm, Message, OpenAi, OpenAiConfig, Role};
use lovage_workflow::{Context, Failure, Handler, Handlers};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::load::{self, Running, SMALL_BYTES};
use super::report::{Figure, Report};
use super::store::{self, Store, failed};
use super::{Setup, say};
use crate::args::Section;
use crate::command::server::Server;
use crate::exit::Exit;

const KIND: &str = "bench.model";
/// Jobs that wait for the model at once.
const WAITERS: usize = 200;
/// How long the stand-in model thinks.
const THINKS: Duration = Duration::from_secs(1);
const ANSWER: &str =
    r#"{"choices":[{"message":{"role":"assistant","content":"yes"},"finish_reason":"stop"}]}"#;

/// Asks the model once.
struct Ask(OpenAi);

#[async_trait]
impl Handler for Ask {
    async fn run(&self, context: Context) -> Result<Payload, Failure> {
        let request = ChatRequest {
            messages: vec![Message::new(Role::User, "?")],
            schema: None,
            max_tokens: None,
            temperature: None,
        };
        let answer = self
            .0
            .complete(&request)
            .await
            .map_err(|error| Failure::give_up("llm", error.to_string()))?;
        context.done(&answer.text)
    }
}

pub(super) async fn measure(setup: &Setup, report: &mut Report) -> Result<(), Exit> {
    say("model: sqlite");
    let sqlite = store::sqlite(&setup.folder, "model.db").await?;
    add("sqlite", waiting(sqlite).await?, report);
    if setup.redis.is_some() {
        say("model: redis");
        let server = Server::start(&setup.folder, &[]).await?;
        let redis = store::redis(&server.url()).await?;
        add("redis", waiting(redis).await?, report);
    }
    Ok(())
}

fn add(store: &str, seconds: f64, report: &mut Report) {
    let name = format!("{store}, {WAITERS} jobs that each wait 1 s for the model, one worker");
    report.add(Section::Model, Figure::new(name, seconds, "s"));
}

/// Seconds until all are done, with the limit of calls lifted.
async fn waiting(broker: Store) -> Result<f64, Exit> {
    let stop = CancellationToken::new();
    let url = stand_in(stop.clone())
        .await
        .map_err(|error| Exit::because("cannot start the stand-in model", &error))?;
    let _stopped_at_the_end = stop.drop_guard();
    let permits = Arc::new(Semaphore::new(WAITERS));
    let llm = OpenAi::new(OpenAiConfig::new(url, "stand-in"), permits, 1)
        .map_err(|error| Exit::because("cannot reach the stand-in model", &error))?;
    let jobs = (0..WAITERS).map(|_| load::job(KIND, SMALL_BYTES)).collect();
    broker.enqueue(jobs, false).await.map_err(failed)?;
    let begun = Instant::now();
    let handlers = Handlers::new().with(KIND, Ask(llm));
    let running = Running::start(broker.clone(), handlers, WAITERS);
    load::succeeded(broker.as_ref(), WAITERS).await?;
    let elapsed = begun.elapsed();
    running.stop().await?;
    Ok(elapsed.as_secs_f64())
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
