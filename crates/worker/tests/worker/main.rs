//! The real worker on the model of a store.
//!
//! Most tests run in tokio's paused time: it jumps to the next timer when
//! nothing else is left to do, and the store's clock follows it. So leases,
//! back-off and grace times have their real lengths and cost nothing, and what
//! takes no timer takes no time.
#![expect(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod attempts;
mod blocking;
mod cancel;
mod children;
mod drain;
mod gate;
mod lease;
mod link;
mod outage;
mod signals;
mod slots;
mod world;
