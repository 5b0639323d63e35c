//! Runs attempts, on apalis.
//!
//! The way of a job through this crate: [`claim`](mod@claim) takes a slot and
//! then a job, `host` hands it to an apalis worker, `execute` runs its handler
//! while `heartbeat` keeps the lease, `layers` turns whatever came of it into
//! an outcome, `settle` writes it, and only then is the slot free again.
//! `sweep` takes jobs from workers that died.
//!
//! Only `host` and `layers` know apalis.

mod claim;
mod config;
mod execute;
mod health;
mod heartbeat;
mod held;
mod host;
mod journal;
mod layers;
mod pause;
mod settle;
mod sweep;
mod worker;

pub use config::WorkerConfig;
pub use health::Health;
pub use worker::{Worker, WorkerError};
