//! Whole script jobs over the bundled sample, with the stand-in model.

#![allow(dead_code, reason = "not every test file needs all of it")]

use std::sync::Arc;
use std::time::Duration;

use lovage_pipeline::llm::{Llm, OpenAi, OpenAiConfig, Price};
use lovage_pipeline::news::Research;
use lovage_pipeline::script::types::ScriptResult;
use lovage_pipeline::script::{Deps, ScriptHandler};
use lovage_tests::llm::StandIn;
use lovage_workflow::memory::MemoryJournal;
use lovage_workflow::{Failure, Handler};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

pub(crate) const TOPIC: &str = "한빛시 자율주행 심야버스";

/// Works without a model.
pub(crate) fn offline() -> ScriptHandler {
    ScriptHandler::new(Deps {
        llm: None,
        vision: None,
        price: None,
        research: Arc::new(Research::sample()),
        sharing: None,
    })
}

/// Works with a model whose price nobody knows.
pub(crate) fn with_model(stand_in: &StandIn) -> ScriptHandler {
    with_price(stand_in, None)
}

/// Works with a model that costs this.
pub(crate) fn with_price(stand_in: &StandIn, price: Option<Price>) -> ScriptHandler {
    // Another test may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = OpenAiConfig::new(stand_in.url(), "stand-in");
    let llm: Arc<dyn Llm> = Arc::new(
        OpenAi::new(config, Arc::new(Semaphore::new(3)), 7).expect("the settings are good"),
    );
    ScriptHandler::new(Deps {
        llm: Some(llm),
        vision: None,
        price,
        research: Arc::new(Research::sample()),
        sharing: None,
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
