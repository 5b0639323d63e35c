//! The whole system as real processes: the program `lovage`, a real Redis, and
//! stand-ins for a language model and for news sites that count what is asked.
//!
//! Build the program first: `cargo build -p lovage`. `LOVAGE_TEST_REDIS=off`
//! skips what needs a `redis-server`; `LOVAGE_PREVIOUS` is the program before this
//! one, and without it two versions are not run side by side.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod audit;
mod cache;
mod calls;
mod celery;
mod chaos;
mod cli;
mod crash;
mod drain;
mod family;
mod generate;
mod history;
mod http;
mod kinds;
mod limits;
mod process;
mod quota;
mod readme;
mod recording;
mod records;
mod redis;
mod refused;
mod restart;
mod site;
mod sources;
mod store;
mod system;
mod tally;
mod tidy;
mod upgrade;
