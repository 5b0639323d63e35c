//! The bridge on a real server: what producers send, what they get, and what
//! becomes of it when something breaks.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

mod crash;
mod life;
mod outage;
mod refused;
mod world;
