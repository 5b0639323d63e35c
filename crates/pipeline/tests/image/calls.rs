//! The calls about images: what they cost, what they wait for, what is shared.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use lovage_pipeline::llm::{
    ChatRequest, ChatResponse, Llm, LlmError, LlmErrorKind, PARK_AFTER, Price, Sink,
};
use lovage_pipeline::script::types::{ResultStatus, ScriptResult};
use lovage_pipeline::script::{Deps, Prices, ScriptHandler, Sharing};
use lovage_pipeline::{Kinds, standard};
use lovage_tests::cache::MemoryCache;
use lovage_tests::clock::ManualClock;
use lovage_tests::llm::{Answer, StandIn};
use lovage_workflow::memory::MemoryJournal;
use lovage_workflow::{Clock, Failure, Handler};
use serde_json::json;
use tokio::sync::Notify;

use crate::world::{Day, Door, TOPIC, deps, handler, run};

const CHEAP: Price = Price {
    input: 1.0,
    output: 2.0,
    cached: None,
};
const DEAR: Price = Price {
    input: 30.0,
    output: 60.0,
    cached: None,
};

/// How many calls about pictures were made.
fn looks(stand_in: &StandIn) -> usize {
    let pictures = stand_in.pictures();
    pictures.iter().filter(|count| **count > 0).count()
}

fn described(result: &ScriptResult) -> usize {
    let images = result.images.iter();
    images.filter(|image| image.analysis.is_some()).count()
}

/// Two models over one stand-in that depend on each other: the one that writes
/// begins once all calls about images have ended, one of them refused.
struct Pair {
    inner: Arc<dyn Llm>,
    looked: Notify,
    looks: AtomicUsize,
}

/// Refuses the first call, and asks for a long wait.
struct Eyes(Arc<Pair>);

struct Writer(Arc<Pair>);

#[async_trait]
impl Llm for Eyes {
    fn name(&self) -> &str {
        self.0.inner.name()
    }

    fn model(&self) -> &str {
        self.0.inner.model()
    }

    async fn complete(&self, request: &ChatRequest) -> Result<ChatResponse, LlmError> {
        if self.0.looks.fetch_add(1, Ordering::SeqCst) > 0 {
            let answer = self.0.inner.complete(request).await;
            self.0.looked.notify_one();
            return answer;
        }
        Err(LlmError {
            retry_after: Some(PARK_AFTER + Duration::from_secs(1)),
            limit: Some("openai/eyes tpm".to_owned()),
            ..LlmError::new(LlmErrorKind::RateLimited, "the limit is reached")
        })
    }

    async fn stream(
        &self,
        request: &ChatRequest,
        _: Arc<dyn Sink>,
    ) -> Result<ChatResponse, LlmError> {
        self.complete(request).await
    }
}

#[async_trait]
impl Llm for Writer {
    fn name(&self) -> &str {
        self.0.inner.name()
    }

    fn model(&self) -> &str {
        self.0.inner.model()
    }

    async fn complete(&self, request: &ChatRequest) -> Result<ChatResponse, LlmError> {
        self.0.inner.complete(request).await
    }

    async fn stream(
        &self,
        request: &ChatRequest,
        sink: Arc<dyn Sink>,
    ) -> Result<ChatResponse, LlmError> {
        self.0.looked.notified().await;
        self.0.inner.stream(request, sink).await
    }
}

#[tokio::test]
async fn a_long_wait_parks_the_job_once_the_other_calls_have_ended() {
    let (door, stand_in) = (Arc::new(Door::default()), StandIn::start().await);
    let deps = deps(&door, Some(&stand_in));
    let pair = Arc::new(Pair {
        inner: deps.llm.clone().unwrap(),
        looked: Notify::new(),
        looks: AtomicUsize::new(0),
    });
    let handler = ScriptHandler::new(Deps {
        llm: Some(Arc::new(Writer(pair.clone()))),
        vision: Some(Arc::new(Eyes(pair.clone()))),
        ..deps
    });
    let journal = Arc::new(MemoryJournal::default());
    let input = json!({"topic": TOPIC});
    let parked = run(&handler, &journal, &input).await.unwrap_err();
    let Failure::Park { after, .. } = parked else {
        panic!("{parked:?}")
    };
    assert!(after > PARK_AFTER, "{after:?}");
    let kept = |name: &str| {
        let steps = journal.steps();
        steps.iter().filter(|one| one.step == name).count()
    };
    assert_eq!((kept("image"), kept("vision")), (10, 1));
    // The plan, the script, and what was not refused.
    assert_eq!(stand_in.calls(), 3);

    let result = run(&handler, &journal, &input).await.unwrap();
    assert_eq!(described(&result), 10, "{:?}", result.warnings);
    assert_eq!((stand_in.calls(), door.asked().len()), (4, 10));
    assert_eq!(pair.looks.load(Ordering::SeqCst), 3);
    assert_eq!(result.usage.calls, 4, "each is paid once");
}

