//! A running job gets children.

use lovage_core::broker::Spawn;
use lovage_core::error::BrokerError;
use lovage_core::event::NewEvent;
use lovage_core::id::JobId;
use lovage_core::job::NewJob;
use lovage_core::status::Status;
use lovage_core::{lifecycle, limits};
use rusqlite::params;

use crate::ops::{emit, enqueue};
use crate::row::{self, JobRow};
use crate::statement::{execute, first, sql};
use crate::wake::Topic;
use crate::writer::Write;

/// Stores a group of children, unless the job has it already.
pub(crate) fn spawn(write: &mut Write<'_>, spawn: &Spawn) -> Result<(), BrokerError> {
    let parent = row::held(write, &spawn.lease)?;
    let group = spawn.group.as_str();
    let (children, known) = count(write, &parent, group)?;
    if known {
        return Ok(());
    }
    check(spawn, children + spawn.children.len())?;
    for new in &spawn.children {
        spawn_one(write, &parent, group, new)?;
    }
    if spawn.children.is_empty() {
        put(write, &parent, group, None, Some(Status::Succeeded))?;
    }
    let event = NewEvent::spawned(group, spawn.children.len());
    emit::append(write, parent.row, &[event])?;
    write.ring(Topic::Job(parent.id));
    Ok(())
}

/// How many children a job has, and whether it has the group.
fn count(write: &Write<'_>, parent: &JobRow, group: &str) -> Result<(usize, bool), BrokerError> {
    let found = first(
        write,
        sql!("children_count"),
        params![parent.row, group],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(found.unwrap_or_default())
}

fn check(spawn: &Spawn, children: usize) -> Result<(), BrokerError> {
    if spawn.group.len() > limits::KEY_BYTES_MAX {
        return Err(BrokerError::TooLarge {
            what: "group of children",
            got: spawn.group.len(),
            max: limits::KEY_BYTES_MAX,
        });
    }
    if children > limits::CHILDREN_MAX {
        return Err(BrokerError::TooMany {
            what: "children of one job",
            got: children,
            max: limits::CHILDREN_MAX,
        });
    }
    spawn.children.iter().try_for_each(enqueue::check_input)
}

/// Stores a child. Where its id is taken, the job that has it is left as it is
/// and stands for the child.
fn spawn_one(
    write: &mut Write<'_>,
    parent: &JobRow,
    group: &str,
    new: &NewJob,
) -> Result<(), BrokerError> {
    let found = row::find(write, &new.id)?;
    match found {
        Some(found) if !found.is_gone(write.now) => {
            execute(write, sql!("job_adopt"), [found.row])?;
            let ended = Some(found.status).filter(|status| status.is_final());
            return put(write, parent, group, Some(&new.id), ended);
        }
        Some(gone) => execute(write, sql!("job_delete"), [gone.row]).map(drop)?,
        None => {}
    }
    // Keys are for callers from outside: a child has none.
    let child = NewJob {
        queue: parent.queue.clone(),
        parent: Some(parent.id),
        unique: None,
        idempotency: None,
        ..new.clone()
    };
    enqueue::insert(write, &lifecycle::enqueue(&child, write.now), None, true)?;
    put(write, parent, group, Some(&new.id), None)
}

fn put(
    write: &Write<'_>,
    parent: &JobRow,
    group: &str,
    child: Option<&JobId>,
    ended: Option<Status>,
) -> Result<(), BrokerError> {
    let child = child.map(|child| child.uuid());
    execute(
        write,
        sql!("child_insert"),
        params![
            parent.row,
            group,
            child.as_ref().map(|child| child.as_bytes()),
            ended.map(row::letter),
        ],
    )?;
    Ok(())
}
