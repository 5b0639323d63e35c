//! The script pipeline: planner, news research, writer.
//!
//! Knows nothing of brokers, workers or HTTP servers; all it asks of the
//! world is a `workflow::Context`, a language model and a door to the network.

pub mod extractive;
pub mod llm;
pub mod net;
pub mod news;
pub mod render;
pub mod script;
