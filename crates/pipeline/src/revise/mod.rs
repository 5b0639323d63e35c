//! The kind `script.revise`: a chapter's story and an edit request in, the
//! revised story and what has changed out.
//!
//! The story is data: orders inside it are not followed. The edit request says
//! what to change, and nothing else.

mod diff;
mod estimate;
mod passage;
mod prompt;
mod recipe;
mod request;
mod rewrite;
mod show;
pub mod types;

use std::time::Duration;

use lovage_workflow::KindSpec;
use serde_json::json;

use crate::kind::{self, KindEntry};
use crate::render;

pub use request::{EDIT_REQUEST_CHARS_MAX, STORY_CHARS_MAX, parse};

/// The kind's name.
pub const KIND: &str = "script.revise";
/// The step in which passages are revised.
const STEP: &str = "revise";
/// Longest run of one attempt: a long story's passages, one after the other.
const TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// The kind.
pub fn entry() -> KindEntry {
    let spec = KindSpec {
        timeout: Some(TIMEOUT),
        ..kind::spec(
            KIND,
            "Revise a chapter's story as an edit request asks, and show what changed",
            parse,
            estimate::of,
        )
    };
    let example = json!({
        "chapterId": "chapter-3",
        "story": "The bus came late.\n\nMina waited at the stop.",
        "editRequest": "Let it rain from the beginning.",
    });
    KindEntry::new(spec, example, |deps| {
        recipe::ReviseHandler::new(deps.clone())
    })
    .shown(render::texts(show::markdown, show::chat))
}
