//! A job is given a value from outside.

use lovage_core::broker::SignalReply;
use lovage_core::error::BrokerError;
use lovage_core::event::NewEvent;
use lovage_core::id::JobId;
use lovage_core::payload::Payload;
use lovage_core::{checkpoint, limits};

use crate::ops::checkpoint::insert;
use crate::ops::emit;
use crate::wake::Topic;
use crate::writer::Write;
use crate::{row, wait};

/// Keeps the first value of a name, and queues the job if it waits for it (P3).
pub(crate) fn signal(
    write: &mut Write<'_>,
    id: &JobId,
    name: &str,
    data: &Payload,
) -> Result<SignalReply, BrokerError> {
    let got = data.as_str().len();
    if got > limits::SIGNAL_BYTES_MAX {
        return Err(BrokerError::TooLarge {
            what: "signal",
            got,
            max: limits::SIGNAL_BYTES_MAX,
        });
    }
    let Some(row) = row::find(write, id)?.filter(|row| !row.is_gone(write.now)) else {
        return Ok(SignalReply::NotFound);
    };
    if row.status.is_final() {
        return Ok(SignalReply::TooLate(row.status));
    }
    if let Some(first) = wait::stored(write, row.row, name)? {
        return Ok(if first == *data {
            SignalReply::Delivered
        } else {
            SignalReply::Taken
        });
    }
    insert(write, row.row, &checkpoint::signal(name, data.clone()))?;
    emit::append(write, row.row, &[NewEvent::signalled(name)])?;
    wait::signalled(write, &row, name)?;
    write.ring(Topic::Job(*id));
    Ok(SignalReply::Delivered)
}
