//! Back-off with a cap and jitter.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long to wait before the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    /// Upper bound of the first wait, in milliseconds.
    pub base_ms: u64,
    /// Upper bound of any wait, in milliseconds.
    pub cap_ms: u64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            base_ms: 1_000,
            cap_ms: 60_000,
        }
    }
}

impl Backoff {
    /// The wait after failed attempt number `attempt` (from 1).
    ///
    /// `min(cap, base · 2^(attempt − 1))`, of which the upper half is jittered:
    /// `chance` in 0..1 moves it between 50 % and 100 %. ("Equal jitter" of
    /// Brooker, *Exponential Backoff and Jitter*, AWS 2015.)
    ///
    /// ```
    /// use lovage_core::retry::Backoff;
    /// let backoff = Backoff { base_ms: 1_000, cap_ms: 60_000 };
    /// assert_eq!(backoff.wait(3, 1.0).as_millis(), 4_000);
    /// assert_eq!(backoff.wait(3, 0.0).as_millis(), 2_000);
    /// assert_eq!(backoff.wait(99, 1.0).as_millis(), 60_000);
    /// ```
    pub fn wait(&self, attempt: u32, chance: f64) -> Duration {
        let doublings = attempt.saturating_sub(1).min(32);
        let full = self.base_ms.saturating_mul(1 << doublings).min(self.cap_ms);
        let share = 0.5 + 0.5 * chance.clamp(0.0, 1.0);
        Duration::from_millis((full as f64 * share) as u64)
    }
}
