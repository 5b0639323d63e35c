//! How a worker runs.

use std::time::Duration;

use lovage_core::id::QueueName;
use lovage_core::limits;

/// Settings of one worker process.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// Queues to take jobs from; slots are shared among them.
    pub queues: Vec<QueueName>,
    /// Jobs held at once, at least 1. A job that waits for the network costs little.
    pub concurrency: usize,
    /// Handlers that may block at once, at least 1; each has a thread of its own.
    pub blocking_threads: usize,
    /// Time between two extensions of the lease; more than zero.
    pub heartbeat: Duration,
    /// Time between two sweeps for dead workers' jobs; more than zero.
    pub sweep: Duration,
    /// On shutdown, how long running jobs may go on before they are handed back.
    pub grace: Duration,
    /// How long an async handler that was told to stop may tidy up before it is dropped.
    pub stop_grace: Duration,
}

impl WorkerConfig {
    /// A worker on `queues` with this many slots and the engine's usual times.
    pub fn new(queues: Vec<QueueName>, concurrency: usize) -> Self {
        Self {
            queues,
            concurrency,
            blocking_threads: 4,
            heartbeat: limits::HEARTBEAT,
            sweep: limits::SWEEP,
            grace: Duration::from_secs(25),
            stop_grace: Duration::from_secs(1),
        }
    }
}
