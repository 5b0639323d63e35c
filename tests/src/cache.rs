//! The cache as a plain map: the executable meaning of [`Cache`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use lovage_core::bound;
use lovage_core::cache::{Cache, CacheKey, CacheStats, Hold, Shelf, ShelfCounts, Taken};
use lovage_core::clock::{self, Clock};
use lovage_core::error::BrokerError;
use lovage_core::limits;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// A cache in this process.
pub struct MemoryCache {
    clock: Arc<dyn Clock>,
    bytes_max: u64,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    entries: HashMap<CacheKey, Entry>,
    counts: HashMap<Shelf, ShelfCounts>,
}

enum Entry {
    Held(Hold, Timestamp),
    Kept(Vec<u8>, Timestamp),
}

impl MemoryCache {
    /// An empty cache of at most `bytes_max` bytes that reads `clock`.
    pub fn new(clock: impl Clock, bytes_max: u64) -> Self {
        Self {
            clock: Arc::new(clock),
            bytes_max,
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(
        &self,
        key: &CacheKey,
        lease: Duration,
        waited: bool,
    ) -> Result<Taken, (Hold, Duration)> {
        let now = self.clock.now();
        let mut state = self.lock();
        let taken = match state.entries.get(key) {
            Some(Entry::Kept(value, until)) if *until > now => Taken::Value(value.clone()),
            Some(Entry::Held(hold, until)) if *until > now => {
                let left = until.duration_since(now).unsigned_abs();
                return Err((*hold, left));
            }
            _ => Taken::Yours(Hold::new(*key, now)),
        };
        let counts = state.counts.entry(key.shelf).or_default();
        match &taken {
            Taken::Value(_) if waited => counts.shared += 1,
            Taken::Value(_) => counts.hits += 1,
            _ => counts.misses += 1,
        }
        if let Taken::Yours(hold) = &taken {
            let entry = Entry::Held(*hold, clock::after(now, lease));
            state.entries.insert(*key, entry);
        }
        Ok(taken)
    }

    /// Puts `entry` in place of this hold; `false` when it was lost.
    fn replace(&self, hold: &Hold, entry: Option<Entry>) -> bool {
        let mut state = self.lock();
        let held = state.entries.get(&hold.key);
        if !matches!(held, Some(Entry::Held(known, _)) if known == hold) {
            return false;
        }
        match entry {
            Some(entry) => state.entries.insert(hold.key, entry),
            None => state.entries.remove(&hold.key),
        };
        true
    }
}

impl State {
    fn kept(&self) -> impl Iterator<Item = (&CacheKey, &Vec<u8>, Timestamp)> {
        self.entries.iter().filter_map(|(key, entry)| match entry {
            Entry::Kept(value, until) => Some((key, value, *until)),
            Entry::Held(..) => None,
        })
    }

    fn bytes(&self) -> u64 {
        self.kept().map(|(_, value, _)| value.len() as u64).sum()
    }

    /// Drops what is past its time, then those that end soonest, until `size` more bytes fit.
    fn make_room(&mut self, size: u64, bytes_max: u64, now: Timestamp) -> bool {
        if size > bytes_max {
            return false;
        }
        self.entries
            .retain(|_, entry| !matches!(entry, Entry::Kept(_, until) if *until <= now));
        while self.bytes() + size > bytes_max {
            let soonest = self.kept().min_by_key(|(_, _, until)| *until);
            let soonest = *soonest.expect("values that take bytes").0;
            self.entries.remove(&soonest);
        }
        true
    }
}

#[async_trait]
impl Cache for MemoryCache {
    async fn take(
        &self,
        key: &CacheKey,
        lease: Duration,
        wait: Duration,
    ) -> Result<Taken, BrokerError> {
        let deadline = Instant::now() + wait.min(limits::CACHE_WAIT_MAX);
        let mut before = None;
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let (holder, left) = match self.look(key, lease, before.is_some()) {
                Ok(taken) => return Ok(taken),
                Err(held) => held,
            };
            let other = before.replace(holder).is_some_and(|one| one != holder);
            if other || Instant::now() >= deadline {
                return Ok(Taken::Busy);
            }
            // Woken or not, looking again tells.
            let _ = timeout_at(deadline.min(Instant::now() + left), changed).await;
        }
    }

    async fn renew(&self, hold: &Hold, lease: Duration) -> Result<bool, BrokerError> {
        let until = clock::after(self.clock.now(), lease);
        Ok(self.replace(hold, Some(Entry::Held(*hold, until))))
    }

    async fn put(&self, hold: &Hold, value: &[u8], keep: Duration) -> Result<bool, BrokerError> {
        bound::cached(value)?;
        let now = self.clock.now();
        let until = clock::after(now, keep);
        let size = value.len() as u64;
        let fits = self.lock().make_room(size, self.bytes_max, now);
        let entry = fits.then(|| Entry::Kept(value.to_vec(), until));
        let kept = self.replace(hold, entry) && fits;
        self.changed.notify_waiters();
        Ok(kept)
    }

    async fn abandon(&self, hold: &Hold) -> Result<(), BrokerError> {
        self.replace(hold, None);
        self.changed.notify_waiters();
        Ok(())
    }

    async fn forget(&self, key: &CacheKey) -> Result<(), BrokerError> {
        let mut state = self.lock();
        if matches!(state.entries.get(key), Some(Entry::Kept(..))) {
            state.entries.remove(key);
        }
        Ok(())
    }

    async fn counts(&self) -> Result<CacheStats, BrokerError> {
        let state = self.lock();
        let of = |shelf| state.counts.get(&shelf).copied().unwrap_or_default();
        Ok(CacheStats {
            shelves: Shelf::ALL.map(|shelf| (shelf, of(shelf))).to_vec(),
            values: state.kept().count() as u64,
            bytes: state.bytes(),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::clock::ManualClock;
    use crate::conformance::cache::{CACHE_BYTES, CacheHarness};

    use super::*;

    async fn fresh() -> CacheHarness {
        let clock = ManualClock::default();
        let cache = Arc::new(MemoryCache::new(clock.clone(), CACHE_BYTES));
        let again = cache.clone();
        CacheHarness::new(cache, clock).reopening(move || {
            let again = again.clone();
            async move { again as Arc<dyn Cache> }
        })
    }

    crate::cache_conformance!(fresh);
}
