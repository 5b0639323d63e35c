//! What is past its time is forgotten.

use lovage_core::error::BrokerError;
use lovage_core::limits;
use rusqlite::params;

use crate::ops::cache;
use crate::statement::{execute, sql};
use crate::writer::{Write, Writer};

/// Transactions of one call, so that others get their turn in between.
const BITES_MAX: usize = 16;

/// Forgets finished jobs, keys, empty lanes and cached values; says how many jobs.
pub(crate) async fn prune(writer: &Writer) -> Result<usize, BrokerError> {
    let mut forgotten = 0;
    for _ in 0..BITES_MAX {
        let bite = writer.run(|write| forget(write)).await?;
        forgotten += bite;
        if bite < limits::BATCH_MAX {
            break;
        }
    }
    Ok(forgotten)
}

/// One bite.
pub(crate) fn forget(write: &Write<'_>) -> Result<usize, BrokerError> {
    let past = params![write.now.as_millisecond(), limits::BATCH_MAX];
    cache::forget_past(write)?;
    execute(write, sql!("keys_forget"), past)?;
    execute(write, sql!("lanes_forget"), [limits::BATCH_MAX])?;
    execute(write, sql!("jobs_forget"), past)
}
