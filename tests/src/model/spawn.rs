//! Children, and what their parent hears of them.

use jiff::Timestamp;
use lovage_core::bound;
use lovage_core::broker::Spawn;
use lovage_core::error::BrokerError;
use lovage_core::event::NewEvent;
use lovage_core::id::JobId;
use lovage_core::job::{Child, Job, NewJob};
use lovage_core::lifecycle;
use lovage_core::status::Status;

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
        bound::children(got)?;
        parent.groups.push(spawn.group.clone());
        let event = NewEvent::spawned(&spawn.group, spawn.children.len());
        parent.append(&[event], now);
        for new in &spawn.children {
            self.spawn_one(spawn, new, now);
        }
        Ok(())
    }

    /// Stores a child. Where its id is taken, the job that has it is left as it
    /// is and stands for the child.
    fn spawn_one(&mut self, spawn: &Spawn, new: &NewJob, now: Timestamp) {
        if self.live(&new.id, now).is_none() {
            self.store_child(spawn, new, now);
        }
        let child = Child {
            id: new.id,
            group: spawn.group.clone(),
            ended: final_status(&self.jobs[&new.id].job),
        };
        if let Some(parent) = self.jobs.get_mut(&spawn.lease.job) {
            parent.children.push(child);
        }
    }

    /// Keys are for callers from outside: a child has none.
    fn store_child(&mut self, spawn: &Spawn, new: &NewJob, now: Timestamp) {
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
    }

    /// A job is over, or queued again; a parent that waits for it may go on.
    pub(super) fn tell_parents(&mut self, child: &Job) {
        for parent in self.parents_of(&child.id) {
            if let Some(stored) = self.jobs.get_mut(&parent) {
                let known = stored.children.iter_mut();
                for known in known.filter(|known| known.id == child.id) {
                    known.ended = final_status(child);
                }
            }
            self.go_on(&parent);
        }
    }

    /// Jobs that have this one among their children.
    pub(super) fn parents_of(&self, id: &JobId) -> Vec<JobId> {
        let has_it = |stored: &&Stored| stored.children.iter().any(|child| child.id == *id);
        let parents = self.jobs.values().filter(has_it);
        parents.map(|stored| stored.job.id).collect()
    }

    pub(super) fn children_of(&self, id: &JobId) -> Vec<JobId> {
        let stored = self.jobs.get(id);
        let children = stored.into_iter().flat_map(|stored| &stored.children);
        children.map(|child| child.id).collect()
    }
}

fn final_status(job: &Job) -> Option<Status> {
    Some(job.status).filter(|status| status.is_final())
}
