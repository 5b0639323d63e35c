//! What is recorded is played as it was, asks nobody, and tells what it lacks.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod pieces;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use lovage_pipeline::llm::{
    ChatRequest, ChatResponse, Llm, LlmError, LlmErrorKind, Message, Queued, Role, Sink, Spent,
    Taped, TokenUsage,
};
use lovage_pipeline::net::{Fetch, FetchError, Page, Request, TapedFetch, Want};
use lovage_pipeline::secret::Secret;
use lovage_pipeline::tape::Tape;
use pieces::Pieces;
use tempfile::TempDir;
use url::Url;

const KEY: &str = "sk-very-secret-1234567890";

/// Gives these answers in turn, and none where it must not be asked.
struct Model(Mutex<Vec<Result<ChatResponse, LlmError>>>);

#[async_trait]
impl Llm for Model {
    fn name(&self) -> &str {
        "model"
    }

    fn model(&self) -> &str {
        "model-1"
    }

    async fn complete(&self, _: &ChatRequest) -> Result<ChatResponse, LlmError> {
        self.0.lock().unwrap().remove(0)
    }

    async fn stream(
        &self,
        request: &ChatRequest,
        _: Arc<dyn Sink>,
    ) -> Result<ChatResponse, LlmError> {
        self.complete(request).await
    }
}

fn ask(text: &str) -> ChatRequest {
    ChatRequest {
        messages: vec![Message::new(Role::User, text)],
        schema: None,
        max_tokens: None,
        temperature: Some(0.2),
    }
}

fn answer(text: &str) -> Result<ChatResponse, LlmError> {
    Ok(ChatResponse {
        text: text.to_owned(),
        usage: TokenUsage {
            prompt: Some(3),
            completion: None,
            cached: None,
        },
        model: Some("model-1b".to_owned()),
        calls: 2,
        queued: Queued::default(),
    })
}

fn broken() -> Result<ChatResponse, LlmError> {
    Err(LlmError {
        retry_after: Some(Duration::from_millis(1_500)),
        status: Some(200),
        partial: Some("half".to_owned()),
        spent: Box::new(Spent {
            calls: 5,
            ..Spent::default()
        }),
        ..LlmError::new(LlmErrorKind::StreamBroken, "broke")
    })
}

async fn record(folder: &TempDir) -> Arc<Tape> {
    Arc::new(Tape::record(folder.path()).await.unwrap())
}

async fn play(folder: &TempDir) -> Arc<Tape> {
    Arc::new(Tape::play(folder.path()).await.unwrap())
}

fn model(answers: Vec<Result<ChatResponse, LlmError>>, tape: &Arc<Tape>) -> Taped {
    Taped::new(Arc::new(Model(Mutex::new(answers))), tape.clone())
}

async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), work)
        .await
        .expect("in time")
}

#[tokio::test]
async fn answers_are_played_in_the_order_they_were_given() {
    let folder = tempfile::tempdir().unwrap();
    let tape = record(&folder).await;
    let given = vec![broken(), answer("first"), answer("again")];
    let llm = model(given.clone(), &tape);
    let mut told = Vec::new();
    for text in ["x", "x", "y"] {
        told.push(llm.complete(&ask(text)).await);
    }
    assert_eq!((told, tape.troubled()), (given.clone(), None));

    let tape = play(&folder).await;
    let llm = model(Vec::new(), &tape);
    assert_eq!((llm.name(), llm.model()), ("model", "model-1"));
    let pieces = Arc::new(Pieces::default());
    assert_eq!(soon(llm.stream(&ask("x"), pieces.clone())).await, given[0]);
    assert_eq!(soon(llm.stream(&ask("x"), pieces.clone())).await, given[1]);
    assert_eq!(*pieces.0.lock().unwrap(), ["half", "first"]);
    assert_eq!(soon(llm.complete(&ask("y"))).await, given[2]);
    assert_eq!(tape.troubled(), None);
}

#[tokio::test]
async fn a_question_that_was_not_asked_is_told_and_not_answered() {
    let folder = tempfile::tempdir().unwrap();
    let tape = record(&folder).await;
    model(vec![answer("one")], &tape)
        .complete(&ask("x"))
        .await
        .unwrap();
    for asked in ["another topic", "x"] {
        let tape = play(&folder).await;
        let llm = model(Vec::new(), &tape);
        if asked == "x" {
            soon(llm.complete(&ask("x"))).await.unwrap();
        }
        let asked_request = ask(asked);
        let trouble = tokio::select! {
            answer = llm.complete(&asked_request) => panic!("{answer:?}"),
            trouble = soon(tape.trouble()) => trouble,
        };
        let folder = folder.path().display().to_string();
        for part in [asked, "has no answer", &folder] {
            assert!(trouble.contains(part), "{trouble}");
        }
    }
}

