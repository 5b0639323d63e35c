//! Whether a failed call is made again, and when. Pure: time and chance are arguments.

use std::time::Duration;

use rand::{Rng, RngExt};

use super::{LlmError, LlmErrorKind};

/// A wait longer than this is not slept inside a call; see [`LlmError::park`].
pub const PARK_AFTER: Duration = Duration::from_secs(30);

/// The longest wait a provider may ask for; more is cut to this.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(600);

/// Tries for failures that are themselves slow.
const SLOW_TRIES_MAX: u32 = 3;

/// Bounds of the retries of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries in all, the first included.
    pub max_tries: u32,
    /// No try begins after this much time in calls and in waits between them;
    /// queueing for a permit does not count.
    pub max_total: Duration,
    /// Bound of the first back-off; each further one doubles it.
    pub backoff_base: Duration,
    /// Bound of every back-off.
    pub backoff_max: Duration,
    /// Up to this is added to a wait the provider asked for, so that callers
    /// told the same time do not come back at the same time.
    pub spread: Duration,
}

impl RetryPolicy {
    /// Five tries in 180 s, back-off from 500 ms to 60 s.
    pub const STANDARD: RetryPolicy = RetryPolicy {
        max_tries: 5,
        max_total: Duration::from_secs(180),
        backoff_base: Duration::from_millis(500),
        backoff_max: Duration::from_secs(60),
        spread: Duration::from_secs(2),
    };
}

/// What to do after a failed try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Sleep this long, then try again.
    Retry(Duration),
    /// Hand the error to the caller.
    GiveUp,
    /// Hand the error to the caller, who runs the job again after this long.
    Park(Duration),
}

/// Decides after `tries` tries, the failed one included, that took `elapsed` in all.
///
/// Back-off is full jitter: uniform in `0..=min(backoff_max, backoff_base * 2^n)`
/// (AWS Architecture Blog, "Exponential Backoff And Jitter"). A provider's own
/// Retry-After replaces it. Timeouts and broken streams are tried at most three
/// times, kinds that do not pass by themselves once.
pub fn decide(
    policy: &RetryPolicy,
    error: &LlmError,
    tries: u32,
    elapsed: Duration,
    rng: &mut impl Rng,
) -> Decision {
    if !error.kind.is_passing() {
        return Decision::GiveUp;
    }
    let wait = match error.retry_after {
        Some(asked) => asked.min(RETRY_AFTER_MAX) + up_to(policy.spread, rng),
        None => up_to(backoff_bound(policy, tries), rng),
    };
    if error.retry_after.is_some_and(|asked| asked > PARK_AFTER) {
        return Decision::Park(wait);
    }
    if tries >= tries_max(policy, error.kind) || elapsed + wait > policy.max_total {
        return Decision::GiveUp;
    }
    Decision::Retry(wait)
}

fn tries_max(policy: &RetryPolicy, kind: LlmErrorKind) -> u32 {
    match kind {
        LlmErrorKind::Timeout | LlmErrorKind::StreamBroken => policy.max_tries.min(SLOW_TRIES_MAX),
        _ => policy.max_tries,
    }
}

fn backoff_bound(policy: &RetryPolicy, tries: u32) -> Duration {
    let doublings = tries.saturating_sub(1).min(31);
    policy
        .backoff_base
        .saturating_mul(1 << doublings)
        .min(policy.backoff_max)
        .min(PARK_AFTER)
}

fn up_to(bound: Duration, rng: &mut impl Rng) -> Duration {
    rng.random_range(Duration::ZERO..=bound)
}
