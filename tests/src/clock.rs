//! A clock that stands still until a test moves it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use lovage_core::clock::{Clock, SystemClock};

/// A clock that tests move; clones share one time.
///
/// It starts at the real now, so that what a store hands to its own clock
/// (the time to live of a Redis key, say) lies in the future.
#[derive(Debug, Clone)]
pub struct ManualClock {
    millis: Arc<AtomicI64>,
}

impl ManualClock {
    /// A clock that says `start` until it is moved.
    pub fn at(start: Timestamp) -> Self {
        Self {
            millis: Arc::new(AtomicI64::new(start.as_millisecond())),
        }
    }

    /// Moves the time forward, to the millisecond; everyone who holds a clone sees it.
    pub fn advance(&self, by: Duration) {
        let millis = i64::try_from(by.as_millis()).expect("tests move less than an age");
        self.millis.fetch_add(millis, Ordering::SeqCst);
    }

    /// Moves the time back, as one does who corrects a clock.
    pub fn set_back(&self, by: Duration) {
        let millis = i64::try_from(by.as_millis()).expect("tests move less than an age");
        self.millis.fetch_sub(millis, Ordering::SeqCst);
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::at(SystemClock.now())
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.millis.load(Ordering::SeqCst))
            .expect("tests stay before the year 9999")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_shows_the_time_the_other_was_moved_to() {
        let clock = ManualClock::default();
        let clone = clock.clone();
        let before = clone.now();
        clock.advance(Duration::from_millis(1_500));
        assert_eq!(
            clone.now().as_millisecond() - before.as_millisecond(),
            1_500
        );
    }
}
