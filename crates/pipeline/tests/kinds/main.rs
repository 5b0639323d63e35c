//! Kinds: the registry, and each kind but `script.generate` from its input to its
//! result, with the stand-in model and a journal in memory.
#![expect(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod batch;
mod comprehensive;
mod held_back;
#[path = "../job/mod.rs"]
mod job;
mod registry;
mod revise;

use std::sync::Arc;

use lovage_pipeline::Kinds;
use lovage_pipeline::script::Deps;
use lovage_tests::llm::StandIn;
use lovage_workflow::memory::MemoryJournal;
use lovage_workflow::{Checkpoint, Failure, Payload, Runner};
use serde_json::Value;

/// A topic that the sample articles cover.
const TOPIC: &str = "Lumen Bay tidal battery";

fn kinds() -> Kinds {
    Kinds::new(lovage_pipeline::standard())
}

fn offline() -> Deps {
    job::deps(None)
}

fn with_model(stand_in: &StandIn) -> Deps {
    job::deps(Some(job::model(stand_in)))
}

/// One attempt at a job of a kind.
async fn attempt(
    deps: &Deps,
    kind: &str,
    journal: &Arc<MemoryJournal>,
    number: u32,
    input: &Value,
) -> Result<Payload, Failure> {
    let handlers = kinds().handlers(deps);
    let Some(Runner::Async(handler)) = handlers.get(kind) else {
        panic!("{kind} has a handler");
    };
    handler.run(journal.attempt(number, input)).await
}

/// A journal in which an earlier attempt has left these.
fn left(steps: &[Checkpoint]) -> Arc<MemoryJournal> {
    Arc::new(MemoryJournal::with_steps(steps.to_vec()))
}

fn code(failure: Failure) -> String {
    match failure {
        Failure::GiveUp { code, .. } | Failure::Retry { code, .. } => code,
        other => panic!("{other:?}"),
    }
}
