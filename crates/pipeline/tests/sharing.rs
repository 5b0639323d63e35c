//! What is made once and shared: answers of models, pages, and what is not.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod pieces;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use lovage_pipeline::llm::{
    Cached, ChatRequest, ChatResponse, Llm, LlmError, LlmErrorKind, Message, Picture, Queued, Role,
    Sink, TokenUsage,
};
use lovage_pipeline::net::{CachedFetch, Fetch, FetchError, Page, Request, Validators, Want};
use lovage_tests::cache::MemoryCache;
use lovage_tests::clock::ManualClock;
use lovage_workflow::cache::{Cache, Shelf, ShelfCounts};
use pieces::Pieces;
use serde_json::json;
use tokio::sync::Notify;
use url::Url;

const KEEP: Duration = Duration::from_secs(600);

fn cache() -> (Arc<MemoryCache>, ManualClock) {
    let clock = ManualClock::default();
    (Arc::new(MemoryCache::new(clock.clone(), 8 << 20)), clock)
}

async fn counts(cache: &MemoryCache, shelf: Shelf) -> ShelfCounts {
    let stats = cache.counts().await.unwrap();
    let found = stats.shelves.into_iter().find(|(of, _)| *of == shelf);
    found.unwrap().1
}

/// Answers with the number of the call, or fails; may be told to wait.
#[derive(Default)]
struct Model {
    calls: AtomicUsize,
    failing: Mutex<Option<LlmErrorKind>>,
    gate: Option<Arc<Notify>>,
    model: &'static str,
}

impl Model {
    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Llm for Model {
    fn name(&self) -> &str {
        "numbers"
    }

    fn model(&self) -> &str {
        self.model
    }

    async fn complete(&self, _: &ChatRequest) -> Result<ChatResponse, LlmError> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        if let Some(gate) = &self.gate {
            gate.notified().await;
        }
        if let Some(kind) = *self.failing.lock().unwrap() {
            return Err(LlmError::new(kind, "told to fail"));
        }
        Ok(ChatResponse {
            text: format!("answer {call}"),
            usage: TokenUsage {
                prompt: Some(10),
                completion: Some(5),
                cached: None,
            },
            model: Some("numbers-1".to_owned()),
            calls: 1,
            queued: Queued::default(),
        })
    }

    async fn stream(
        &self,
        request: &ChatRequest,
        sink: Arc<dyn Sink>,
    ) -> Result<ChatResponse, LlmError> {
        let answer = self.complete(request).await?;
        answer
            .text
            .split_inclusive(' ')
            .for_each(|part| sink.delta(part));
        Ok(answer)
    }
}

fn ask(text: &str) -> ChatRequest {
    ChatRequest {
        messages: vec![Message::new(Role::User, text)],
        schema: None,
        max_tokens: Some(500),
        temperature: Some(0.2),
    }
}

fn over(model: &Arc<Model>, cache: &Arc<MemoryCache>, scope: &[&str]) -> Arc<Cached> {
    let cached = Cached::new(model.clone(), cache.clone(), scope, KEEP);
    Arc::new(cached)
}

#[tokio::test]
async fn an_answer_is_paid_once_and_costs_nothing_after() {
    let (cache, clock) = cache();
    let model = Arc::new(Model::default());
    let llm = over(&model, &cache, &["a"]);
    let first = llm.complete(&ask("x")).await.unwrap();
    assert_eq!((first.text.as_str(), first.calls), ("answer 1", 1));
    let again = llm.complete(&ask("x")).await.unwrap();
    assert_eq!((again.text, again.calls), (first.text.clone(), 0));
    assert_eq!(again.model.as_deref(), Some("numbers-1"));
    assert_eq!(first.usage.prompt, Some(10));
    assert_eq!(again.usage, TokenUsage::default(), "tokens are paid once");
    let counts = counts(&cache, Shelf::Llm).await;
    assert_eq!((counts.misses, counts.hits), (1, 1));
    clock.advance(KEEP);
    assert_eq!(llm.complete(&ask("x")).await.unwrap().text, "answer 2");
}