/// Shares answers with everyone who has this cache.
fn shared(door: &Arc<Door>, stand_in: &StandIn, cache: &Arc<MemoryCache>) -> ScriptHandler {
    let deps = deps(door, Some(stand_in));
    ScriptHandler::new(Deps {
        sharing: Some(Sharing {
            cache: cache.clone(),
            endpoint: stand_in.url().to_owned(),
            llm_keep: Duration::from_secs(600),
            research: deps.research.clone(),
        }),
        ..deps
    })
}

fn cache() -> Arc<MemoryCache> {
    Arc::new(MemoryCache::new(ManualClock::default(), 8 << 20))
}

#[tokio::test]
async fn what_was_said_of_images_is_shared_unless_a_request_forbids_it() {
    let (door, stand_in) = (Arc::new(Door::default()), StandIn::start().await);
    let handler = shared(&door, &stand_in, &cache());
    let input = json!({"topic": TOPIC});
    let first = run(&handler, &Arc::default(), &input).await.unwrap();
    assert_eq!((looks(&stand_in), first.usage.cache_hits), (2, 0));
    let again = run(&handler, &Arc::default(), &input).await.unwrap();
    assert_eq!((looks(&stand_in), described(&again)), (2, 10));
    assert_eq!((again.usage.calls, again.usage.cache_hits), (0, 4));
    assert_eq!(again.images, first.images);
    let fresh = json!({"topic": TOPIC, "cache": false});
    run(&handler, &Arc::default(), &fresh).await.unwrap();
    assert_eq!(looks(&stand_in), 4);
}