#[tokio::test]
async fn one_folder_holds_one_run() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mine.txt"), "mine").unwrap();
    let refused = Tape::record(folder.path()).await.err().unwrap();
    assert!(refused.to_string().contains("not empty"), "{refused}");
    assert!(Tape::play(Path::new("/there/is/no/folder")).await.is_err());
}

#[tokio::test]
async fn what_cannot_be_written_is_trouble() {
    let folder = tempfile::tempdir().unwrap();
    let tape = record(&folder).await;
    folder.close().unwrap();
    let llm = model(vec![answer("one")], &tape);
    llm.complete(&ask("x")).await.unwrap();
    assert!(tape.troubled().unwrap().contains("cannot write"));
}

/// A site whose answers its paths say.
struct Site;

#[async_trait]
impl Fetch for Site {
    async fn send(&self, request: &Request) -> Result<Page, FetchError> {
        let body: &[u8] = match request.url.path() {
            "/text" => "<p>한빛시</p>".as_bytes(),
            "/bytes" => &[0xff, 0xfe, 0],
            "/late" => return Err(FetchError::Timeout(20)),
            "/large" => return Err(FetchError::TooLarge(3)),
            "/hangs" => std::future::pending().await,
            path => panic!("asked for {path}"),
        };
        Ok(Page {
            url: request.url.clone(),
            status: 203,
            content_type: Some("text/html; charset=utf-8".to_owned()),
            etag: Some("W/\"1\"".to_owned()),
            last_modified: None,
            cache_control: Some("no-store".to_owned()),
            retry_after: None,
            body: body.to_vec().into(),
        })
    }
}

/// Nobody who must not be asked.
struct Nobody;

#[async_trait]
impl Fetch for Nobody {
    async fn send(&self, request: &Request) -> Result<Page, FetchError> {
        panic!("asked for {}", request.url)
    }
}

fn mask(address: &str) -> String {
    address.replace(KEY, "***")
}

fn site(path: &str) -> Url {
    Url::parse("https://news.example")
        .unwrap()
        .join(path)
        .unwrap()
}

#[tokio::test]
async fn pages_and_failures_are_played_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["/text", "/bytes", "/late", "/large"];
    let fetch = TapedFetch::new(Arc::new(Site), record(&folder).await, mask);
    let mut recorded = Vec::new();
    for path in paths {
        recorded.push(fetch.get(&site(path), Want::Html).await);
    }
    let fetch = TapedFetch::new(Arc::new(Nobody), play(&folder).await, mask);
    for (path, recorded) in paths.into_iter().zip(recorded) {
        assert_eq!(
            soon(fetch.get(&site(path), Want::Html)).await,
            recorded,
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_page_nobody_waited_for_is_not_waited_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let fetch = TapedFetch::new(Arc::new(Site), record(&folder).await, mask);
    let hangs = site("/hangs");
    let text = site("/text");
    tokio::select! {
        page = fetch.get(&hangs, Want::Html) => panic!("{page:?}"),
        _ = async {
            // Recorded as asked for before it is.
            while std::fs::read_dir(folder.path()).unwrap().count() == 0 {
                tokio::task::yield_now().await;
            }
        } => {}
    }
    let tape = play(&folder).await;
    let fetch = TapedFetch::new(Arc::new(Nobody), tape.clone(), mask);
    // Nor is one that the recorded run may not have come to.
    tokio::select! {
        page = fetch.get(&hangs, Want::Html) => panic!("{page:?}"),
        page = fetch.get(&text, Want::Html) => panic!("{page:?}"),
        () = tokio::time::sleep(Duration::from_millis(200)) => {}
    }
    assert_eq!(tape.troubled(), None);
}

#[tokio::test]
async fn no_secret_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let fetch = TapedFetch::new(Arc::new(Site), record(&folder).await, mask);
    let request = Request {
        secrets: vec![("x-api-key", Secret::new(KEY))],
        ..Request::get(site(&format!("/text?api_key={KEY}")), Want::Html)
    };
    fetch.send(&request).await.unwrap();
    let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(files.len(), 1);
    for file in files {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        assert!(text.contains("한빛시") && !text.contains(KEY), "{text}");
    }
    // Who plays it has another key, or none.
    let other = Request {
        secrets: Vec::new(),
        ..Request::get(site("/text?api_key=***"), Want::Html)
    };
    let fetch = TapedFetch::new(Arc::new(Nobody), play(&folder).await, mask);
    assert_eq!(soon(fetch.send(&other)).await.unwrap().status, 203);
}
