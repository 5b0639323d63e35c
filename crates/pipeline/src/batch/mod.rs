//! The kind `batch.generate`: many inputs of one other kind, each a job of its own.
//!
//! The batch waits for its jobs without a slot and is cancelled with them. An
//! input that does not fit, or a job that fails, takes nothing from the others.

mod estimate;
mod handler;
mod request;
mod show;
pub mod types;

use std::sync::Arc;

use lovage_workflow::{Catalog, KindSpec};
use serde_json::json;

use crate::kind::KindEntry;
use crate::render;

pub use request::{BatchRequest, ITEMS_MAX};

/// The kind's name.
pub const KIND: &str = "batch.generate";

/// The kind, for batches of these kinds.
pub fn entry(kinds: Catalog) -> KindEntry {
    let (known, estimated) = (kinds.clone(), kinds.clone());
    let spec = KindSpec {
        check: Arc::new(move |input| request::parse(input, &known).map(drop)),
        estimate: Some(Arc::new(move |input| estimate::of(input, &estimated))),
        ..KindSpec::new(
            KIND.parse().expect("the name is valid"),
            "Run many inputs of one kind, each succeeding or failing alone",
        )
    };
    let example = json!({
        "kind": "script.generate",
        "topics": ["Lumen Bay tidal battery", "한빛시 자율주행 심야버스"],
        "shared": {"type": "news"},
    });
    KindEntry::new(spec, example, move |_| {
        handler::BatchHandler::new(kinds.clone())
    })
    .shown(render::texts(show::markdown, show::chat))
}
