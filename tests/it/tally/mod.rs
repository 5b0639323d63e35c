//! A kind built by the checklist of `crates/README.md`: this folder, and one line
//! in `kinds.rs`. It counts the words of a text.

use std::sync::Arc;

use async_trait::async_trait;
use lovage_pipeline::KindEntry;
use lovage_pipeline::render::Rendering;
use lovage_workflow::{Context, Failure, Handler, InputError, KindSpec, Payload};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The kind's name.
pub(crate) const KIND: &str = "text.tally";

/// The kind.
pub(crate) fn entry() -> KindEntry {
    let kind = KIND.parse().expect("the name is valid");
    let spec = KindSpec {
        check: Arc::new(check),
        ..KindSpec::new(kind, "Count the words of a text")
    };
    let plain = Rendering::new("plain", "text/plain; charset=utf-8", |tally: &Tally| {
        Ok(format!("{} words", tally.words))
    });
    KindEntry::new(spec, json!({"text": "two words"}), |_| Count).shown([plain])
}

#[derive(Serialize, Deserialize)]
struct Tally {
    words: usize,
}

fn check(input: &Value) -> Result<(), Vec<InputError>> {
    if input["text"].is_string() {
        return Ok(());
    }
    Err(vec![InputError {
        pointer: "/text".to_owned(),
        message: format!("expected a string, got {}", input["text"]),
    }])
}

struct Count;

#[async_trait]
impl Handler for Count {
    async fn run(&self, context: Context) -> Result<Payload, Failure> {
        let input: Value = context.input()?;
        let text = input["text"].as_str().unwrap_or_default();
        let count = || async { Ok(text.split_whitespace().count()) };
        let words = context.step("count", &text, count).await?;
        context.done(&Tally { words })
    }
}
