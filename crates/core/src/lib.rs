//! What a job is, and what a broker promises.
//!
//! Reading order: [`id`] and [`payload`] name things; [`job`] and [`status`]
//! say what a job is; [`outcome`] what an attempt may answer; [`lifecycle`] is
//! the one state machine; [`queue`] says how many jobs a queue gives;
//! [`broker`] is the contract both stores keep; [`invariant`] numbers its promises.
//!
//! # A job's states
//!
//! ```text
//!              claim promotes             claim               done
//! scheduled ──────────────────► queued ──────────► running ──────────► succeeded
//!                                 ▲  ▲  lease lost,  │ │ │   give up, last attempt
//!                                 │  └── release ────┘ │ └─────────► failed ─┐
//!                 time, signal,   │                    │ retry, park         │
//!                 last child      └───── waiting ◄─────┘                     │
//!                                                                            │
//! any unfinished one ──────► cancelled ── redrive ──► queued ◄── redrive ────┘
//!        cancel, not started in time
//! ```
//!
//! [`status::Status`] says who moves a job out of each state and what happens
//! when that process dies; the table of crashes is in `crates/README.md`.
//!
//! This crate never waits, never opens a socket and reads the time in one
//! place, [`clock::SystemClock`].

pub mod attempt;
pub mod bound;
pub mod broker;
pub mod cache;
pub mod catalog;
pub mod checkpoint;
pub mod clock;
pub mod error;
pub mod estimate;
pub mod event;
pub mod id;
pub mod invariant;
pub mod job;
pub mod lease;
pub mod lifecycle;
pub mod limiter;
pub mod limits;
pub mod outcome;
pub mod payload;
pub mod query;
pub mod queue;
pub mod record;
pub mod retry;
pub mod status;
