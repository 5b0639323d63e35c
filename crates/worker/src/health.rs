//! Alive is not ready: whether the claim loop really comes round.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use lovage_core::clock::Clock;

/// What a readiness probe asks of a worker. Cheap to clone.
#[derive(Clone)]
pub struct Health {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    claimed_at: AtomicI64,
    extended_at: AtomicI64,
    draining: AtomicBool,
}

impl Health {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let never = AtomicI64::new(i64::MIN);
        let shared = Shared {
            clock,
            claimed_at: never,
            extended_at: AtomicI64::new(i64::MIN),
            draining: AtomicBool::new(false),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    pub(crate) fn claimed(&self) {
        self.shared.claimed_at.store(self.now(), Ordering::Relaxed);
    }

    pub(crate) fn extended(&self) {
        self.shared.extended_at.store(self.now(), Ordering::Relaxed);
    }

    pub(crate) fn draining(&self) {
        self.shared.draining.store(true, Ordering::Relaxed);
    }

    /// Ready while the worker takes jobs: its claim loop came round, or all its
    /// slots are busy and its lease was extended, within `within`.
    ///
    /// # Errors
    /// Says what is wrong, for a person.
    pub fn ready(&self, within: Duration) -> Result<(), String> {
        if self.shared.draining.load(Ordering::Relaxed) {
            return Err("draining".to_owned());
        }
        let within = i64::try_from(within.as_millis()).unwrap_or(i64::MAX);
        for (what, at) in [
            ("extended its lease", &self.shared.extended_at),
            ("claimed", &self.shared.claimed_at),
        ] {
            let age = self.now().saturating_sub(at.load(Ordering::Relaxed));
            if age > within {
                return Err(format!("has not {what} for longer than {within} ms"));
            }
        }
        Ok(())
    }

    /// When the claim loop last got an answer.
    pub fn last_claim(&self) -> Option<Timestamp> {
        Timestamp::from_millisecond(self.shared.claimed_at.load(Ordering::Relaxed)).ok()
    }

    fn now(&self) -> i64 {
        self.shared.clock.now().as_millisecond()
    }
}
