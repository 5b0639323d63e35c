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

use std::sync::Arc;
use std::time::Duration;

use lovage_workflow::KindSpec;
use serde_json::json;

use crate::kind::KindEntry;
use crate::render::{self, Rendering};

pub use request::parse;

/// The kind's name.
pub const KIND: &str = "content.comprehensive";
/// Longest run of one attempt: all steps at their slowest, and some.
const TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// The kind.
pub fn entry() -> KindEntry {
    let spec = KindSpec {
        timeout: Some(TIMEOUT),
        check: Arc::new(|input| parse(input).map(drop)),
        estimate: Some(Arc::new(|input| {
            parse(input).map_or_else(|_| Default::default(), |asked| estimate::of(&asked))
        })),
        ..KindSpec::new(
            KIND.parse().expect("the name is valid"),
            "Research a topic, analyse facts, market and technology side by side, and publish one document",
        )
    };
    let example = json!({"topic": "Lumen Bay tidal battery", "language": "en"});
    KindEntry::new(spec, example, |deps| {
        recipe::ComprehensiveHandler::new(deps.clone())
    })
    .shown([
        Rendering::new("markdown", "text/markdown; charset=utf-8", |result| {
            Ok(show::markdown(result))
        }),
        Rendering::new("chat", "text/plain; charset=utf-8", |result| {
            Ok(show::chat(result))
        }),
        render::graph_of(|result: &types::ComprehensiveResult| &result.document),
    ])
}
