//! An API and workers on one Redis, with a stand-in language model.

use std::path::Path;
use std::time::Duration;

use lovage_client::Client;
use lovage_client::wire::EnqueueRequest;
use lovage_tests::llm::StandIn;
use lovage_tests::redis::RedisServer;
use serde_json::{Value, json};
use tokio::time::sleep;
use uuid::Uuid;

use crate::process::{Program, Running, Server, binary};

/// Pause before a call that a store or server out of order refused is made again.
const PAUSE: Duration = Duration::from_millis(50);

/// Settings, as variables.
pub(crate) type Settings<'a> = &'a [(&'a str, &'a str)];

/// A whole system. Dropping it ends every process.
pub(crate) struct System {
    /// The store.
    pub(crate) redis: RedisServer,
    /// The model.
    pub(crate) llm: StandIn,
    /// The API.
    pub(crate) api: Server,
    settings: Vec<(String, String)>,
}

/// A worker process.
pub(crate) struct Worker {
    /// The process.
    pub(crate) running: Running,
    /// Its id, as events name it.
    pub(crate) id: String,
}

/// A job that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Job {
    /// Its id.
    pub(crate) id: Uuid,
    /// Its topic; no other job has it.
    pub(crate) topic: String,
}

impl System {
    /// A store, a model and an API; no worker yet.
    pub(crate) async fn start(redis: &[&str], settings: Settings<'_>) -> Self {
        let redis = RedisServer::start_with(redis).await;
        let llm = StandIn::start().await;
        let mut all: Vec<(String, String)> = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        all.push(("REDIS_URL".to_owned(), redis.url()));
        all.push(("LOVAGE__LLM__BASE_URL".to_owned(), llm.url().to_owned()));
        let api = Program::new(["api", "--listen", "127.0.0.1:0"]);
        let api = api.envs(borrowed(&all)).serve().await;
        Self {
            redis,
            llm,
            api,
            settings: all,
        }
    }

    /// A command line with the settings of this system.
    pub(crate) fn program<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Program {
        self.program_of(&binary(), args)
    }

    /// A command line of the `lovage` at `binary` with the settings of this system.
    pub(crate) fn program_of<'a>(
        &self,
        binary: &Path,
        args: impl IntoIterator<Item = &'a str>,
    ) -> Program {
        let program = Program::of(binary, args).envs(borrowed(&self.settings));
        if binary == self::binary() {
            // The bills of these tests are of plans and scripts.
            program.env("LOVAGE__LLM__VISION_MODEL", "off")
        } else {
            program
        }
    }

    /// One more worker, when it has registered.
    pub(crate) async fn worker(&self, slots: u32) -> Worker {
        self.worker_of(&binary(), slots).await
    }

    /// One more worker that is the `lovage` at `binary`, when it has registered.
    pub(crate) async fn worker_of(&self, binary: &Path, slots: u32) -> Worker {
        let slots = slots.to_string();
        let worker = self.program_of(binary, ["worker", "--concurrency", &slots]);
        let running = worker.start();
        let line = running.says("worker registered").await;
        let line: Value = serde_json::from_str(&line).unwrap();
        let id = line["worker"].as_str().unwrap().to_owned();
        Worker { running, id }
    }

    /// A caller of the API.
    pub(crate) fn client(&self) -> &Client {
        &self.api.client
    }

    /// Enqueues a script about the `number`-th topic.
    pub(crate) async fn enqueue(&self, number: usize) -> Job {
        enqueue(self.client(), number).await
    }
}

/// Enqueues a script about the `number`-th topic, trying again while server or
/// store are out of order. Its attempts do not run out.
pub(crate) async fn enqueue(client: &Client, number: usize) -> Job {
    let topic = numbered("lumen bay tidal battery", number);
    let input = json!({"topic": topic, "max_sources": 4});
    let mut request = EnqueueRequest::new("script.generate", &input).unwrap();
    request.attempts_max = Some(1_000);
    loop {
        match client.enqueue(&request, Some(&topic)).await {
            Ok(job) => return Job { id: job.id, topic },
            Err(error) if error.is_transient() => sleep(PAUSE).await,
            Err(error) => panic!("cannot enqueue {topic:?}: {error}"),
        }
    }
}

/// A topic of its own for each number: the bits of the number are its capitals.
/// A word more would be one that the articles do not hold.
pub(crate) fn numbered(topic: &str, number: usize) -> String {
    let mut bits = number;
    let mut numbered = String::new();
    for letter in topic.chars() {
        let capital = letter.is_ascii_lowercase() && bits % 2 == 1;
        bits /= if letter.is_ascii_lowercase() { 2 } else { 1 };
        numbered.push(if capital {
            letter.to_ascii_uppercase()
        } else {
            letter
        });
    }
    assert_eq!(bits, 0, "{number} is too large for {topic:?}");
    numbered
}

fn borrowed(settings: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    settings
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
}
