//! How many jobs a queue gives: at once, per time, and to whom.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{InvalidId, Tenant};
use crate::limits;

/// What a queue may give. The default limits nothing and shares evenly.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueLimits {
    /// Jobs that wait to be started, at most: scheduled and queued ones. Without
    /// it [`limits::QUEUE_LENGTH_MAX`]. More are refused when they are enqueued;
    /// children and jobs that go back to their lane are not.
    #[serde(default)]
    pub length: Option<u64>,
    /// Jobs running at once, over all workers.
    pub concurrency: Option<u32>,
    /// Jobs started per time, over all workers.
    pub rate: Option<Rate>,
    /// Shares of tenants; who is not named has [`Weight::default`].
    pub weights: BTreeMap<Tenant, Weight>,
}

impl QueueLimits {
    /// Whether the queue takes one more job while `waiting` wait to be started.
    pub fn takes(&self, waiting: u64) -> bool {
        waiting < self.length.unwrap_or(limits::QUEUE_LENGTH_MAX)
    }
}

/// Jobs started per time.
///
/// The generic cell rate algorithm (ITU-T I.371, as a virtual schedule) over
/// one number, the theoretical arrival time of the next job: after a burst of
/// `burst`, one job every `per / jobs`. With a burst of 1 no span of `per`, its
/// end left out, sees more than `jobs` starts; with a larger one,
/// `burst - 1` more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// How many; at least 1.
    pub jobs: u32,
    /// In how many milliseconds; at least 1.
    pub per_ms: u32,
    /// How many at once after a pause; at least 1.
    pub burst: u32,
}

impl Rate {
    /// Microseconds between two jobs, at least 1.
    pub fn interval_us(&self) -> i64 {
        // Rounded up: a rate that does not divide its time is never exceeded.
        let per_us = u64::from(self.per_ms) * 1_000;
        let interval = per_us.div_ceil(u64::from(self.jobs.max(1)));
        i64::try_from(interval).unwrap_or(i64::MAX)
    }

    /// How many jobs may start at `now_us`, when the next one was expected at `next_us`.
    ///
    /// ```
    /// use lovage_core::queue::Rate;
    /// let rate = Rate { jobs: 10, per_ms: 1_000, burst: 3 };
    /// assert_eq!(rate.allowed(0, 5_000_000), 3);
    /// let next = rate.after(0, 5_000_000, 3);
    /// assert_eq!(rate.allowed(next, 5_000_000), 0);
    /// assert_eq!(rate.wait(next, 5_000_000).as_millis(), 100);
    /// assert_eq!(rate.allowed(next, 5_100_000), 1);
    /// ```
    pub fn allowed(&self, next_us: i64, now_us: i64) -> u32 {
        let interval = self.interval_us();
        let room = now_us + i64::from(self.burst.max(1)) * interval - next_us.max(now_us);
        u32::try_from(room.max(0) / interval).unwrap_or(u32::MAX)
    }

    /// When the next job is expected after `count` have started at `now_us`.
    pub fn after(&self, next_us: i64, now_us: i64, count: u32) -> i64 {
        next_us.max(now_us) + i64::from(count) * self.interval_us()
    }

    /// How long until one job may start; rounded up to whole milliseconds, the
    /// unit of a store's clock.
    pub fn wait(&self, next_us: i64, now_us: i64) -> Duration {
        let slack = (i64::from(self.burst.max(1)) - 1) * self.interval_us();
        let micros = u64::try_from(next_us - slack - now_us).unwrap_or(0);
        Duration::from_millis(micros.div_ceil(1_000))
    }
}

/// A tenant's share of a queue among lanes of one priority: 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Weight(u8);

impl Weight {
    /// The largest weight.
    pub const MAX: u8 = 100;

    /// Virtual time that one job of weight 1 takes.
    pub const UNIT: i64 = 10_000;

    /// The number, 1 to 100.
    pub fn get(self) -> u8 {
        self.0
    }

    /// How far one job moves the virtual time of its lane: a lane of twice the
    /// weight moves half as far, so it is given twice as many.
    pub fn step(self) -> i64 {
        Self::UNIT / i64::from(self.0)
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self(1)
    }
}

impl TryFrom<u8> for Weight {
    type Error = InvalidId;

    fn try_from(number: u8) -> Result<Self, InvalidId> {
        if (1..=Self::MAX).contains(&number) {
            Ok(Self(number))
        } else {
            Err(InvalidId::new("weight", "1 to 100", &number.to_string()))
        }
    }
}

impl From<Weight> for u8 {
    fn from(weight: Weight) -> Self {
        weight.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_span_sees_more_than_its_rate() {
        for rate in [
            Rate {
                jobs: 7,
                per_ms: 1_000,
                burst: 1,
            },
            Rate {
                jobs: 1_000,
                per_ms: 60_000,
                burst: 5,
            },
            Rate {
                jobs: 3,
                per_ms: 1,
                burst: 2,
            },
        ] {
            let mut next = 0;
            let mut starts = Vec::new();
            for ms in 0..5_000_i64 {
                let count = rate.allowed(next, ms * 1_000);
                next = rate.after(next, ms * 1_000, count);
                starts.extend(std::iter::repeat_n(ms, count as usize));
                assert!(!rate.wait(next, ms * 1_000).is_zero(), "{rate:?} at {ms}");
            }
            let most = (rate.jobs + rate.burst - 1) as usize;
            for span in starts.windows(most + 1) {
                assert!(
                    span[most] - span[0] >= i64::from(rate.per_ms),
                    "{rate:?}: {span:?}"
                );
            }
        }
    }

    #[test]
    fn a_wait_is_as_long_as_needed_and_no_longer() {
        let rate = Rate {
            jobs: 3,
            per_ms: 1_000,
            burst: 1,
        };
        let next = rate.after(0, 1_000_000, 1);
        let wait = i64::try_from(rate.wait(next, 1_000_000).as_micros()).unwrap();
        assert_eq!(rate.allowed(next, 1_000_000 + wait), 1);
        assert_eq!(rate.allowed(next, 1_000_000 + wait - 1_000), 0);
    }

    #[test]
    fn a_weight_beyond_its_bounds_is_refused() {
        assert!(Weight::try_from(0).is_err());
        assert!(Weight::try_from(101).is_err());
        assert_eq!(Weight::try_from(4).unwrap().step(), Weight::UNIT / 4);
    }
}
