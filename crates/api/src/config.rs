//! What the interface can be told.

use std::time::Duration;

use lovage_core::limits;

/// Settings of the HTTP interface. Every one is a bound or a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiConfig {
    /// Size of a request body, in bytes.
    pub body_bytes_max: usize,
    /// Time for a request's headers, and again for its body, to arrive.
    pub read_timeout: Duration,
    /// Connections at a time; further ones wait in the listener's backlog.
    pub connections_max: usize,
    /// Long-polls and event streams at a time; each keeps a wait open in the store.
    pub watchers_max: usize,
    /// Longest silence of an event stream; below 15 s.
    pub heartbeat: Duration,
    /// `Retry-After` of a job that is not over: when to ask again.
    pub poll_hint: Duration,
    /// Time for running requests to end after the shutdown began.
    pub drain: Duration,
    /// How long a finished job is kept.
    pub keep: Duration,
    /// How long a failed job is kept.
    pub keep_dead: Duration,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            body_bytes_max: 2 << 20,
            read_timeout: Duration::from_secs(30),
            connections_max: 4_096,
            watchers_max: 1_024,
            heartbeat: Duration::from_secs(10),
            poll_hint: Duration::from_secs(2),
            drain: Duration::from_secs(10),
            keep: limits::KEEP,
            keep_dead: limits::KEEP_DEAD,
        }
    }
}
