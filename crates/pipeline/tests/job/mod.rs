//! Whole script jobs, over the bundled sample unless told, with the stand-in model.

#![allow(dead_code, reason = "not every test file needs all of it")]

use std::sync::Arc;
use std::time::Duration;

use lovage_pipeline::llm::{Llm, OpenAi, OpenAiConfig, Price, RetryPolicy};
use lovage_pipeline::news::Research;
use lovage_pipeline::script::types::{Dossier, ScriptResult};
use lovage_pipeline::script::{Deps, Prices, ScriptHandler};
use lovage_pipeline::secret::Secret;
use lovage_tests::llm::StandIn;
use lovage_workflow::memory::MemoryJournal;
use lovage_workflow::{Failure, Handler};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

pub(crate) const TOPIC: &str = "한빛시 자율주행 심야버스";

/// The key of the model; it must stand nowhere but in a header.
pub(crate) const KEY: &str = "sk-sentinel-4711";

/// A model that answers at the stand-in, with hardly a wait between its tries.
pub(crate) fn model(stand_in: &StandIn) -> Arc<dyn Llm> {
    // Another test may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = OpenAiConfig {
        api_key: Some(Secret::new(KEY)),
        total_timeout: Duration::from_secs(5),
        retry: RetryPolicy {
            backoff_base: Duration::from_micros(100),
            backoff_max: Duration::from_millis(1),
            spread: Duration::ZERO,
            ..RetryPolicy::STANDARD
        },
        ..OpenAiConfig::new(stand_in.url(), "stand-in")
    };
    let model = OpenAi::new(config, Arc::new(Semaphore::new(3)), 7);
    Arc::new(model.expect("the settings are good"))
}

/// The sample, and this model, whose price nobody knows.
pub(crate) fn deps(llm: Option<Arc<dyn Llm>>) -> Deps {
    Deps {
        llm,
        vision: None,
        prices: Prices::default(),
        research: Arc::new(Research::sample()),
        sharing: None,
    }
}

/// Works without a model.
pub(crate) fn offline() -> ScriptHandler {
    ScriptHandler::new(deps(None))
}

/// Works with a model whose price nobody knows.
pub(crate) fn with_model(stand_in: &StandIn) -> ScriptHandler {
    with_price(stand_in, None)
}

/// Works with a model that costs this.
pub(crate) fn with_price(stand_in: &StandIn, price: Option<Price>) -> ScriptHandler {
    ScriptHandler::new(Deps {
        prices: Prices::same(price),
        ..deps(Some(model(stand_in)))
    })
}

/// The first attempt.
pub(crate) async fn run(
    handler: &ScriptHandler,
    journal: &Arc<MemoryJournal>,
    input: &Value,
) -> Result<ScriptResult, Failure> {
    let result = handler.run(journal.attempt(1, input)).await?;
    Ok(result.read().expect("the result has its own shape"))
}

/// What an attempt came to.
pub(crate) struct Ran {
    pub(crate) result: ScriptResult,
    /// As the research step stored it, with the texts of the articles.
    pub(crate) dossier: Dossier,
}

/// The `attempt`-th attempt of three, with what it rested on.
pub(crate) async fn ran(deps: Deps, attempt: u32, input: &Value) -> Result<Ran, Failure> {
    let journal = Arc::new(MemoryJournal::default());
    let context = journal.attempt(attempt, input);
    let result = ScriptHandler::new(deps).run(context).await?;
    let steps = journal.steps();
    let research = steps.iter().find(|step| step.step == "research");
    let research = research.expect("a script is researched");
    let stored: Value = research.value.read().expect("a step is stored as JSON");
    let dossier = serde_json::from_value(stored["value"].clone());
    Ok(Ran {
        result: result.read().expect("the result has its own shape"),
        dossier: dossier.expect("the step stores a dossier"),
    })
}

/// Waits until so many values are stored under a name. A journal in memory
/// tells nobody: so this looks now and then.
pub(crate) async fn until_kept(journal: &MemoryJournal, name: &str, count: usize) {
    let kept = || {
        journal
            .steps()
            .iter()
            .filter(|step| step.step == name)
            .count()
    };
    let look = async {
        while kept() < count {
            sleep(Duration::from_millis(5)).await;
        }
    };
    let seen = timeout(Duration::from_secs(60), look).await;
    assert!(seen.is_ok(), "{} of {count} {name} kept", kept());
}
