//! The arithmetic of admission. Pure: the time is an argument.
//!
//! Requests and tokens are token buckets refilled at nine tenths of the limit,
//! with room for a tenth of that: over any minute a bucket gives at most its
//! room and its refill, 99 % of the limit. (A bucket with room for a whole
//! minute gives up to twice the limit.) A call larger than the room runs when
//! the bucket is full and leaves a debt: a minute that ends with it exceeds the
//! limit by at most what the call is larger than the room.
//!
//! After a refusal everybody waits as long as the provider asks, the buckets are
//! empty at the end of that, and the part of the limits that is used is cut, to grow again by and by: additive increase,
//! multiplicative decrease (Chiu and Jain 1989). Calls made before a cut do not
//! cut again.
//!
//! `broker-redis/src/lua/limiter_*.lua` is the same in Lua, whose numbers are
//! `f64` too; a test compares the two step by step.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    Admission, Ask, CallEnd, CallLease, CallSettle, LimitName, Limits, Remaining, Snapshot, Totals,
    Verdict, Wait, Why,
};

/// The part of a limit that is used.
pub const SHARE: f64 = 0.9;
/// Room of a bucket, in minutes of its refill.
pub const BURST: f64 = 0.1;
/// What a refusal leaves of the factor.
pub const DECREASE: f64 = 0.7;
/// The smallest factor.
pub const FACTOR_MIN: f64 = 0.1;
/// What the factor grows by after [`GROW_AFTER`] calls that went well.
pub const INCREASE: f64 = 0.05;
/// Calls that go well before the factor grows.
pub const GROW_AFTER: u64 = 10;
/// When to ask again for a place among the calls in flight.
pub const PLACE_WAIT_MS: i64 = 50;
/// A lease that ran out this long ago can no longer be settled.
pub const FORGET_MS: i64 = 3_600_000;
/// A process that has not asked for this long is gone.
pub const HOLDER_MS: i64 = 600_000;
/// Tokens of one kind that one call counts for at the most.
pub const CALL_TOKENS_MAX: u64 = 1 << 40;
/// A day.
pub const DAY_MS: i64 = 86_400_000;
const MINUTE_MS: f64 = 60_000.0;

/// One account and model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Limits of the settings of who asked last.
    pub settings: Limits,
    /// Limits that go before them.
    pub overrides: Limits,
    /// Requests in the bucket, at `at_ms`.
    pub requests: f64,
    /// Tokens in the bucket, at `at_ms`.
    pub tokens: f64,
    /// When the buckets were filled last.
    pub at_ms: i64,
    /// Until when nobody calls.
    pub cool_ms: i64,
    /// The part of the limits that is used.
    pub factor: f64,
    /// When it was cut last.
    pub cut_ms: i64,
    /// Calls that went well since the first.
    pub fine: u64,
    /// The day of `spent_usd`, in days since 1970.
    pub day: i64,
    /// Spent that day, calls in flight by their estimate.
    pub spent_usd: f64,
    /// Calls not settled, and when they run out.
    pub leases: BTreeMap<String, i64>,
    /// Processes, and when they asked last.
    pub holders: BTreeMap<String, i64>,
    /// Since the first call.
    pub totals: Totals,
}

impl Default for State {
    fn default() -> Self {
        Self {
            settings: Limits::default(),
            overrides: Limits::default(),
            requests: 0.0,
            tokens: 0.0,
            at_ms: 0,
            cool_ms: 0,
            factor: 1.0,
            cut_ms: 0,
            fine: 0,
            day: 0,
            spent_usd: 0.0,
            leases: BTreeMap::new(),
            holders: BTreeMap::new(),
            totals: Totals::default(),
        }
    }
}

/// A bucket under a limit: its room, and what comes in per millisecond.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    room: f64,
    per_ms: f64,
}

impl Bucket {
    fn of(limit: u64, factor: f64) -> Self {
        let rate = limit as f64 * SHARE;
        Self {
            room: rate * BURST,
            per_ms: rate * factor / MINUTE_MS,
        }
    }

