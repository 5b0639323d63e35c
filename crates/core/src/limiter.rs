//! Admission of calls to a provider, over all workers of a store.
//!
//! A call is *admitted* with an estimate of what it will use and *settled* with
//! what it did use. Between the two it holds a lease, which ends by itself when
//! its holder dies. [`state`] is the arithmetic; a store keeps one [`State`] per
//! account and model and changes it in one atomic step per verb.
//!
//! A lease that ran out frees its place at once; its estimate stays charged
//! until it is settled after all, within [`state::FORGET_MS`].

pub mod memory;
mod name;
pub mod state;

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::BrokerError;

pub use memory::MemoryLimiter;
pub use name::LimitName;
pub use state::State;

/// What an account may use of a model, as its provider says. `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Requests per minute; at least 1.
    pub rpm: Option<u64>,
    /// Tokens per minute, prompts and answers together; at least 1.
    pub tpm: Option<u64>,
    /// Calls in flight at once; at least 1.
    pub concurrency: Option<u64>,
    /// US dollars per day, which begins at midnight UTC.
    pub budget_usd: Option<f64>,
}

impl Limits {
    /// These limits, and `others` where these have none.
    #[must_use]
    pub fn or(self, others: Limits) -> Limits {
        Limits {
            rpm: self.rpm.or(others.rpm),
            tpm: self.tpm.or(others.tpm),
            concurrency: self.concurrency.or(others.concurrency),
            budget_usd: self.budget_usd.or(others.budget_usd),
        }
    }

    /// One of `holders` equal parts, each rounded down to 1 at least: what a
    /// process may use that cannot ask the others.
    #[must_use]
    pub fn part_of(self, holders: u64) -> Limits {
        let holders = holders.max(1);
        let part = |limit: u64| (limit / holders).max(1);
        Limits {
            rpm: self.rpm.map(part),
            tpm: self.tpm.map(part),
            concurrency: self.concurrency.map(part),
            budget_usd: self.budget_usd.map(|budget| budget / holders as f64),
        }
    }
}

/// What a call is expected to use.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Estimate {
    /// Tokens of the prompt and of the answer.
    pub tokens: u64,
    /// US dollars; 0 where no price is known.
    pub cost_usd: f64,
}

/// A call that wants to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// The account and model.
    pub name: LimitName,
    /// The limits that the caller's settings know of. What a person has set in
    /// the store goes before them.
    pub limits: Limits,
    /// The process that calls, new at every start; without a colon.
    pub holder: String,
    /// Which of its calls it is. The same one again is admitted once.
    pub call: u64,
    /// What it is expected to use.
    pub estimate: Estimate,
    /// How long it takes at the longest; then its holder counts as dead.
    pub ttl: Duration,
    /// How long it has waited for admission so far.
    pub waited: Duration,
}

impl Ask {
    /// The call's name among all of the account and model.
    pub fn id(&self) -> String {
        format!("{}:{}", self.holder, self.call)
    }
}

/// The answer to an [`Ask`].
#[derive(Debug, Clone, PartialEq)]
pub struct Admission {
    /// Whether the call may be made now.
    pub verdict: Verdict,
    /// The limits that hold, with what a person has set.
    pub limits: Limits,
    /// Processes that asked in the last minutes, this one among them.
    pub holders: u64,
}

/// Whether a call may be made.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It may, and has to be settled.
    Admitted(CallLease),
    /// Not yet.
    Wait(Wait),
}

/// Why a call may not be made yet, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// Ask again after this. Nothing is promised for then: others ask too.
    pub time: Duration,
    /// What is short.
    pub why: Why,
}

/// What a call waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// The provider refused a call and named a time, for all.
    Cooldown,
    /// The day's budget is spent.
    Budget,
    /// Requests per minute.
    Requests,
    /// Tokens per minute.
    Tokens,
    /// Calls in flight.
    Concurrency,
}

impl Why {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Cooldown,
        Self::Budget,
        Self::Requests,
        Self::Tokens,
        Self::Concurrency,
    ];

    /// Stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cooldown => "cooldown",
            Self::Budget => "budget",
            Self::Requests => "rpm",
            Self::Tokens => "tpm",
            Self::Concurrency => "concurrency",
        }
    }
}

/// The right to make one call, and the duty to settle it.
#[derive(Debug, Clone, PartialEq)]
pub struct CallLease {
    /// The account and model.
    pub name: LimitName,
    /// The call, see [`Ask::id`].
    pub id: String,
    /// When it was admitted, in ms by the store's clock.
    pub at_ms: i64,
    /// What it was admitted with.
    pub estimate: Estimate,
}

/// What a call has used.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Used {
    /// Tokens of the prompt.
    pub input: u64,
    /// Tokens of the answer.
    pub output: u64,
    /// Tokens of the prompt that the provider had in its cache.
    pub cached: u64,
    /// US dollars; 0 where no price is known.
    pub cost_usd: f64,
    /// Whether the provider said so; else it is the estimate.
    pub measured: bool,
}

