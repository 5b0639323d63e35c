//! The broker's promises as a suite, the model behind them, and the tools to
//! test a store of jobs.
//!
//! # How to test a store
//!
//! Give the macros a factory: an expression that can be called without
//! arguments, any number of times, and returns a future of a fresh
//! [`Harness`](harness::Harness) on an empty store. Each case becomes one
//! `#[tokio::test]` with the case's name, so the calling package needs `tokio`
//! with `macros` and `rt-multi-thread`.
//!
//! ```ignore
//! // crates/broker-sqlite/tests/conformance.rs, the whole file
//! use std::{sync::Arc, time::Duration};
//! use lovage_tests::{clock::ManualClock, harness::Harness};
//!
//! async fn fresh() -> Harness {
//!     let dir = tempfile::tempdir().unwrap();
//!     let (clock, lease) = (ManualClock::default(), Duration::from_secs(10));
//!     let open = {
//!         let (path, clock) = (dir.path().join("jobs.db"), clock.clone());
//!         move || open_store(path.clone(), Arc::new(clock.clone()), lease)
//!     };
//!     let broker = open().await;
//!     Harness::new(Arc::new(broker), clock, lease)
//!         .reopening(move || {
//!             let open = open.clone();
//!             async move { Arc::new(open().await) as Arc<dyn Broker> }
//!         })
//!         .keeping(dir)
//! }
//!
//! lovage_tests::broker_conformance!(fresh);
//! lovage_tests::broker_simulation!(fresh);
//! ```
//!
//! - The store takes its time from the harness's clock and its lease from the
//!   harness's lease: cases move the clock and never sleep.
//! - `reopening` opens a second broker on the same store, as another process
//!   would; without it the cases that need one pass without looking.
//! - `keeping` holds what must live as long as the test: a folder, a server.
//! - A factory may return `Option<Harness>`; `None` skips, which is how the
//!   Redis suite honours `LOVAGE_TEST_REDIS=off`:
//!
//! ```ignore
//! async fn fresh() -> Option<Harness> {
//!     if !RedisServer::available() {
//!         return None;
//!     }
//!     let server = RedisServer::start().await;
//!     // ...
//!     Some(Harness::new(broker, clock, lease).keeping(server))
//! }
//! ```
//!
//! # What is here
//!
//! - [`conformance`]: one function per promise, tagged with the id of the
//!   promise in [`lovage_core::invariant`]; [`broker_conformance!`] makes a
//!   test of each, so a failure names the promise that is broken. A test here
//!   fails when a promise has no case.
//! - [`model`]: the broker as plain maps, the executable meaning of
//!   [`lovage_core::broker::Broker`]. It passes the whole suite itself.
//! - [`history`] and [`sim`]: random histories of callers, workers, crashes and
//!   time, played to a store and to the model in lockstep;
//!   [`broker_simulation!`] makes two tests, on a good connection and on one
//!   that loses requests and answers. Each plays 25,000 operations
//!   (`LOVAGE_SIM_OPS`) in histories of random seeds, which are printed;
//!   `LOVAGE_SEED=...` plays the one of that seed. A difference prints the last
//!   operations and how to play the same history again.
//! - [`faults`]: a broker whose calls are lost or late, from a seed, and a
//!   caller that sends them again.
//! - [`killed`] and [`proxy`]: every verb that writes, killed before and after
//!   each of its commands or commits, and sent again.
//! - [`cache`]: the cache as a plain map; [`cache_conformance!`] is its suite.
//! - [`clock`], [`redis`], [`harness`]: a clock that is moved, a private
//!   `redis-server`, and what a case is given.
//! - [`llm`]: a stand-in for a language model's API; [`services`]: one for the
//!   search services that news research asks.
//! - `browser` (feature `browser`): a headless Chromium.

#[cfg(feature = "browser")]
pub mod browser;
pub mod cache;
pub mod clock;
pub mod conformance;
pub mod faults;
pub mod harness;
pub mod history;
pub mod killed;
pub mod llm;
pub mod model;
pub mod proxy;
pub mod redis;
pub mod services;
pub mod sim;
