//! The queues whose messages are taken.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Names of queues; remote control changes them while the bridge runs.
pub(crate) struct Queues(Mutex<Vec<String>>);

impl Queues {
    pub(crate) fn new(names: Vec<String>) -> Self {
        Self(Mutex::new(names))
    }

    /// Their names now.
    pub(crate) fn names(&self) -> Vec<String> {
        self.lock().clone()
    }

    /// Takes from one more; says whether it was not taken from before.
    pub(crate) fn add(&self, name: &str) -> bool {
        let mut names = self.lock();
        let is_new = !names.iter().any(|known| known == name);
        if is_new {
            names.push(name.to_owned());
        }
        is_new
    }

    /// Takes no more from one; says whether it was taken from.
    pub(crate) fn remove(&self, name: &str) -> bool {
        let mut names = self.lock();
        let before = names.len();
        names.retain(|known| known != name);
        names.len() < before
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
