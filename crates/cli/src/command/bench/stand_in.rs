//! A language model that thinks as long as it is told to, and its client.

use std::sync::Arc;
use std::time::Duration;

use lovage_pipeline::llm::{ChatRequest, Llm, Message, OpenAi, OpenAiConfig, Role};
use lovage_workflow::Failure;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::exit::Exit;

const ANSWER: &str =
    r#"{"choices":[{"message":{"role":"assistant","content":"yes"},"finish_reason":"stop"}]}"#;

/// A server that thinks and says yes, in OpenAI's words. It ends when this is dropped.
pub(super) struct StandIn {
    url: String,
    _stop: DropGuard,
}

impl StandIn {
    /// A model that answers `thinks` after a question, however many there are.
    pub(super) async fn start(thinks: Duration) -> Result<Self, Exit> {
        let broken = |error| Exit::because("cannot start the stand-in model", &error);
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(broken)?;
        let url = format!("http://{}/v1", listener.local_addr().map_err(broken)?);
        let stop = CancellationToken::new();
        tokio::spawn(
            stop.clone()
                .run_until_cancelled_owned(serve(listener, thinks)),
        );
        let _stop = stop.drop_guard();
        Ok(Self { url, _stop })
    }

    /// A client that asks `calls` questions at once.
    pub(super) fn client(&self, calls: usize) -> Result<OpenAi, Exit> {
        let permits = Arc::new(Semaphore::new(calls));
        OpenAi::new(OpenAiConfig::new(self.url.clone(), "stand-in"), permits, 1)
            .map_err(|error| Exit::because("cannot reach the stand-in model", &error))
    }
}

/// Asks one question.
pub(super) async fn ask(llm: &OpenAi) -> Result<String, Failure> {
    let request = ChatRequest {
        messages: vec![Message::new(Role::User, "?")],
        schema: None,
        max_tokens: None,
        temperature: None,
    };
    let answer = llm.complete(&request).await;
    let answer = answer.map_err(|error| Failure::give_up("llm", error.to_string()))?;
    Ok(answer.text)
}

async fn serve(listener: TcpListener, thinks: Duration) {
    let mut calls = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => { calls.spawn(answer(stream, thinks)); }
            Some(_) = calls.join_next() => {}
        }
    }
}

async fn answer(mut stream: TcpStream, thinks: Duration) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !is_whole(&request) {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    tokio::time::sleep(thinks).await;
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