impl Used {
    /// As a store counts it: no more than [`state::CALL_TOKENS_MAX`] of each, so that
    /// what a broken provider claims spoils no sum.
    #[must_use]
    pub fn counted(self) -> Used {
        Used {
            input: self.input.min(state::CALL_TOKENS_MAX),
            output: self.output.min(state::CALL_TOKENS_MAX),
            cached: self.cached.min(state::CALL_TOKENS_MAX),
            ..self
        }
    }
}

/// How a call ended, as far as the limits are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallEnd {
    /// The provider took it.
    Fine,
    /// The provider was asked too much: nobody calls it for this long.
    Throttled(Duration),
    /// It failed for a reason of its own.
    Failed,
}

/// The end of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct CallSettle {
    /// The right under which it was made.
    pub lease: CallLease,
    /// What it used.
    pub used: Used,
    /// How it ended.
    pub end: CallEnd,
}

/// What the provider's headers say is left of the current minute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Remaining {
    /// Requests.
    pub requests: Option<u64>,
    /// Tokens.
    pub tokens: Option<u64>,
}

impl Remaining {
    /// Whether they say anything.
    pub fn is_known(self) -> bool {
        self.requests.is_some() || self.tokens.is_some()
    }
}

/// An account and model as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Which.
    pub name: LimitName,
    /// The limits of the settings of the worker that asked last.
    pub settings: Limits,
    /// The limits a person has set; they go before the settings.
    pub overrides: Limits,
    /// Calls in flight.
    pub in_flight: u64,
    /// Requests that may be made at once; `None` without a limit.
    pub requests_left: Option<f64>,
    /// Tokens that may be used at once; negative after a call larger than the burst.
    pub tokens_left: Option<f64>,
    /// The part of the limits that is used, 0.1 to 1: less after refusals.
    pub factor: f64,
    /// How long the provider is left alone.
    pub cooling: Duration,
    /// US dollars of the current day, calls in flight by their estimate.
    pub spent_usd: f64,
    /// Processes that asked in the last minutes.
    pub holders: u64,
    /// Since the first call.
    pub totals: Totals,
}

/// What has come together since the first call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Calls admitted.
    pub admitted: u64,
    /// Calls settled.
    pub settled: u64,
    /// Calls whose holder died: they were never settled.
    pub lost: u64,
    /// Calls that the provider refused for being too many.
    pub throttled: u64,
    /// Calls settled with their estimate, since nobody said what they used.
    pub guessed: u64,
    /// Milliseconds that admitted calls had waited.
    pub waited_ms: u64,
    /// Tokens that admitted calls were expected to use.
    pub reserved: u64,
    /// Tokens of prompts, settled.
    pub input: u64,
    /// Tokens of answers, settled.
    pub output: u64,
    /// Tokens of prompts that came from the provider's cache, settled.
    pub cached: u64,
    /// US dollars, settled.
    pub cost_usd: f64,
}

/// Admits calls. Every verb may be sent again after [`BrokerError::Unavailable`]:
/// nothing is counted twice.
#[async_trait]
pub trait Limiter: Send + Sync + 'static {
    /// Admits a call or says how long to wait.
    ///
    /// # Errors
    /// When the store cannot be reached or fails.
    async fn acquire(&self, ask: &Ask) -> Result<Admission, BrokerError>;

    /// Ends a call, once. One that is not known, or not any more, changes nothing.
    ///
    /// # Errors
    /// When the store cannot be reached or fails.
    async fn settle(&self, settle: &CallSettle) -> Result<(), BrokerError>;

    /// Takes note of what a provider says is left; it never raises anything.
    ///
    /// # Errors
    /// When the store cannot be reached or fails.
    async fn observe(&self, name: &LimitName, remaining: Remaining) -> Result<(), BrokerError>;

    /// Every account and model that was ever asked for, by name.
    ///
    /// # Errors
    /// When the store cannot be reached or fails.
    async fn limits(&self) -> Result<Vec<Snapshot>, BrokerError>;

    /// Sets what goes before the settings of all workers, in place of what was
    /// set before; it lasts. False for a name that nobody has asked for.
    ///
    /// # Errors
    /// When the store cannot be reached or fails.
    async fn set_limits(&self, name: &LimitName, overrides: Limits) -> Result<bool, BrokerError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_limit_is_never_nothing() {
        let limits = Limits {
            rpm: Some(10),
            tpm: Some(1_000),
            concurrency: Some(2),
            budget_usd: Some(3.0),
        };
        let part = limits.part_of(4);
        assert_eq!((part.rpm, part.tpm), (Some(2), Some(250)));
        assert_eq!((part.concurrency, part.budget_usd), (Some(1), Some(0.75)));
        assert_eq!(limits.part_of(0), limits);
        assert_eq!(Limits::default().part_of(3), Limits::default());
    }
}
