//! The script pipeline: planner, news research, writer.
//!
//! Knows nothing of brokers, workers or HTTP servers; all it asks of the
//! world is a `workflow::Context`, a language model and a door to the network.

pub mod extractive;
pub mod image;
pub mod llm;
pub mod net;
pub mod news;
pub mod render;
pub mod script;

use lovage_workflow::{Catalog, Handlers};

use script::{Deps, ScriptHandler};

/// The kinds of this crate. To add one, add its spec here and its handler below.
pub fn catalog() -> Catalog {
    Catalog::new([script::spec()])
}

/// What runs them.
pub fn handlers(deps: Deps) -> Handlers {
    Handlers::new().with(script::KIND, ScriptHandler::new(deps))
}
