//! A whole run of the recipe, and what it rested on.

#![allow(dead_code, reason = "not every test file needs all of it")]

use std::sync::Arc;
use std::time::Duration;

use lovage_pipeline::llm::{Llm, OpenAi, OpenAiConfig, Price, RetryPolicy};
use lovage_pipeline::news::Research;
use lovage_pipeline::script::types::{Dossier, ScriptResult};
use lovage_pipeline::script::{Deps, ScriptHandler};
use lovage_pipeline::secret::Secret;
use lovage_tests::llm::StandIn;
use lovage_workflow::memory::MemoryJournal;
use lovage_workflow::{Failure, Handler};
use serde_json::Value;
use tokio::sync::Semaphore;

/// The key of the model; it must stand nowhere but in a header.
pub(crate) const KEY: &str = "sk-sentinel-4711";

/// What the model costs.
pub(crate) const PRICE: Price = Price {
    input: 2.0,
    output: 8.0,
    cached: None,
};

/// What a run came to.
pub(crate) struct Run {
    pub(crate) result: ScriptResult,
    /// As the research step stored it, with the texts of the articles.
    pub(crate) dossier: Dossier,
}

/// A model that answers at the stand-in, without waits between its tries.
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
    Arc::new(OpenAi::new(config, Arc::new(Semaphore::new(3)), 7).unwrap())
}

/// Run `script.generate` as its `attempt`-th attempt of three.
pub(crate) async fn run(
    llm: Option<Arc<dyn Llm>>,
    research: Research,
    attempt: u32,
    input: &Value,
) -> Result<Run, Failure> {
    let handler = ScriptHandler::new(Deps {
        llm,
        vision: None,
        price: Some(PRICE),
        research: Arc::new(research),
        sharing: None,
    });
    let journal = Arc::new(MemoryJournal::default());
    let result = handler.run(journal.attempt(attempt, input)).await?;
    let steps = journal.steps();
    let research = steps.iter().find(|step| step.step == "research").unwrap();
    let stored: Value = research.value.read().unwrap();
    Ok(Run {
        result: result.read().unwrap(),
        dossier: serde_json::from_value(stored["value"].clone()).unwrap(),
    })
}
