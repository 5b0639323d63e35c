//! Many measurements of one thing.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Times, and what share of them is below what.
pub(super) struct Spread(Histogram<u64>);

impl Spread {
    pub(super) fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, 600_000_000_000, 3);
        Self(histogram.expect("the bounds are valid"))
    }

    pub(super) fn record(&mut self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.0.saturating_record(nanos);
    }

    /// The time that this share of all stays within.
    pub(super) fn at(&self, share: f64) -> Duration {
        Duration::from_nanos(self.0.value_at_quantile(share))
    }

    /// The same in milliseconds.
    pub(super) fn ms(&self, share: f64) -> f64 {
        self.at(share).as_secs_f64() * 1_000.0
    }

    /// The longest, in milliseconds.
    pub(super) fn max_ms(&self) -> f64 {
        Duration::from_nanos(self.0.max()).as_secs_f64() * 1_000.0
    }
}

/// The middle one; of an even number, the mean of the middle two.
///
/// # Panics
/// Without any value.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = ((sorted.len() - 1) / 2, sorted.len() / 2);
    (sorted[low] + sorted[high]) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
