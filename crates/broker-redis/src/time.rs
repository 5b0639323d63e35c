//! What time it is for the store.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use lovage_core::clock::{Clock, SystemClock, to_millis};

/// The server's clock, or the one that tests move.
///
/// Scripts read the server's clock themselves. What is written into records is
/// computed here, so this follows the server: every answer that carries its
/// time corrects the difference to the machine's.
pub(crate) struct StoreTime {
    clock: Option<Arc<dyn Clock>>,
    ahead_ms: AtomicI64,
}

impl StoreTime {
    pub(crate) fn new(clock: Option<Arc<dyn Clock>>) -> Self {
        Self {
            clock,
            ahead_ms: AtomicI64::new(0),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        match &self.clock {
            Some(clock) => to_millis(clock.now()),
            None => {
                let ahead = self.ahead_ms.load(Ordering::Relaxed);
                let now = SystemClock.now().as_millisecond().saturating_add(ahead);
                Timestamp::from_millisecond(now).unwrap_or(Timestamp::MAX)
            }
        }
    }

    /// `ARGV[1]` of every script: the time in ms, or 0 for the server's own.
    pub(crate) fn argument(&self) -> i64 {
        match &self.clock {
            Some(clock) => clock.now().as_millisecond(),
            None => 0,
        }
    }

    /// Takes note of the server's time.
    pub(crate) fn heard(&self, server_ms: i64) {
        let ahead = server_ms.saturating_sub(SystemClock.now().as_millisecond());
        self.ahead_ms.store(ahead, Ordering::Relaxed);
    }

    /// Whether tests decide what time it is.
    pub(crate) fn is_moved(&self) -> bool {
        self.clock.is_some()
    }
}

impl fmt::Debug for StoreTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreTime")
            .field("ahead_ms", &self.ahead_ms)
            .field("moved", &self.is_moved())
            .finish()
    }
}

/// A duration in whole milliseconds, as scripts take it.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