#[tokio::test]
async fn whatever_an_answer_depends_on_makes_another_call() {
    let (cache, _) = cache();
    let picture = |bytes: &'static [u8]| {
        let mut asked = ask("x");
        asked.messages[0].pictures.push(Picture {
            media_type: "image/jpeg",
            bytes: bytes.into(),
        });
        asked
    };
    let mut system = ask("x");
    system.messages[0].role = Role::System;
    let schema = |name: &str| ChatRequest {
        schema: Some((name.to_owned(), json!({"type": "object"}))),
        ..ask("x")
    };
    let requests = [
        ask("x"),
        ask("y"),
        system,
        picture(b"one"),
        picture(b"two"),
        schema("plan"),
        schema("other"),
        ChatRequest {
            max_tokens: None,
            ..ask("x")
        },
        ChatRequest {
            temperature: Some(0.3),
            ..ask("x")
        },
    ];
    let model = Arc::new(Model::default());
    let named = Arc::new(Model {
        model: "another",
        ..Model::default()
    });
    let mut asked = 0;
    for scope in [
        &["tenant", "v1"][..],
        &["tenantv1"],
        &["other", "v1"],
        &["tenant", "v2"],
    ] {
        let llm = over(&model, &cache, scope);
        for request in &requests {
            llm.complete(request).await.unwrap();
            llm.complete(request).await.unwrap();
            asked += 1;
        }
    }
    assert_eq!(model.calls(), asked);
    over(&named, &cache, &["tenant", "v1"])
        .complete(&ask("x"))
        .await
        .unwrap();
    assert_eq!(named.calls(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_meanwhile_gets_the_same_answer_in_one_piece() {
    let (cache, _) = cache();
    let gate = Arc::new(Notify::new());
    let model = Arc::new(Model {
        gate: Some(gate.clone()),
        ..Model::default()
    });
    let llm = over(&model, &cache, &["a"]);
    let stream = |llm: Arc<Cached>| async move {
        let pieces = Arc::new(Pieces::default());
        let answer = llm.stream(&ask("x"), pieces.clone()).await.unwrap();
        let pieces = pieces.0.lock().unwrap().clone();
        (answer.text, pieces)
    };
    let first = tokio::spawn(stream(llm.clone()));
    while model.calls() == 0 {
        tokio::task::yield_now().await;
    }
    let second = tokio::spawn(stream(llm.clone()));
    let third = tokio::spawn(stream(llm));
    gate.notify_one();
    assert_eq!(first.await.unwrap().1, ["answer ", "1"]);
    for other in [second, third] {
        let (text, pieces) = other.await.unwrap();
        assert_eq!(
            (text.as_str(), pieces),
            ("answer 1", vec!["answer 1".to_owned()])
        );
    }
    assert_eq!(model.calls(), 1);
    let counts = counts(&cache, Shelf::Llm).await;
    assert_eq!((counts.misses, counts.hits + counts.shared), (1, 2));
}

#[tokio::test]
async fn failures_are_neither_kept_nor_shared() {
    let (cache, _) = cache();
    let gate = Arc::new(Notify::new());
    let model = Arc::new(Model {
        gate: Some(gate.clone()),
        failing: Mutex::new(Some(LlmErrorKind::Truncated)),
        ..Model::default()
    });
    let llm = over(&model, &cache, &["a"]);
    let asked = ask("x");
    let (first, second, ()) = tokio::join!(llm.complete(&asked), llm.complete(&asked), async {
        gate.notify_one();
        while model.calls() < 2 {
            tokio::task::yield_now().await;
        }
        *model.failing.lock().unwrap() = None;
        gate.notify_one();
    });
    assert_eq!(first.unwrap_err().kind, LlmErrorKind::Truncated);
    assert_eq!(second.unwrap().text, "answer 2");
}

#[tokio::test]
async fn a_maker_that_is_stopped_makes_nobody_wait() {
    let (cache, _) = cache();
    let model = Arc::new(Model {
        gate: Some(Arc::new(Notify::new())),
        ..Model::default()
    });
    let stopped = over(&model, &cache, &["a"]);
    let asked = ask("x");
    let mut begun = Box::pin(stopped.complete(&asked));
    while model.calls() == 0 {
        assert!(futures_util::poll!(begun.as_mut()).is_pending());
    }
    drop(begun);
    let other = Arc::new(Model::default());
    let llm = over(&other, &cache, &["a"]);
    let answer = llm.complete(&asked);
    let answer = tokio::time::timeout(Duration::from_secs(3), answer).await;
    assert_eq!(answer.unwrap().unwrap().text, "answer 1");
}

#[tokio::test]
async fn an_answer_of_no_use_is_not_given_again() {
    let (cache, _) = cache();
    let model = Arc::new(Model::default());
    let llm = over(&model, &cache, &["a"]);
    llm.complete(&ask("x")).await.unwrap();
    llm.reject(&ask("x")).await;
    assert_eq!(llm.complete(&ask("x")).await.unwrap().text, "answer 2");
}

#[tokio::test]
async fn a_cache_that_fails_hinders_nobody() {
    let (_, clock) = cache();
    // No room at all: nothing is kept, everyone asks.
    let cache = Arc::new(MemoryCache::new(clock, 0));
    let model = Arc::new(Model::default());
    let llm = over(&model, &cache, &["a"]);
    for number in 1..=2 {
        let answer = llm.complete(&ask("x")).await.unwrap();
        assert_eq!(answer.text, format!("answer {number}"));
    }
}

/// A site that answers as its paths say, and counts.
#[derive(Default)]
struct Site(AtomicUsize);

#[async_trait]
impl Fetch for Site {
    async fn send(&self, request: &Request) -> Result<Page, FetchError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let (status, cache_control) = match request.url.path() {
            "/secret" => (200, Some("no-store")),
            "/mine" => (200, Some("private, max-age=60")),
            "/stale" => (200, Some("max-age=0")),
            "/short" => (200, Some("public, max-age=5")),
            "/gone" | "/robots.txt" => (404, None),
            "/broken" => (500, None),
            "/closed" => return Err(FetchError::Network("closed".to_owned())),
            _ => (200, None),
        };
        Ok(Page {
            url: request.url.clone(),
            status,
            content_type: Some("text/html".to_owned()),
            etag: Some("\"1\"".to_owned()),
            last_modified: None,
            cache_control: cache_control.map(str::to_owned),
            retry_after: None,
            body: vec![0xff, 0, b'\n', 7].into(),
        })
    }
}

fn url(path: &str) -> Url {
    Url::parse("https://news.example")
        .unwrap()
        .join(path)
        .unwrap()
}

#[tokio::test]
async fn a_page_is_fetched_as_often_as_its_site_wants() {
    for (path, want, fetches) in [
        ("/story", Want::Html, 1),
        ("/story#part", Want::Html, 1),
        ("/feed", Want::Feed, 1),
        ("/robots.txt", Want::Robots, 1),
        ("/short", Want::Html, 2),
        ("/secret", Want::Html, 3),
        ("/mine", Want::Html, 3),
        ("/stale", Want::Html, 3),
        ("/gone", Want::Html, 3),
        ("/broken", Want::Html, 3),
        ("/closed", Want::Html, 3),
    ] {
        let (cache, clock) = cache();
        let site = Arc::new(Site::default());
        let fetch = CachedFetch::new(site.clone(), cache, KEEP);
        let first = fetch.get(&url(path), want).await;
        assert_eq!(fetch.get(&url(path), want).await, first, "{path}");
        clock.advance(Duration::from_secs(6));
        assert_eq!(fetch.get(&url(path), want).await, first, "{path}");
        assert_eq!(site.0.load(Ordering::SeqCst), fetches, "{path}");
    }
}

#[tokio::test]
async fn the_same_page_is_one_however_it_is_asked_for() {
    let (cache, _) = cache();
    let site = Arc::new(Site::default());
    let fetch = CachedFetch::new(site.clone(), cache.clone(), KEEP);
    let plain = Request::get(url("/a"), Want::Answer);
    fetch.send(&plain).await.unwrap();
    let known = Request {
        known: Validators {
            etag: Some("\"1\"".to_owned()),
            last_modified: None,
        },
        ..plain.clone()
    };
    fetch.send(&known).await.unwrap();
    assert_eq!(site.0.load(Ordering::SeqCst), 1);
    let posted = Request {
        json: Some("{}".into()),
        ..plain.clone()
    };
    fetch.send(&posted).await.unwrap();
    fetch.get(&url("/a"), Want::Html).await.unwrap();
    fetch.get(&url("/a?b"), Want::Answer).await.unwrap();
    let named = Request::of_operator(url("/a"), Want::Answer);
    for _ in 0..2 {
        fetch.send(&named).await.unwrap();
    }
    assert_eq!(
        site.0.load(Ordering::SeqCst),
        5,
        "a document, a want, a query, who named it"
    );
    assert_eq!(counts(&cache, Shelf::Page).await.hits, 2);
}
