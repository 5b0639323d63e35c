//! One resource per file.

pub(crate) mod batches;
pub(crate) mod checkpoints;
pub(crate) mod children;
pub(crate) mod events;
pub(crate) mod health;
pub(crate) mod images;
pub(crate) mod jobs;
pub(crate) mod limits;
pub(crate) mod metrics;
pub(crate) mod queues;
pub(crate) mod result;
pub(crate) mod signals;
