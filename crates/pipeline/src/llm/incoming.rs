//! Reading a response: whole or streamed, within bounds of time and size.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqwest::Response;
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::classify::{classify, is_error};
use super::piece::Piece;
use super::relay::{Assembly, Relay};
use super::sse::{LINE_BYTES_MAX, SseReader};
use super::{LlmError, LlmErrorKind, Secret};

/// Bytes of a whole answer, which is text in JSON.
const BODY_BYTES_MAX: usize = 8 << 20;
/// Bytes of a refusal that are looked at.
const REFUSAL_BYTES_MAX: usize = 64 << 10;

/// A response being read.
pub(crate) struct Incoming<'a> {
    pub(crate) response: Response,
    /// When the whole try has to be over.
    pub(crate) deadline: Instant,
    /// The longest silence between two chunks.
    pub(crate) idle: Duration,
    /// The key, which some providers quote in their refusals.
    pub(crate) key: Option<&'a Secret>,
}

impl Incoming<'_> {
    /// Some servers answer a request for a stream with one document.
    pub(crate) fn is_json(&self) -> bool {
        let kind = self.response.headers().get(CONTENT_TYPE);
        kind.and_then(|kind| kind.to_str().ok())
            .is_some_and(|kind| kind.contains("json"))
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, LlmError> {
        let by = self.deadline.min(Instant::now() + self.idle);
        timeout_at(by, self.response.chunk())
            .await
            .map_err(|_| too_slow())?
            .map_err(network)
    }

    /// The error a refused call stands for. What cannot be read of the body is left out.
    pub(crate) async fn refusal(mut self) -> LlmError {
        let mut body = Vec::new();
        while body.len() < REFUSAL_BYTES_MAX
            && let Ok(Some(chunk)) = self.chunk().await
        {
            body.extend_from_slice(&chunk);
        }
        self.classify(self.response.status().as_u16(), &body)
    }

    pub(crate) async fn read_whole(
        &mut self,
        assembly: &mut Assembly,
        relay: &mut Relay,
    ) -> Result<(), LlmError> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if body.len() + chunk.len() > BODY_BYTES_MAX {
                let detail = format!("the answer is larger than {BODY_BYTES_MAX} bytes");
                return Err(LlmError::new(LlmErrorKind::Truncated, detail));
            }
            body.extend_from_slice(&chunk);
        }
        let document = serde_json::from_slice(&body)
            .map_err(|error| LlmError::new(LlmErrorKind::Server, not_json(&error)))?;
        self.add(&document, assembly, relay)?;
        assembly.done();
        Ok(())
    }

    pub(crate) async fn read_stream(
        &mut self,
        assembly: &mut Assembly,
        relay: &mut Relay,
    ) -> Result<(), LlmError> {
        let mut reader = SseReader::default();
        while !assembly.is_done() {
            let chunk = match self.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => {
                    return reader
                        .end_line()
                        .map_or(Ok(()), |data| self.take(&data, assembly, relay));
                }
                // Only the usage and `[DONE]` can be missing.
                Err(_) if assembly.is_finished() => return Ok(()),
                Err(error) if error.kind == LlmErrorKind::Network => {
                    return Err(broken(error.detail));
                }
                Err(error) => return Err(error),
            };
            let lines = reader.push(&chunk).map_err(|_| {
                broken(format!(
                    "a line of the stream is longer than {LINE_BYTES_MAX} bytes"
                ))
            })?;
            for data in lines {
                self.take(&data, assembly, relay)?;
            }
        }
        Ok(())
    }

    /// One event of a stream. Anything but JSON is some server's keep-alive.
    fn take(&self, data: &str, assembly: &mut Assembly, relay: &mut Relay) -> Result<(), LlmError> {
        if data == "[DONE]" {
            assembly.done();
        } else if data.starts_with(['{', '[']) {
            let document = serde_json::from_str(data).map_err(|error| broken(not_json(&error)))?;
            self.add(&document, assembly, relay)?;
        }
        Ok(())
    }

    /// One JSON document: the answer, a chunk of it, or an error with status 200.
    fn add(
        &self,
        document: &Value,
        assembly: &mut Assembly,
        relay: &mut Relay,
    ) -> Result<(), LlmError> {
        if is_error(document) {
            return Err(self.classify(200, document.to_string().as_bytes()));
        }
        assembly.add(Piece::read(document), relay)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the one reading of the wall clock; `classify` takes it as an argument"
    )]
    fn classify(&self, status: u16, body: &[u8]) -> LlmError {
        let headers = self.response.headers();
        let now = SystemTime::now();
        match self.key {
            None => classify(status, headers, body, now),
            Some(key) => {
                let body = String::from_utf8_lossy(body).replace(key.expose(), "***");
                classify(status, headers, body.as_bytes(), now)
            }
        }
    }
}

pub(crate) fn too_slow() -> LlmError {
    LlmError::new(LlmErrorKind::Timeout, "the model took too long to answer")
}

fn not_json(error: &serde_json::Error) -> String {
    format!("the response is not JSON: {error}")
}

fn broken(detail: String) -> LlmError {
    LlmError::new(LlmErrorKind::StreamBroken, detail)
}

/// What went wrong on the way, with its causes and without the address, whose
/// query may hold a key.
pub(crate) fn network(error: reqwest::Error) -> LlmError {
    let error = error.without_url();
    let mut detail = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        detail = format!("{detail}: {error}");
        cause = error.source();
    }
    LlmError::new(LlmErrorKind::Network, detail)
}
