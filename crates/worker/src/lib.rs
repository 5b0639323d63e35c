//! Runs attempts, on apalis.
//!
//! The way of a job through this crate: `claim` takes a slot and then a job
//! for it, `host` hands the job to an apalis worker, `execute` runs its handler
//! while `heartbeat` keeps the lease, `layers` turns whatever came of it into
//! an outcome, `settle` writes it, and only then is the slot free again.
//! `sweep` takes jobs from workers that died; `drain` ends it all.
//!
//! Only `host` and `layers` know apalis.

mod claim;
mod config;
mod drain;
mod execute;
mod health;
mod heartbeat;
mod held;
mod host;
mod journal;
mod layers;
mod pause;
mod seat;
mod settle;
mod sweep;
mod worker;

pub use config::WorkerConfig;
pub use health::Health;
pub use worker::{Worker, WorkerError};
