//! A failed or cancelled job is run again.

use lovage_core::broker::RedriveReply;
use lovage_core::error::BrokerError;
use lovage_core::event::{self, NewEvent};
use lovage_core::id::JobId;
use lovage_core::lifecycle;
use lovage_core::payload::Payload;

use crate::ops::emit;
use crate::wake::Topic;
use crate::writer::Write;
use crate::{key, lane, row};

/// Queues the job again behind all others, its checkpoints kept.
pub(crate) fn redrive(write: &mut Write<'_>, id: &JobId) -> Result<RedriveReply, BrokerError> {
    let found = row::load(write, id)?.filter(|(row, _)| !row.is_gone(write.now));
    let Some((row, job)) = found else {
        return Ok(RedriveReply::NotFound);
    };
    let Some(again) = lifecycle::redrive(&job) else {
        return Ok(RedriveReply::Refused(job.status));
    };
    if let Some(holder) = key::holder(write, &again)?.filter(|holder| holder != id) {
        return Ok(RedriveReply::Duplicate(holder));
    }
    key::take_unique(write, &again)?;
    let redriven = NewEvent {
        kind: event::kind::REDRIVEN.to_owned(),
        step: None,
        data: Payload::null(),
    };
    // The end it had becomes a stored event, so that sequences go on from there.
    let events: Vec<NewEvent> = job.final_event().into_iter().chain([redriven]).collect();
    emit::append(write, row.row, &events)?;
    lane::enter(write, &again)?;
    let place = row::last_place(write)?;
    row::put(write, row.row, again, Some(place), None)?;
    write.ring(Topic::Queue(row.queue));
    write.ring(Topic::Job(row.id));
    Ok(RedriveReply::Queued)
}
