//! A limiter for one process, which keeps nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{Admission, Ask, CallSettle, LimitName, Limiter, Limits, Remaining, Snapshot, State};
use crate::clock::Clock;
use crate::error::BrokerError;

/// The arithmetic behind a lock. Clones share it.
#[derive(Clone)]
pub struct MemoryLimiter {
    states: Arc<Mutex<BTreeMap<LimitName, State>>>,
    clock: Arc<dyn Clock>,
}

impl MemoryLimiter {
    /// Knows of nothing yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            states: Arc::default(),
            clock,
        }
    }

    fn states(&self) -> MutexGuard<'_, BTreeMap<LimitName, State>> {
        // Each change is whole before anything can panic.
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> i64 {
        self.clock.now().as_millisecond()
    }
}

impl fmt::Debug for MemoryLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLimiter").finish_non_exhaustive()
    }
}

#[async_trait]
impl Limiter for MemoryLimiter {
    async fn acquire(&self, ask: &Ask) -> Result<Admission, BrokerError> {
        let now = self.now_ms();
        let mut states = self.states();
        let state = states.entry(ask.name.clone()).or_default();
        Ok(state.acquire(ask, now))
    }

    async fn settle(&self, settle: &CallSettle) -> Result<(), BrokerError> {
        let now = self.now_ms();
        if let Some(state) = self.states().get_mut(&settle.lease.name) {
            state.settle(settle, now);
        }
        Ok(())
    }

    async fn observe(&self, name: &LimitName, remaining: Remaining) -> Result<(), BrokerError> {
        if let Some(state) = self.states().get_mut(name) {
            state.observe(remaining);
        }
        Ok(())
    }

    async fn limits(&self) -> Result<Vec<Snapshot>, BrokerError> {
        let now = self.now_ms();
        let states = self.states();
        let all = states.iter();
        Ok(all
            .map(|(name, state)| state.snapshot(name.clone(), now))
            .collect())
    }

    async fn set_limits(&self, name: &LimitName, overrides: Limits) -> Result<bool, BrokerError> {
        let mut states = self.states();
        let known = states.get_mut(name);
        Ok(known.map(|state| state.overrides = overrides).is_some())
    }
}
