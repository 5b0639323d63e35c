//! What a job is, and what a broker promises.
//!
//! Reading order: [`id`] and [`payload`] name things; [`job`] and [`status`]
//! say what a job is; [`outcome`] what an attempt may answer; [`lifecycle`] is
//! the one state machine; [`broker`] is the contract both stores keep.
//!
//! This crate never waits, never opens a socket and reads the time in one
//! place, [`clock::SystemClock`].

pub mod attempt;
pub mod broker;
pub mod catalog;
pub mod checkpoint;
pub mod clock;
pub mod error;
pub mod event;
pub mod id;
pub mod invariant;
pub mod job;
pub mod lease;
pub mod lifecycle;
pub mod limits;
pub mod outcome;
pub mod payload;
pub mod query;
pub mod queue;
pub mod record;
pub mod retry;
pub mod status;
