//! The same promises on a cluster, through Sentinel, over TLS with few rights,
//! and on Valkey; and what a failover leaves of them.

#![allow(
    clippy::unwrap_used,
    reason = "in a test, an error of the store is a failure"
)]

mod cluster;
mod sentinel;
mod support;
mod tls;
mod valkey;
