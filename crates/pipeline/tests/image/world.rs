//! A small web whose articles show images, and a model that looks at them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::Timestamp;
use lovage_pipeline::llm::{Llm, OpenAi, OpenAiConfig};
use lovage_pipeline::net::{CorpusFetcher, Fetch, FetchError, Origin, Page, Request, Want};
use lovage_pipeline::news::{Research, feeds};
use lovage_pipeline::script::types::ScriptResult;
use lovage_pipeline::script::{Deps, Prices, ScriptHandler};
use lovage_tests::llm::StandIn;
use lovage_workflow::memory::MemoryJournal;
use lovage_workflow::{Clock, Failure, Handler};
use serde_json::Value;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};

use crate::made::jpeg;

pub(crate) const TOPIC: &str = "한빛시 자율주행 심야버스";
/// Articles that are readable, on the topic, and no repeats of others.
const ARTICLES: [(&str, &str); 4] = [
    ("https://daily.hanbit.example/news/ko1", "ko1"),
    ("https://www.hbtraffic.example/news/ko3", "ko3"),
    ("https://saebyeok.example/news/ko4", "ko4"),
    ("https://blog.citymove.example/news/ko5", "ko5"),
];

/// The sample, its articles with three images each.
#[derive(Default)]
pub(crate) struct Door {
    asked: Mutex<Vec<String>>,
    bodies: Mutex<HashMap<String, Vec<u8>>>,
    held: Mutex<Option<String>>,
    let_go: Notify,
}

impl Door {
    /// Images that were asked for, in this order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Answers a request for this image with these bytes.
    pub(crate) fn answer(&self, image: &str, bytes: impl Into<Vec<u8>>) {
        self.bodies
            .lock()
            .unwrap()
            .insert(image.to_owned(), bytes.into());
    }

    /// Keeps a request for this image waiting until [`Door::let_go`].
    pub(crate) fn hold(&self, image: &str) {
        *self.held.lock().unwrap() = Some(image.to_owned());
    }

    /// Answers what was kept waiting.
    pub(crate) fn let_go(&self) {
        self.let_go.notify_one();
    }

    async fn image(&self, url: &url::Url) -> Result<Page, FetchError> {
        let name = url.path().trim_start_matches("/img/").to_owned();
        self.asked.lock().unwrap().push(name.clone());
        let held = self.held.lock().unwrap().as_ref() == Some(&name);
        if held {
            self.let_go.notified().await;
        }
        let set = self.bodies.lock().unwrap().get(&name).cloned();
        let body = match set {
            Some(bytes) if bytes.is_empty() => return Err(FetchError::Network("reset".to_owned())),
            Some(bytes) => bytes,
            None => jpeg(220, 160, seed(&name)),
        };
        Ok(page(url, "image/jpeg", body))
    }
}

#[async_trait]
impl Fetch for Door {
    async fn send(&self, request: &Request) -> Result<Page, FetchError> {
        if request.want == Want::Image {
            assert_eq!(request.origin, Origin::Stranger, "a page named it");
            return self.image(&request.url).await;
        }
        let mut bare = request.url.clone();
        bare.set_query(None);
        let article = ARTICLES.iter().find(|(url, _)| *url == bare.as_str());
        match article {
            Some((_, id)) => Ok(page(&bare, "text/html; charset=utf-8", article_of(id))),
            None => CorpusFetcher.send(request).await,
        }
    }
}

/// Another picture for each name.
fn seed(name: &str) -> u32 {
    let bytes = name.bytes().map(u32::from);
    bytes.fold(7, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte))
}

fn page(url: &url::Url, content_type: &str, body: Vec<u8>) -> Page {
    Page {
        url: url.clone(),
        status: 200,
        content_type: Some(content_type.to_owned()),
        etag: None,
        last_modified: None,
        retry_after: None,
        cache_control: None,
        body: body.into(),
    }
}

/// The text of an article, with images whose pages call them by their names.
fn article_of(id: &str) -> Vec<u8> {
    let gold = format!("{}/corpus/gold/{id}.txt", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(gold).unwrap();
    let paragraphs: String = text.lines().map(|line| format!("<p>{line}</p>")).collect();
    let images: String = ["a", "b", "c"]
        .map(|name| format!("<img src=\"/img/{id}{name}.jpg\" alt=\"{id}{name}\">"))
        .concat();
    format!("<html lang=\"ko\"><body><article>{images}{paragraphs}</article></body></html>")
        .into_bytes()
}

/// A handler in this world.
pub(crate) fn handler(door: &Arc<Door>, stand_in: Option<&StandIn>) -> ScriptHandler {
    ScriptHandler::new(deps(door, stand_in))
}

/// What a handler in this world rests on.
pub(crate) fn deps(door: &Arc<Door>, stand_in: Option<&StandIn>) -> Deps {
    // Another test of this process may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let llm = stand_in.map(|stand_in| {
        let config = OpenAiConfig::new(stand_in.url(), "stand-in");
        let openai = OpenAi::new(config, Arc::new(Semaphore::new(3)), 7);
        Arc::new(openai.unwrap()) as Arc<dyn Llm>
    });
    let pages = Arc::clone(door) as Arc<dyn Fetch>;
    let research = Research::live(feeds(CorpusFetcher::feeds(), &pages), pages);
    Deps {
        vision: llm.clone(),
        llm,
        prices: Prices::default(),
        research: Arc::new(research.with_host_gap(Duration::ZERO)),
        sharing: None,
    }
}

/// The day after the last Korean article of the sample: later their news is old.
pub(crate) struct Day;

impl Clock for Day {
    fn now(&self) -> Timestamp {
        "2026-11-17T00:00:00Z".parse().unwrap()
    }
}

/// One attempt at a job.
pub(crate) async fn run(
    handler: &ScriptHandler,
    journal: &Arc<MemoryJournal>,
    input: &Value,
) -> Result<ScriptResult, Failure> {
    let context = journal.attempt_at(1, input, Arc::new(Day));
    let result = handler.run(context).await?;
    Ok(result.read().unwrap())
}