    fn filled(self, level: f64, elapsed_ms: f64) -> f64 {
        self.room.min(level + elapsed_ms * self.per_ms)
    }

    /// Milliseconds until `amount` may be taken; more than the room is not waited for.
    fn wait_ms(self, level: f64, amount: f64) -> i64 {
        let short = amount.min(self.room) - level;
        if short <= 0.0 {
            return 0;
        }
        (short / self.per_ms).ceil() as i64
    }
}

impl State {
    /// Admits a call at `now_ms`, or says how long to wait.
    pub fn acquire(&mut self, ask: &Ask, now_ms: i64) -> Admission {
        self.forget(now_ms);
        self.holders.insert(ask.holder.clone(), now_ms);
        self.settings = ask.limits;
        self.begin_day(now_ms);
        self.fill(now_ms);
        let known = self.leases.contains_key(&ask.id());
        let verdict = match self.wait(ask, now_ms) {
            Some(wait) if !known => Verdict::Wait(wait),
            _ => {
                if !known {
                    self.admit(ask, now_ms);
                }
                Verdict::Admitted(CallLease {
                    name: ask.name.clone(),
                    id: ask.id(),
                    at_ms: now_ms,
                    estimate: ask.estimate,
                })
            }
        };
        Admission {
            verdict,
            limits: self.limits(),
            holders: self.holders.len() as u64,
        }
    }

    /// Ends a call. False for one that is not known: it was settled before.
    pub fn settle(&mut self, settle: &CallSettle, now_ms: i64) -> bool {
        let CallSettle { lease, used, end } = settle;
        let used = used.counted();
        if self.leases.remove(&lease.id).is_none() {
            return false;
        }
        self.tokens += lease.estimate.tokens as f64 - (used.input + used.output) as f64;
        if lease.at_ms.div_euclid(DAY_MS) == self.day {
            let spent = self.spent_usd + (used.cost_usd - lease.estimate.cost_usd);
            self.spent_usd = spent.max(0.0);
        }
        let totals = &mut self.totals;
        totals.settled += 1;
        totals.guessed += u64::from(!used.measured);
        totals.input += used.input;
        totals.output += used.output;
        totals.cached += used.cached;
        totals.cost_usd += used.cost_usd;
        match *end {
            CallEnd::Fine => self.went_well(),
            CallEnd::Throttled(cool) => self.was_refused(lease.at_ms, cool, now_ms),
            CallEnd::Failed => {}
        }
        true
    }

    /// Takes note of what the provider says is left.
    pub fn observe(&mut self, remaining: Remaining) {
        if let Some(requests) = remaining.requests {
            self.requests = self.requests.min(requests as f64);
        }
        if let Some(tokens) = remaining.tokens {
            self.tokens = self.tokens.min(tokens as f64);
        }
    }

    /// The limits that hold.
    pub fn limits(&self) -> Limits {
        self.overrides.or(self.settings)
    }

    /// As it stands at `now_ms`.
    pub fn snapshot(&self, name: LimitName, now_ms: i64) -> Snapshot {
        let mut now = self.clone();
        now.forget(now_ms);
        now.begin_day(now_ms);
        now.fill(now_ms);
        let limits = now.limits();
        let cooling = u64::try_from(now.cool_ms - now_ms).unwrap_or(0);
        Snapshot {
            name,
            settings: now.settings,
            overrides: now.overrides,
            in_flight: now.in_flight(now_ms),
            requests_left: limits.rpm.map(|_| now.requests),
            tokens_left: limits.tpm.map(|_| now.tokens),
            factor: now.factor,
            cooling: Duration::from_millis(cooling),
            spent_usd: now.spent_usd,
            holders: now.holders.len() as u64,
            totals: now.totals,
        }
    }

    fn forget(&mut self, now_ms: i64) {
        let before = self.leases.len();
        self.leases.retain(|_, until| *until > now_ms - FORGET_MS);
        self.totals.lost += (before - self.leases.len()) as u64;
        self.holders.retain(|_, seen| *seen > now_ms - HOLDER_MS);
    }

