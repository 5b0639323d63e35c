//! What this bridge has taken and what is not over.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use lovage_core::id::JobId;

use crate::message::Task;

/// All open entries of this process. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Open(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// By entry; without a task until its message is decoded.
    entries: BTreeMap<String, Option<Opened>>,
    /// How many tasks ended, by name.
    ended: BTreeMap<String, u64>,
}

/// A task that is open.
#[derive(Debug, Clone)]
pub(crate) struct Opened {
    pub(crate) task: Arc<Task>,
    /// The job that is done for it now.
    pub(crate) job: JobId,
    pub(crate) stage: Stage,
    /// It was revoked before its job was there.
    pub(crate) revoked: bool,
}

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It waits for its time, for a slot or for its next attempt.
    Waiting,
    /// A worker runs it, since then.
    Running(Timestamp),
}

/// An entry that is held: it is renewed for as long as this lives.
pub(crate) struct Hold {
    open: Open,
    entry: String,
}

impl Open {
    /// Holds an entry.
    pub(crate) fn hold(&self, entry: &str) -> Hold {
        self.lock().entries.insert(entry.to_owned(), None);
        Hold {
            open: self.clone(),
            entry: entry.to_owned(),
        }
    }

    /// How many entries are held.
    pub(crate) fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// The entries that are held.
    pub(crate) fn entries(&self) -> Vec<String> {
        self.lock().entries.keys().cloned().collect()
    }

    /// The tasks that are open, in the order of their entries.
    pub(crate) fn tasks(&self) -> Vec<Opened> {
        self.lock().entries.values().flatten().cloned().collect()
    }

    /// How many tasks a worker runs now.
    pub(crate) fn running(&self) -> usize {
        let state = self.lock();
        let opened = state.entries.values().flatten();
        opened
            .filter(|opened| matches!(opened.stage, Stage::Running(_)))
            .count()
    }

    /// Of how many tasks this process saw the end, by their names.
    pub(crate) fn ended(&self) -> BTreeMap<String, u64> {
        self.lock().ended.clone()
    }

    /// Marks the open tasks that `is_meant`, so that a job of theirs that comes
    /// only now is cancelled; gives all of them.
    pub(crate) fn revoke(&self, is_meant: impl Fn(&Task) -> bool) -> Vec<Opened> {
        let mut state = self.lock();
        let meant = state
            .entries
            .values_mut()
            .flatten()
            .filter(|opened| is_meant(&opened.task));
        let marked = meant.map(|opened| {
            opened.revoked = true;
            opened.clone()
        });
        marked.collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hold {
    /// The entry is this task, for which this job is done.
    pub(crate) fn decoded(&self, task: Arc<Task>, job: JobId) {
        let opened = Opened {
            task,
            job,
            stage: Stage::Waiting,
            revoked: false,
        };
        self.open
            .lock()
            .entries
            .insert(self.entry.clone(), Some(opened));
    }

    /// Another job is done for it now.
    pub(crate) fn is_done_by(&self, job: JobId) {
        self.change(|opened| opened.job = job);
    }

    /// Where it stands.
    pub(crate) fn stands(&self, stage: Stage) {
        self.change(|opened| opened.stage = stage);
    }

    /// Where it stands; nowhere before its message is decoded.
    pub(crate) fn stage(&self) -> Option<Stage> {
        let state = self.open.lock();
        let opened = state.entries.get(&self.entry).and_then(Option::as_ref);
        opened.map(|opened| opened.stage)
    }

    /// Whether it was revoked meanwhile.
    pub(crate) fn is_revoked(&self) -> bool {
        let state = self.open.lock();
        let opened = state.entries.get(&self.entry).and_then(Option::as_ref);
        opened.is_some_and(|opened| opened.revoked)
    }

    /// Counts its end.
    pub(crate) fn ended(&self, name: &str) {
        *self.open.lock().ended.entry(name.to_owned()).or_default() += 1;
    }

    fn change(&self, change: impl FnOnce(&mut Opened)) {
        let mut state = self.open.lock();
        if let Some(Some(opened)) = state.entries.get_mut(&self.entry) {
            change(opened);
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.open.lock().entries.remove(&self.entry);
    }
}
