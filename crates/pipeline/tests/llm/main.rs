//! The OpenAI client against a stand-in provider: every fault, every shape of answer.

#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps fails, as it should"
)]

mod admission;
mod answers;
mod decisions;
mod faults;
mod permits;
mod settings;
mod stand_in;
mod streaming;
mod structured;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::time::{Duration, SystemTime};

use lovage_pipeline::llm::{
    ChatRequest, ChatResponse, Decision, Llm, LlmError, LlmErrorKind as Kind, Message, OpenAi,
    OpenAiConfig, PARK_AFTER, RetryPolicy, Role, Secret, SetupError, Sink, TokenUsage, classify,
    decide,
};
use lovage_pipeline::script::types::{OutlineSection, PlannedQuery};
use lovage_tests::llm::{Answer, Ending, StandIn};
use rand::SeedableRng;
use rand::rngs::StdRng;
use reqwest::header::{HeaderMap, HeaderName};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc};

const KEY: &str = "sk-very-secret-1234567890";

fn install_tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        rustls::crypto::ring::default_provider()
            .install_default()
            .unwrap();
    });
}

/// Standard bounds, but no test waits for its back-off.
const QUICK: RetryPolicy = RetryPolicy {
    backoff_base: Duration::from_micros(100),
    backoff_max: Duration::from_millis(1),
    spread: Duration::ZERO,
    ..RetryPolicy::STANDARD
};

fn config(base_url: &str) -> OpenAiConfig {
    OpenAiConfig {
        api_key: Some(Secret::new(KEY)),
        retry: QUICK,
        ..OpenAiConfig::new(base_url, "test-model")
    }
}

fn open(config: OpenAiConfig) -> OpenAi {
    open_with(config, Arc::new(Semaphore::new(3)))
}

fn open_with(config: OpenAiConfig, permits: Arc<Semaphore>) -> OpenAi {
    install_tls();
    OpenAi::new(config, permits, 7).unwrap()
}

fn ask(text: &str) -> ChatRequest {
    ChatRequest {
        messages: vec![Message::new(Role::User, text)],
        schema: None,
        max_tokens: Some(500),
        temperature: Some(0.2),
    }
}

fn ask_json(text: &str) -> ChatRequest {
    let schema = json!({"type": "object", "required": ["ok"]});
    ChatRequest {
        schema: Some(("verdict".to_owned(), schema)),
        ..ask(text)
    }
}

#[derive(Default)]
struct Recorder {
    text: Mutex<String>,
    resets: AtomicUsize,
}

impl Recorder {
    fn text(&self) -> String {
        self.text.lock().unwrap().clone()
    }

    fn resets(&self) -> usize {
        self.resets.load(Ordering::SeqCst)
    }
}

impl Sink for Recorder {
    fn delta(&self, text: &str) {
        self.text.lock().unwrap().push_str(text);
    }

    fn reset(&self) {
        self.text.lock().unwrap().clear();
        self.resets.fetch_add(1, Ordering::SeqCst);
    }
}

fn error(status: u16, body: Value) -> Answer {
    Answer::json(status, body)
}

fn openai_error(status: u16, code: &str, message: &str) -> Answer {
    let body = json!({"error": {"message": message, "type": "x", "param": null, "code": code}});
    Answer::json(status, body)
}

/// A whole answer with this choice.
fn choice(choice: Value) -> Answer {
    let usage = json!({"prompt_tokens": 9, "completion_tokens": 3});
    Answer::json(200, json!({"choices": [choice], "usage": usage}))
}

fn delta(text: &str) -> Value {
    json!({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]})
}