    fn begin_day(&mut self, now_ms: i64) {
        let day = now_ms.div_euclid(DAY_MS);
        if day != self.day {
            self.day = day;
            self.spent_usd = 0.0;
        }
    }

    /// Refills the buckets; without a limit there is none.
    fn fill(&mut self, now_ms: i64) {
        let elapsed = (now_ms - self.at_ms).max(0) as f64;
        let filled = |limit: Option<u64>, level: f64| {
            limit.map_or(0.0, |limit| {
                Bucket::of(limit, self.factor).filled(level, elapsed)
            })
        };
        let limits = self.limits();
        self.requests = filled(limits.rpm, self.requests);
        self.tokens = filled(limits.tpm, self.tokens);
        // Ahead of now only for a cool-down: a clock that was set back stops no refill.
        self.at_ms = now_ms.max(self.at_ms.min(self.cool_ms));
    }

    /// The longest of all the waits; of equal ones the first.
    fn wait(&self, ask: &Ask, now_ms: i64) -> Option<Wait> {
        let limits = self.limits();
        let bucket = |limit: Option<u64>, level: f64, amount: f64| {
            limit.map_or(0, |limit| {
                Bucket::of(limit, self.factor).wait_ms(level, amount)
            })
        };
        let over = limits
            .budget_usd
            .is_some_and(|budget| self.spent_usd + ask.estimate.cost_usd > budget);
        let full = limits
            .concurrency
            .is_some_and(|places| self.in_flight(now_ms) >= self.places(places));
        let waits = [
            (Why::Cooldown, self.cool_ms - now_ms),
            (
                Why::Budget,
                i64::from(over) * ((self.day + 1) * DAY_MS - now_ms),
            ),
            (Why::Requests, bucket(limits.rpm, self.requests, 1.0)),
            (
                Why::Tokens,
                bucket(limits.tpm, self.tokens, ask.estimate.tokens as f64),
            ),
            (Why::Concurrency, i64::from(full) * PLACE_WAIT_MS),
        ];
        let mut longest = (Why::Cooldown, 0);
        for wait in waits {
            if wait.1 > longest.1 {
                longest = wait;
            }
        }
        let (why, ms) = longest;
        let time = Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        (!time.is_zero()).then_some(Wait { time, why })
    }

    fn admit(&mut self, ask: &Ask, now_ms: i64) {
        let ttl = i64::try_from(ask.ttl.as_millis()).unwrap_or(FORGET_MS);
        self.requests -= 1.0;
        self.tokens -= ask.estimate.tokens as f64;
        self.spent_usd += ask.estimate.cost_usd;
        self.leases.insert(ask.id(), now_ms.saturating_add(ttl));
        self.totals.admitted += 1;
        self.totals.reserved += ask.estimate.tokens;
        self.totals.waited_ms += u64::try_from(ask.waited.as_millis()).unwrap_or(0);
    }

    fn in_flight(&self, now_ms: i64) -> u64 {
        self.leases
            .values()
            .filter(|until| **until > now_ms)
            .count() as u64
    }

    /// Calls in flight that the factor leaves, at least 1.
    fn places(&self, limit: u64) -> u64 {
        ((limit as f64 * self.factor + 0.5).floor() as u64).max(1)
    }

    fn went_well(&mut self) {
        self.fine += 1;
        if self.fine.is_multiple_of(GROW_AFTER) {
            self.factor = (self.factor + INCREASE).min(1.0);
        }
    }

    fn was_refused(&mut self, made_ms: i64, cool: Duration, now_ms: i64) {
        self.totals.throttled += 1;
        let cool = i64::try_from(cool.as_millis()).unwrap_or(FORGET_MS);
        self.cool_ms = self.cool_ms.max(now_ms + cool);
        // There was nothing left, whatever the buckets say; they fill after the
        // cool-down, so that it does not end in a burst.
        self.requests = self.requests.min(0.0);
        self.tokens = self.tokens.min(0.0);
        self.at_ms = self.at_ms.max(self.cool_ms);
        if made_ms >= self.cut_ms {
            self.factor = (self.factor * DECREASE).max(FACTOR_MIN);
            self.cut_ms = now_ms;
        }
    }
}
