//! What a queue may give, from the wire and back.

use std::collections::BTreeMap;

use lovage_client::wire::{LimitsRequest, LimitsView, RateRequest, RateView};
use lovage_core::id::Tenant;
use lovage_core::limits::{QUEUE_LENGTH_MAX, WEIGHTS_MAX};
use lovage_core::queue::{QueueLimits, Rate, Weight};

use crate::body::escaped;
use crate::error::ApiError;
use crate::fields::Fields;

/// Most jobs of a rate.
const JOBS_MAX: u32 = 1_000_000;
/// Longest time of a rate, in seconds: 30 days.
const PER_S_MAX: u32 = 30 * 24 * 3600;
/// A burst that was not asked for is what the rate allows in this many milliseconds.
const BURST_MS: u64 = 10;

/// A request as limits; says everything that is wrong with it.
pub(crate) fn queue_limits(request: LimitsRequest) -> Result<QueueLimits, ApiError> {
    let mut fields = Fields::default();
    fields.within("/length", request.length, QUEUE_LENGTH_MAX);
    let concurrency = request.concurrency.map(u64::from);
    fields.within("/concurrency", concurrency, u64::from(u32::MAX));
    let limits = QueueLimits {
        length: request.length,
        concurrency: request.concurrency,
        rate: request.rate.map(|asked| rate(asked, &mut fields)),
        weights: weights(request.weights, &mut fields),
    };
    fields.all_right(limits)
}

fn rate(asked: RateRequest, fields: &mut Fields) -> Rate {
    let mut within = |pointer: &str, number: u32, max: u32| {
        fields.within(pointer, Some(u64::from(number)), u64::from(max));
    };
    within("/rate/jobs", asked.jobs, JOBS_MAX);
    within("/rate/per_s", asked.per_s, PER_S_MAX);
    if let Some(burst) = asked.burst {
        within("/rate/burst", burst, asked.jobs.clamp(1, JOBS_MAX));
    }
    let per_ms = asked.per_s.saturating_mul(1_000);
    let usual = (u64::from(asked.jobs) * BURST_MS).div_ceil(u64::from(per_ms.max(1)));
    Rate {
        jobs: asked.jobs,
        per_ms,
        burst: asked
            .burst
            .unwrap_or(u32::try_from(usual).unwrap_or(u32::MAX))
            .max(1),
    }
}

fn weights(asked: BTreeMap<String, u8>, fields: &mut Fields) -> BTreeMap<Tenant, Weight> {
    let got = asked.len();
    if got > WEIGHTS_MAX {
        fields.refuse(
            "/weights",
            format!("expected at most {WEIGHTS_MAX}, got {got}"),
        );
        return BTreeMap::new();
    }
    let read = |(name, number): (String, u8)| {
        let pointer = format!("/weights/{}", escaped(&name));
        let tenant = fields.take(&pointer, Some(name.parse()));
        let weight = fields.take(&pointer, Some(Weight::try_from(number)));
        tenant.zip(weight)
    };
    asked.into_iter().filter_map(read).collect()
}

/// Limits for a caller.
pub(crate) fn limits_view(limits: &QueueLimits) -> LimitsView {
    let weights = limits.weights.iter();
    LimitsView {
        length: limits.length,
        concurrency: limits.concurrency,
        rate: limits.rate.as_ref().map(rate_view),
        weights: weights
            .map(|(tenant, weight)| (tenant.to_string(), weight.get()))
            .collect(),
    }
}

/// In whole seconds; a thousandfold where a time has none.
fn rate_view(rate: &Rate) -> RateView {
    let (jobs, per_s) = if rate.per_ms.is_multiple_of(1_000) {
        (u64::from(rate.jobs), rate.per_ms / 1_000)
    } else {
        (u64::from(rate.jobs) * 1_000, rate.per_ms)
    };
    RateView {
        jobs,
        per_s,
        burst: rate.burst,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_that_was_not_asked_for_is_what_ten_milliseconds_allow() {
        for (jobs, per_s, burst) in [
            (1, 1, 1),
            (100, 1, 1),
            (101, 1, 2),
            (5_000, 1, 50),
            (600, 60, 1),
        ] {
            let asked = RateRequest {
                jobs,
                per_s,
                burst: None,
            };
            let made = rate(asked, &mut Fields::default());
            assert_eq!(
                (made.burst, made.per_ms),
                (burst, per_s * 1_000),
                "{jobs}/{per_s}"
            );
        }
    }

    #[test]
    fn a_rate_without_whole_seconds_is_shown_as_the_same_rate() {
        let shown = |jobs, per_ms| {
            let rate = Rate {
                jobs,
                per_ms,
                burst: 1,
            };
            let view = rate_view(&rate);
            (view.jobs, view.per_s)
        };
        assert_eq!(shown(3, 60_000), (3, 60));
        assert_eq!(shown(3, 1_500), (3_000, 1_500));
    }
}
