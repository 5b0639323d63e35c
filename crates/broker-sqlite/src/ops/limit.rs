//! A queue is limited.

use lovage_core::bound;
use lovage_core::error::BrokerError;
use lovage_core::id::QueueName;
use lovage_core::queue::QueueLimits;
use rusqlite::params;

use crate::statement::{execute, sql};
use crate::wake::Topic;
use crate::writer::Write;

/// Replaces a queue's limits and weights.
pub(crate) fn limit(
    write: &mut Write<'_>,
    queue: &QueueName,
    limits: &QueueLimits,
) -> Result<(), BrokerError> {
    bound::weights(limits)?;
    execute(write, sql!("queue_add"), [queue.as_str()])?;
    execute(
        write,
        sql!("queue_limit"),
        params![
            queue.as_str(),
            limits.concurrency,
            limits.rate.map(|rate| rate.jobs),
            limits.rate.map(|rate| rate.per_ms),
            limits.rate.map(|rate| rate.burst),
            limits.length,
        ],
    )?;
    execute(write, sql!("weights_forget"), [queue.as_str()])?;
    for (tenant, weight) in &limits.weights {
        let weight = params![queue.as_str(), tenant.as_str(), weight.get()];
        execute(write, sql!("weight_insert"), weight)?;
    }
    write.ring(Topic::Queue(queue.clone()));
    Ok(())
}