#[tokio::test]
async fn descriptions_of_no_use_are_not_given_again() {
    let (door, stand_in) = (Arc::new(Door::default()), StandIn::start().await);
    stand_in.respond_with(|request| {
        if request["messages"].to_string().contains("image_url") {
            return Answer::says(r#"{"images": "none"}"#, request);
        }
        Answer::by_default(request)
    });
    let handler = shared(&door, &stand_in, &cache());
    let input = json!({"topic": TOPIC});
    let useless = run(&handler, &Arc::default(), &input).await.unwrap();
    let failed = |result: &ScriptResult| result.warnings.iter().any(|w| w.code == "vision_failed");
    assert!(failed(&useless) && described(&useless) == 0);
    stand_in.respond_with(Answer::by_default);
    let useful = run(&handler, &Arc::default(), &input).await.unwrap();
    assert!(!failed(&useful), "{:?}", useful.warnings);
    assert_eq!(described(&useful), 10);
    assert_eq!(useful.usage.calls, 2, "the plan and the script are shared");
}

#[tokio::test]
async fn another_model_for_images_has_a_price_of_its_own_or_none() {
    let (door, stand_in) = (Arc::new(Door::default()), StandIn::start().await);
    for vision in [Some(DEAR), None] {
        let handler = ScriptHandler::new(Deps {
            prices: Prices {
                writer: Some(CHEAP),
                vision,
            },
            ..deps(&door, Some(&stand_in))
        });
        let result = run(&handler, &Arc::default(), &json!({"topic": TOPIC}))
            .await
            .unwrap();
        let usage = result.usage;
        for step in &usage.by_step {
            let price = if step.step == "vision" {
                vision
            } else {
                Some(CHEAP)
            };
            let (prompt, answer) = (
                step.prompt_tokens.unwrap() as f64,
                step.completion_tokens.unwrap() as f64,
            );
            let cost = price.map(|price| (prompt * price.input + answer * price.output) / 1e6);
            let same = match (cost, step.cost_usd) {
                (Some(cost), Some(told)) => (cost - told).abs() < 1e-9,
                (cost, told) => cost == told,
            };
            assert!(same, "{step:?} costs {cost:?}");
        }
        assert!(usage.by_step.iter().any(|step| step.step == "vision"));
        assert_eq!(usage.cost_usd.is_some(), vision.is_some());
        let note = usage.cost_note.unwrap_or_default();
        assert_eq!(
            note.ends_with("model of vision"),
            vision.is_none(),
            "{note}"
        );
    }
}

#[tokio::test]
async fn a_limit_of_cost_needs_the_price_of_every_model_that_is_asked() {
    let (door, stand_in) = (Arc::new(Door::default()), StandIn::start().await);
    let handler = |writer, vision| {
        ScriptHandler::new(Deps {
            prices: Prices { writer, vision },
            ..deps(&door, Some(&stand_in))
        })
    };
    let input =
        |images: u32| json!({"topic": TOPIC, "max_images": images, "budget": {"max_cost_usd": 1}});
    for (writer, vision, setting) in [
        (Some(CHEAP), None, "set llm.vision_price_in"),
        (None, Some(CHEAP), "set llm.price_in"),
    ] {
        let refused = run(&handler(writer, vision), &Arc::default(), &input(1)).await;
        let Err(Failure::GiveUp { code, message }) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!((code.as_str(), stand_in.calls()), ("no_price", 0));
        assert!(message.contains(setting), "{message}");
    }
    let blind = run(&handler(Some(CHEAP), None), &Arc::default(), &input(0)).await;
    assert!(blind.unwrap().usage.cost_usd.is_some());
}

#[tokio::test]
async fn a_budget_without_room_for_images_degrades_the_result() {
    let (door, stand_in) = (Arc::new(Door::default()), StandIn::start().await);
    let prices = Prices {
        writer: Some(CHEAP),
        vision: Some(Price { input: 1e6, ..DEAR }),
    };
    let handler = ScriptHandler::new(Deps {
        prices,
        ..deps(&door, Some(&stand_in))
    });
    let input = json!({"topic": TOPIC, "budget": {"max_cost_usd": 10}});
    let result = run(&handler, &Arc::default(), &input).await.unwrap();
    assert_eq!((looks(&stand_in), described(&result)), (0, 0));
    assert_eq!(result.degraded, ["budget"], "{:?}", result.warnings);
    assert_eq!(result.status, ResultStatus::Degraded);
    assert!(result.warnings.iter().any(|one| one.code == "budget_cost"));
    assert!(result.generator.llm, "the writer has its room");
}

/// An hour passes once an image was asked for.
struct Leap(Arc<Door>);

impl Clock for Leap {
    fn now(&self) -> Timestamp {
        match self.0.asked().is_empty() {
            true => Day.now(),
            false => Day.now() + SignedDuration::from_hours(1),
        }
    }
}

#[tokio::test]
async fn images_that_come_after_the_deadline_are_left_out_and_that_is_told() {
    let (door, stand_in) = (Arc::new(Door::default()), StandIn::start().await);
    let input = json!({"topic": TOPIC, "budget": {"deadline_s": 600}});
    let journal = Arc::new(MemoryJournal::default());
    let context = journal.attempt_at(1, &input, Arc::new(Leap(door.clone())));
    let result = handler(&door, Some(&stand_in)).run(context).await.unwrap();
    let result: ScriptResult = result.read().unwrap();
    assert_eq!(looks(&stand_in), 0);
    assert!(result.images.len() < 10, "{}", result.images.len());
    assert_eq!(result.status, ResultStatus::Degraded);
    assert!(result.degraded.contains(&"budget".to_owned()));
    let told = |code: &str| result.warnings.iter().any(|one| one.code == code);
    assert!(told("deadline") && told("images_left_out"));
}

#[tokio::test]
async fn a_job_makes_the_calls_about_images_that_were_estimated() {
    let (door, stand_in) = (Arc::new(Door::default()), StandIn::start().await);
    let kinds = Kinds::new(standard());
    let spec = &kinds.get("script.generate").unwrap().spec;
    for images in [0, 1, 4, 5, 10] {
        let input = json!({"topic": TOPIC, "max_images": images});
        let told = (spec.estimate.as_ref().unwrap())(&input);
        let result = run(&handler(&door, Some(&stand_in)), &Arc::default(), &input)
            .await
            .unwrap();
        let told = told.by_step.iter().map(|one| (&*one.step, one.calls));
        let used = result.usage.by_step.iter();
        let used = used.map(|one| (&*one.step, u64::from(one.calls)));
        assert_eq!(
            told.collect::<BTreeSet<_>>(),
            used.collect::<BTreeSet<_>>(),
            "{images}"
        );
    }
}
