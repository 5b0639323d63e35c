//! The script pipeline: planner, news research, writer.
//!
//! Knows nothing of brokers, workers or HTTP servers; all it asks of the
//! world is a `workflow::Context`, a language model and a door to the network.

pub mod extractive;
pub mod image;
mod kind;
pub mod llm;
pub mod net;
pub mod news;
pub mod render;
pub mod script;
pub mod secret;

pub use kind::{KindEntry, Kinds, Rendering};

/// The kinds of this crate, one line each; [`Kinds::new`] makes a system of them.
pub fn standard() -> Vec<KindEntry> {
    vec![script::entry()]
}
