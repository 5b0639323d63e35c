//! Who spawned whom.

use std::collections::HashSet;

use jiff::Timestamp;
use lovage_core::error::BrokerError;
use lovage_core::id::JobId;
use lovage_core::job::Child;
use rusqlite::{Connection, params};

use crate::row;
use crate::statement::{all, sql};

/// A job's children, in the order they were spawned.
pub(crate) fn children(
    conn: &Connection,
    id: &JobId,
    now: Timestamp,
) -> Result<Vec<Child>, BrokerError> {
    let id = id.uuid();
    let kept = params![id.as_bytes(), now.as_millisecond()];
    all(conn, sql!("children_read"), kept, |found| {
        let ended: Option<String> = found.get("ended")?;
        Ok(Child {
            id: row::job_id(found.get("child")?),
            group: found.get("in_group")?,
            ended: ended.as_deref().map(row::status_of).transpose()?,
        })
    })
}

/// The children of a job that `select` gives, and theirs: each after its own
/// children, the first spawned first. A job that stands in several places, as
/// a child whose id was taken may, is among them once.
pub(crate) fn below(
    conn: &Connection,
    root: &JobId,
    select: &str,
) -> Result<Vec<JobId>, BrokerError> {
    let mut known = HashSet::from([*root]);
    let mut before_children = Vec::new();
    let mut open = vec![*root];
    while let Some(id) = open.pop() {
        let found = all(conn, select, [id.uuid().as_bytes()], |row| {
            row.get("child").map(row::job_id)
        })?;
        open.extend(found.into_iter().filter(|child| known.insert(*child)));
        before_children.push(id);
    }
    let below = before_children.into_iter().skip(1).rev();
    Ok(below.collect())
}
