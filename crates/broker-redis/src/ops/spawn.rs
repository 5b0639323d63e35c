//! Children of running jobs.

use std::collections::HashMap;

use lovage_core::bound;
use lovage_core::broker::Spawn;
use lovage_core::error::BrokerError;
use lovage_core::event::NewEvent;
use lovage_core::id::JobId;
use lovage_core::job::{Child, NewJob};
use lovage_core::lifecycle;
use lovage_core::limits;
use lovage_core::record;
use lovage_core::status::Status;

use crate::connect::Store;
use crate::error::corrupt;
use crate::keys;
use crate::ops::enqueue::{indexes, times};
use crate::ops::extend::job_id;
use crate::script;

/// Answers of the script that are no number of children.
const SPAWNED: i64 = -1;
const LEASE_LOST: i64 = -2;

impl Store {
    pub(crate) async fn spawn(&self, spawn: &Spawn) -> Result<(), BrokerError> {
        let (lease, count) = (&spawn.lease, spawn.children.len());
        bound::spawn(spawn)?;
        bound::children(count)?;
        let told = NewEvent::spawned(&spawn.group, count);
        let mut call = script::SPAWN.on(self.keys.queue(&lease.queue));
        call.arg(self.time.argument())
            .arg(lease.job.to_string())
            .arg(lease.token.to_string())
            .arg(&spawn.group)
            .arg(limits::CHILDREN_MAX)
            .arg(told.kind)
            .arg(told.data.as_str())
            .arg(count);
        let now = self.time.now();
        for child in &spawn.children {
            let job = lifecycle::enqueue(&adopted(child, spawn), now);
            let (due, expires) = times(&job);
            let indexes = indexes(&job);
            call.arg(job.id.to_string())
                .arg(record::encode(&job))
                .arg(keys::lane_of(&job))
                .arg(due)
                .arg(expires)
                .arg(indexes.len())
                .arg(indexes);
        }
        match self.call_kept(&call).await? {
            SPAWNED => Ok(()),
            LEASE_LOST => Err(BrokerError::LeaseLost),
            total => bound::children(usize::try_from(total).unwrap_or(usize::MAX)),
        }
    }

    pub(crate) async fn children(&self, id: &JobId) -> Result<Vec<Child>, BrokerError> {
        let Some(queue) = self.locate(id).await? else {
            return Ok(Vec::new());
        };
        let mut ask = redis::pipe();
        ask.lrange(self.keys.children(&queue, *id), 0, -1)
            .hgetall(self.keys.family(&queue, *id));
        let (names, family): (Vec<String>, HashMap<String, String>) = self.send(&ask).await?;
        if names.is_empty() || self.current(&queue, id, false).await?.is_none() {
            return Ok(Vec::new());
        }
        let child = |name: &String| {
            let unreadable = || corrupt(format!("a child of job {id}"));
            let (child, group) = name.split_once(' ').ok_or_else(unreadable)?;
            Ok(Child {
                id: job_id(child)?,
                group: group.to_owned(),
                ended: family.get(child).and_then(|letter| ended(letter)),
            })
        };
        names.iter().map(child).collect()
    }
}

/// A child as it is enqueued: in its parent's queue, without keys of its own.
fn adopted(child: &NewJob, spawn: &Spawn) -> NewJob {
    NewJob {
        queue: spawn.lease.queue.clone(),
        parent: Some(spawn.lease.job),
        unique: None,
        idempotency: None,
        ..child.clone()
    }
}

fn ended(letter: &str) -> Option<Status> {
    let is_over =
        |status: &Status| status.is_final() && letter.starts_with(record::state_letter(*status));
    Status::ALL.into_iter().find(is_over)
}
