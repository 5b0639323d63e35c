//! The kind `content.comprehensive`: a topic in, one document out, made of
//! analyses from several sides.
//!
//! Plan and research are those of `script.generate`. Then facts, market and
//! technology are analysed side by side, integrated, reviewed and published.
//! An analysis that fails takes nothing from the others.

mod analyse;
mod estimate;
mod integrate;
mod prompt;
mod publish;
mod recipe;
mod request;
mod show;
mod side;
pub mod types;

use std::time::Duration;

use lovage_workflow::KindSpec;
use serde_json::json;

use crate::kind::{self, KindEntry};
use crate::render;

pub use request::parse;

/// The kind's name.
pub const KIND: &str = "content.comprehensive";
/// Longest run of one attempt: all steps at their slowest, and some.
const TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// The kind.
pub fn entry() -> KindEntry {
    let spec = KindSpec {
        timeout: Some(TIMEOUT),
        ..kind::spec(
            KIND,
            "Research a topic, analyse facts, market and technology side by side, and publish one document",
            parse,
            estimate::of,
        )
    };
    let example = json!({"topic": "Lumen Bay tidal battery", "language": "en"});
    KindEntry::new(spec, example, |deps| {
        recipe::ComprehensiveHandler::new(deps.clone())
    })
    .shown(render::texts(show::markdown, show::chat))
    .shown([render::graph_of(|result: &types::ComprehensiveResult| {
        &result.document
    })])
}
