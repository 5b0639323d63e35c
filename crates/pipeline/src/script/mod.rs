//! The kind `script.generate`: a topic in, a cited script out.
//!
//! `recipe.rs` has the steps in the order they run; each step is one file.

pub mod evidence;
mod fallback;
pub(crate) mod hangul;
mod images;
mod number;
pub mod parse;
mod plan;
pub mod prompt;
mod recipe;
mod relay;
pub mod request;
mod research;
pub mod types;
mod usage;
pub mod verify;
mod vision;
mod write;

use std::sync::Arc;
use std::time::Duration;

use lovage_workflow::{InputError, Kind, KindSpec};
use serde_json::Value;

pub use images::stored_image;
pub use recipe::{Deps, ScriptHandler};

/// The kind's name.
pub const KIND: &str = "script.generate";
/// Longest run of one attempt: all steps at their slowest, and some.
const TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// What the queue has to know of the kind.
pub fn spec() -> KindSpec {
    let kind: Kind = KIND.parse().expect("the name is valid");
    KindSpec {
        timeout: Some(TIMEOUT),
        check: Arc::new(check),
        ..KindSpec::new(
            kind,
            "Write a script on a topic from current news, every sentence cited",
        )
    }
}

fn check(input: &Value) -> Result<(), Vec<InputError>> {
    request::parse(input).map(drop)
}
