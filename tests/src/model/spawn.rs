//! Children, and what their parent hears of them.

use jiff::Timestamp;
use lovage_core::broker::{Child, Spawn};
use lovage_core::error::BrokerError;
use lovage_core::event::NewEvent;
use lovage_core::job::{Job, NewJob};
use lovage_core::lifecycle;
use lovage_core::limits;

use super::state::State;
use super::stored::Stored;

impl State {
    /// Stores a group of children, unless the parent has it already.
    pub(super) fn spawn(&mut self, spawn: &Spawn, now: Timestamp) -> Result<(), BrokerError> {
        let parent = self.leased(&spawn.lease).ok_or(BrokerError::LeaseLost)?;
        if parent.groups.contains(&spawn.group) {
            return Ok(());
        }
        let got = parent.children.len() + spawn.children.len();
        if got > limits::CHILDREN_MAX {
            return Err(BrokerError::TooMany {
                what: "children of one job",
                got,
                max: limits::CHILDREN_MAX,
            });
        }
        parent.groups.push(spawn.group.clone());
        let event = NewEvent::spawned(&spawn.group, spawn.children.len());
        parent.append(&[event], now);
        for new in &spawn.children {
            self.spawn_one(spawn, new, now);
        }
        Ok(())
    }

    /// Stores a child; an id that is taken stays with the job that has it, and
    /// is no child. Keys are for callers from outside: a child has none.
    fn spawn_one(&mut self, spawn: &Spawn, new: &NewJob, now: Timestamp) {
        if self.live(&new.id, now).is_some() {
            return;
        }
        let new = NewJob {
            queue: spawn.lease.queue.clone(),
            parent: Some(spawn.lease.job),
            unique: None,
            idempotency: None,
            ..new.clone()
        };
        let job = lifecycle::enqueue(&new, now);
        self.jobs.insert(new.id, Stored::new(job, None));
        self.enter_lane(&new.id, false);
        if let Some(parent) = self.jobs.get_mut(&spawn.lease.job) {
            parent.children.push(Child {
                id: new.id,
                group: spawn.group.clone(),
                ended: None,
            });
        }
    }

    /// A child is over, or queued again; a parent that waits for it may go on.
    pub(super) fn tell_parent(&mut self, child: &Job) {
        let Some(parent) = child.parent else { return };
        if let Some(stored) = self.jobs.get_mut(&parent) {
            let ended = Some(child.status).filter(|status| status.is_final());
            for known in &mut stored.children {
                if known.id == child.id {
                    known.ended = ended;
                }
            }
            self.go_on(&parent);
        }
    }
}
