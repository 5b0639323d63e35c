//! The kind `script.generate`: a topic in, a cited script out.
//!
//! `recipe.rs` has the steps in the order they run; each step is one file.

pub(crate) mod desk;
pub(crate) mod draft;
pub(crate) mod estimate;
pub mod evidence;
pub(crate) mod fallback;
pub(crate) mod hangul;
mod images;
pub(crate) mod ledger;
pub(crate) mod length;
mod number;
pub mod parse;
pub(crate) mod plan;
mod prices;
pub mod prompt;
pub(crate) mod recipe;
mod relay;
pub mod request;
mod research;
pub(crate) mod review;
pub(crate) mod timed;
pub mod types;
mod usage;
pub mod verify;
mod vision;
pub(crate) mod write;

use std::time::Duration;

use lovage_workflow::KindSpec;
use serde_json::json;

use crate::kind::{self, KindEntry};
use crate::render;

pub use images::stored_image;
pub use prices::Prices;
pub use recipe::{Deps, ScriptHandler, Sharing};

/// The kind's name.
pub const KIND: &str = "script.generate";
/// Longest run of one attempt: all steps at their slowest, and some.
const TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// The kind.
pub fn entry() -> KindEntry {
    let example = json!({"topic": "Lumen Bay tidal battery", "type": "news"});
    KindEntry::new(spec(), example, |deps| ScriptHandler::new(deps.clone())).shown(render::script())
}

/// What the queue has to know of the kind.
pub fn spec() -> KindSpec {
    KindSpec {
        timeout: Some(TIMEOUT),
        ..kind::spec(
            KIND,
            "Write a script on a topic from current news, every sentence cited",
            request::parse,
            estimate::of,
        )
    }
}
