//! The bridge: Celery's messages become jobs, and what becomes of the jobs is
//! written where Celery's producers look for it.
//!
//! A message is moved by one script from Celery's list to the *ledger*, a hash
//! beside it in the same Redis, and only then enqueued, under an id that is
//! derived from the task's. It leaves the ledger when all that its producer
//! waits for is written. So a crash leaves it in the list or in the ledger,
//! from where another bridge takes it up, and an enqueue that is repeated
//! finds its job there.
//!
//! The formats are those of Celery 5 on Redis (protocol 2); nothing of Celery
//! is needed to run.

mod backend;
mod bridge;
mod call;
mod canvas;
#[cfg(test)]
mod captured;
mod check;
mod chord;
mod config;
mod control;
mod entry;
mod envelope;
mod events;
mod exception;
mod finish;
mod follow;
mod intake;
mod job;
mod json;
mod keys;
mod link;
mod message;
mod notice;
mod open;
mod patience;
mod queues;
mod restore;
mod result;
mod revoked;
mod signature;
mod time;
mod transport;
mod watch;

pub use bridge::{Bridge, BridgeError};
pub use check::{Checked, CheckedQueue, CheckedTask, check};
pub use config::{CeleryConfig, Mapping, Shape, Tls};
