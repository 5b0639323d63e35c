//! A failed or cancelled job is run again.

use lovage_core::broker::RedriveReply;
use lovage_core::error::BrokerError;
use lovage_core::event::{self, NewEvent};
use lovage_core::id::JobId;
use lovage_core::job::Job;
use lovage_core::lifecycle;
use lovage_core::payload::Payload;

use crate::ops::{children, emit};
use crate::row::JobRow;
use crate::statement::sql;
use crate::wake::Topic;
use crate::writer::Write;
use crate::{key, lane, row};

/// Queues the job again behind all others, its checkpoints kept; its failed and
/// cancelled children before it.
pub(crate) fn redrive(write: &mut Write<'_>, id: &JobId) -> Result<RedriveReply, BrokerError> {
    let found = match look(write, id)? {
        Ok(found) => found,
        Err(reply) => return Ok(reply),
    };
    for child in children::below(write, id, sql!("children_failed"))? {
        if let Ok(child) = look(write, &child)? {
            queue_again(write, child)?;
        }
    }
    queue_again(write, found)?;
    Ok(RedriveReply::Queued)
}

/// A job that may be queued again: as it is, and as it will be.
struct Redrivable {
    row: JobRow,
    job: Job,
    again: Job,
}

fn look(write: &Write<'_>, id: &JobId) -> Result<Result<Redrivable, RedriveReply>, BrokerError> {
    let found = row::load(write, id)?.filter(|(row, _)| !row.is_gone(write.now));
    let Some(found) = found else {
        return Ok(Err(RedriveReply::NotFound));
    };
    let job = row::read(&found).ok();
    let row = found.0;
    let again = job.as_ref().and_then(lifecycle::redrive);
    let Some((job, again)) = job.zip(again) else {
        return Ok(Err(RedriveReply::Refused(row.status)));
    };
    let holder = key::holder(write, &again)?.filter(|holder| holder != id);
    Ok(match holder {
        Some(holder) => Err(RedriveReply::Duplicate(holder)),
        None => Ok(Redrivable { row, job, again }),
    })
}

fn queue_again(write: &mut Write<'_>, found: Redrivable) -> Result<(), BrokerError> {
    let Redrivable { row, job, again } = found;
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
    let settled = row::redriven(&row, write.now);
    row::put(write, row.row, again, Some(place), Some(&settled))?;
    write.ring(Topic::Queue(row.queue));
    write.ring(Topic::Job(row.id));
    Ok(())
}
