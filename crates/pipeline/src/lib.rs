//! The script pipeline: planner, news research, writer.
//!
//! Knows nothing of brokers, workers or HTTP servers; all it asks of the
//! world is a `workflow::Context`, a language model and a door to the network.

pub mod batch;
pub mod comprehensive;
mod digest;
pub mod extractive;
pub mod image;
mod input;
mod kind;
pub mod llm;
pub mod net;
pub mod news;
mod prompts;
pub mod render;
pub mod revise;
pub mod script;
pub mod secret;
mod sharing;
pub mod tape;
mod visible;

pub use kind::{KindEntry, Kinds};
pub use render::Rendering;

/// The kinds of this crate, one line each; [`Kinds::new`] makes a system of them.
pub fn standard() -> Vec<KindEntry> {
    vec![script::entry(), revise::entry(), comprehensive::entry()]
}
