//! What a call asks of the limiter that all workers share.
//!
//! Each HTTP call is admitted with its estimate and settled with what it used,
//! by [`Place`], which settles with the estimate when it is dropped half way.
//! While the store does not answer, each worker keeps to its part of the limits.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lovage_workflow::limiter::{
    Admission, Ask, CallEnd, CallLease, CallSettle, Estimate, LimitName, Limiter, Limits,
    MemoryLimiter, Remaining, Used, Verdict, Wait, Why,
};
use lovage_workflow::{Clock, SystemClock};
use rand::{Rng, RngExt};
use reqwest::header::HeaderMap;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::estimate::Correction;
use super::piece::Reply;
use super::relay::Relay;
use super::retry::{PARK_AFTER, RETRY_AFTER_MAX};
use super::{LlmError, LlmErrorKind, OpenAiConfig, Price, Queued, TokenUsage};

/// Longest wait for the store's word.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);
/// A lease outlives the longest call by this.
const TTL_SLACK: Duration = Duration::from_secs(10);
/// Up to this part of a wait is added, so that those told the same time do not
/// come back together.
const SPREAD: f64 = 0.2;
/// Up to this is added to the time a job is parked for.
const PARK_SPREAD: Duration = Duration::from_secs(5);
/// The longest pause between two questions for a place among the calls in flight.
const PLACE_PAUSE_MAX: Duration = Duration::from_secs(1);
/// How long everybody leaves a provider alone that refused and named no time.
const COOL_DEFAULT: Duration = Duration::from_secs(1);
/// Settles that wait for the store to come back.
const LATE_MAX: usize = 1_024;
/// Tries to settle a call late, and the pause between them.
const LATE_TRIES: u32 = 60;
const LATE_PAUSE: Duration = Duration::from_secs(1);

/// The way of one model's calls past the limiter.
pub(crate) struct Gate {
    limiter: Arc<dyn Limiter>,
    name: LimitName,
    settings: Limits,
    price: Option<Price>,
    ttl: Duration,
    holder: String,
    next: AtomicU64,
    correction: Mutex<Correction>,
    /// What is done while the store does not answer.
    alone: MemoryLimiter,
    /// The limits that hold and who shares them, as the store said last.
    shared: Mutex<(Limits, u64)>,
    is_alone: AtomicBool,
    late: mpsc::Sender<CallSettle>,
}

/// Tokens a call is expected to use, prompt and answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected {
    pub(crate) prompt: u64,
    pub(crate) answer: u64,
}

impl Gate {
    /// For the account and model of `config`; `holder` is new at every start.
    ///
    /// # Panics
    /// Outside of a tokio runtime, where its calls are settled late.
    pub(crate) fn new(
        limiter: Arc<dyn Limiter>,
        provider: &str,
        config: &OpenAiConfig,
        settings: Limits,
        price: Option<Price>,
        holder: String,
    ) -> Gate {
        let (late, inbox) = mpsc::channel(LATE_MAX);
        // Ends when the gate is gone and what it left is settled or given up.
        tokio::spawn(settle_late(Arc::clone(&limiter), inbox));
        Gate {
            limiter,
            name: LimitName::new(provider, &config.model, &mark(config)),
            settings,
            price,
            ttl: config.total_timeout + TTL_SLACK,
            holder,
            next: AtomicU64::new(1),
            correction: Mutex::default(),
            alone: MemoryLimiter::new(Arc::new(SystemClock)),
            shared: Mutex::new((settings, 1)),
            is_alone: AtomicBool::new(false),
            late,
        }
    }

    /// Waits until the call may be made; adds what it waited to `queued`.
    ///
    /// # Errors
    /// [`LlmErrorKind::RateLimited`] with a time to park for, when the wait is
    /// longer than a call should be held for: [`LlmError::park`] tells it.
    pub(crate) async fn admit(
        &self,
        expected: Expected,
        relay: &Relay,
        queued: &mut Queued,
        mut jitter: impl FnMut(f64) -> f64,
    ) -> Result<Place<'_>, LlmError> {
        let mut ask = self.ask(expected);
        let mut turns = 0;
        loop {
            let (answer, alone) = self.answer(&ask).await;
            match answer.verdict {
                Verdict::Admitted(lease) => {
                    queued.waited += ask.waited;
                    queued.alone += u32::from(alone);
                    return Ok(Place {
                        gate: self,
                        expected,
                        lease: Some(lease),
                        alone,
                    });
                }
                Verdict::Wait(wait) => {
                    let pause = pause(wait, turns).mul_f64(1.0 + jitter(SPREAD));
                    if ask.waited + pause > PARK_AFTER {
                        queued.waited += ask.waited;
                        return Err(self.parked(wait, jitter(1.0)));
                    }
                    tracing::debug!(limit = %self.name, why = wait.why.as_str(), ?pause, "call held back");
                    relay.waiting(pause, wait.why.as_str());
                    sleep(pause).await;
                    ask.waited += pause;
                    turns += 1;
                }
            }
        }
    }

    /// Takes note of what the provider's headers say is left.
    pub(crate) async fn observe(&self, headers: &HeaderMap) {
        let count = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
        let remaining = Remaining {
            requests: count("x-ratelimit-remaining-requests"),
            tokens: count("x-ratelimit-remaining-tokens"),
        };
        if !remaining.is_known() || self.is_alone.load(Ordering::Relaxed) {
            return;
        }
        let observed = timeout(STORE_TIMEOUT, self.limiter.observe(&self.name, remaining)).await;
        if !matches!(observed, Ok(Ok(()))) {
            tracing::debug!(limit = %self.name, "what the provider says is left was not noted");
        }
    }

    fn ask(&self, expected: Expected) -> Ask {
        let prompt = lock(&self.correction).apply(expected.prompt);
        let usage = TokenUsage {
            prompt: Some(prompt),
            completion: Some(expected.answer),
            cached: None,
        };
        Ask {
            name: self.name.clone(),
            limits: self.settings,
            holder: self.holder.clone(),
            call: self.next.fetch_add(1, Ordering::Relaxed),
            estimate: Estimate {
                tokens: prompt + expected.answer,
                cost_usd: self.cost(&usage),
            },
            ttl: self.ttl,
            waited: Duration::ZERO,
        }
    }

    /// The store's word, or our own while it has none; and whether it is our own.
    async fn answer(&self, ask: &Ask) -> (Admission, bool) {
        // Dropped before the answer, the call is not made, but the store may
        // have admitted it.
        let owed = Owed::new(self, unused(ask));
        let answer = timeout(STORE_TIMEOUT, self.limiter.acquire(ask)).await;
        owed.paid();
        let why = match answer {
            Ok(Ok(answer)) => {
                *lock(&self.shared) = (answer.limits, answer.holders);
                if self.is_alone.swap(false, Ordering::Relaxed) {
                    tracing::info!(limit = %self.name, "calls are admitted for all workers again");
                }
                return (answer, false);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it did not answer in time".to_owned(),
        };
        let (limits, holders) = *lock(&self.shared);
        if !self.is_alone.swap(true, Ordering::Relaxed) {
            tracing::warn!(limit = %self.name, why, holders, limiter = "local",
                "the store admits no calls: this worker keeps to its part of the limits");
        }
        let ask = Ask {
            limits: limits.part_of(holders),
            ..ask.clone()
        };
        let answer = self.alone.acquire(&ask).await;
        (answer.expect("the memory of this process answers"), true)
    }

    /// Longer than a call is held for, so that the job is parked, and ten minutes
    /// at the most: a person may have raised the limit by then.
    fn parked(&self, wait: Wait, chance: f64) -> LlmError {
        let least = PARK_AFTER + Duration::from_millis(1);
        let after = wait.time.clamp(least, RETRY_AFTER_MAX) + PARK_SPREAD.mul_f64(chance);
        let limit = format!("{} {}", self.name, wait.why.as_str());
        LlmError {
            retry_after: Some(after),
            limit: Some(limit.clone()),
            ..LlmError::new(
                LlmErrorKind::RateLimited,
                format!("the limit {limit} is reached"),
            )
        }
    }

    fn cost(&self, usage: &TokenUsage) -> f64 {
        let cost = self.price.and_then(|price| price.cost(usage));
        cost.unwrap_or(0.0)
    }
}

/// What the store has to be told of a call. Dropped, it is told late.
struct Owed<'a> {
    gate: &'a Gate,
    settle: Option<CallSettle>,
}

impl<'a> Owed<'a> {
    fn new(gate: &'a Gate, settle: CallSettle) -> Self {
        Self {
            gate,
            settle: Some(settle),
        }
    }

    /// The store knows it, or need not.
    fn paid(mut self) {
        self.settle = None;
    }
}

impl Drop for Owed<'_> {
    fn drop(&mut self) {
        if let Some(settle) = self.settle.take() {
            self.gate.settle_late(settle);
        }
    }
}

/// The end of a call that was not made.
fn unused(ask: &Ask) -> CallSettle {
    CallSettle {
        lease: CallLease {
            name: ask.name.clone(),
            id: ask.id(),
            at_ms: SystemClock.now().as_millisecond(),
            estimate: ask.estimate,
        },
        used: Used {
            measured: true,
            ..Used::default()
        },
        end: CallEnd::Failed,
    }
}

/// The right to one call. Settles it when it is dropped.
pub(crate) struct Place<'a> {
    gate: &'a Gate,
    expected: Expected,
    /// Taken by whoever settles.
    lease: Option<CallLease>,
    alone: bool,
}

impl Place<'_> {
    /// Settles the call by what came of it.
    pub(crate) async fn settle(mut self, outcome: &Result<Reply, LlmError>) {
        let usage = outcome
            .as_ref()
            .map_or_else(|error| error.spent.usage, |reply| reply.usage);
        if let Some(prompt) = usage.prompt {
            lock(&self.gate.correction).learn(self.expected.prompt, prompt);
        }
        let Some(lease) = self.lease.take() else {
            return;
        };
        let settle = CallSettle {
            used: self.used(usage, outcome.as_ref().err(), &lease),
            end: end(outcome),
            lease,
        };
        if self.alone {
            let settled = self.gate.alone.settle(&settle).await;
            settled.expect("the memory of this process answers");
            // The store may have admitted it too, its answer lost.
            return self.gate.settle_late(settle);
        }
        let owed = Owed::new(self.gate, settle.clone());
        let settled = timeout(STORE_TIMEOUT, self.gate.limiter.settle(&settle)).await;
        if let Ok(Ok(())) = settled {
            owed.paid();
        }
    }

    /// What was used: what the provider says; nothing, when it refused at once;
    /// else the estimate.
    fn used(&self, usage: TokenUsage, error: Option<&LlmError>, lease: &CallLease) -> Used {
        // An error in the middle of an answer has a status too.
        let refused = error.is_some_and(|error| {
            error.partial.is_none() && error.status.is_some_and(|status| status >= 300)
        });
        if usage.prompt.is_none() && usage.completion.is_none() {
            return match refused {
                true => Used {
                    measured: true,
                    ..Used::default()
                },
                false => self.guessed(lease),
            };
        }
        let usage = TokenUsage {
            prompt: usage.prompt.or(Some(self.expected.prompt)),
            completion: usage.completion.or(Some(self.expected.answer)),
            cached: usage.cached,
        };
        Used {
            input: usage.prompt.unwrap_or(0),
            output: usage.completion.unwrap_or(0),
            cached: usage.cached.unwrap_or(0),
            cost_usd: self.gate.cost(&usage),
            measured: true,
        }
    }

    fn guessed(&self, lease: &CallLease) -> Used {
        Used {
            input: lease.estimate.tokens.saturating_sub(self.expected.answer),
            output: self.expected.answer,
            cached: 0,
            cost_usd: lease.estimate.cost_usd,
            measured: false,
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take() {
            self.gate.settle_late(CallSettle {
                used: self.guessed(&lease),
                end: CallEnd::Failed,
                lease,
            });
        }
    }
}

impl Gate {
    fn settle_late(&self, settle: CallSettle) {
        if self.late.try_send(settle).is_err() {
            tracing::warn!(limit = %self.name, "a call was not settled: its lease ends by itself");
        }
    }
}

/// Settles calls that their callers could not, until no more can come.
async fn settle_late(limiter: Arc<dyn Limiter>, mut inbox: mpsc::Receiver<CallSettle>) {
    while let Some(settle) = inbox.recv().await {
        for _ in 0..LATE_TRIES {
            match limiter.settle(&settle).await {
                Ok(()) => break,
                Err(error) if error.is_transient() => sleep(LATE_PAUSE).await,
                Err(error) => {
                    tracing::warn!(limit = %settle.lease.name, %error, "a call was not settled");
                    break;
                }
            }
        }
    }
}

/// How long to wait before asking again: for a place longer with every turn.
fn pause(wait: Wait, turns: u32) -> Duration {
    match wait.why {
        Why::Concurrency => wait
            .time
            .saturating_mul(1 << turns.min(10))
            .min(PLACE_PAUSE_MAX),
        Why::Cooldown | Why::Budget | Why::Requests | Why::Tokens => wait.time,
    }
}

/// What a call's end tells about the provider.
fn end(outcome: &Result<Reply, LlmError>) -> CallEnd {
    let Err(error) = outcome else {
        return CallEnd::Fine;
    };
    match error.kind {
        LlmErrorKind::RateLimited | LlmErrorKind::Overloaded => {
            let asked = error.retry_after.unwrap_or(COOL_DEFAULT);
            CallEnd::Throttled(asked.min(RETRY_AFTER_MAX))
        }
        LlmErrorKind::ContentFilter
        | LlmErrorKind::Refusal
        | LlmErrorKind::Truncated
        | LlmErrorKind::BadOutput => CallEnd::Fine,
        _ => CallEnd::Failed,
    }
}

/// Tells accounts apart: a digest of where calls go and with which secrets.
fn mark(config: &OpenAiConfig) -> String {
    let mut digest = Sha256::new();
    let mut add = |text: &str| {
        digest.update((text.len() as u64).to_be_bytes());
        digest.update(text.as_bytes());
    };
    add(config.base_url.trim_end_matches('/'));
    add(config.api_key.as_ref().map_or("", |key| key.expose()));
    for (name, value) in &config.query {
        add(name);
        add(value.expose());
    }
    let digest = digest.finalize();
    digest[..4]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Up to `part`, at random.
pub(crate) fn up_to(part: f64, rng: &mut impl Rng) -> f64 {
    rng.random_range(0.0..=part)
}

/// Held for a few instructions, so a panic elsewhere leaves no half-written value.
fn lock<T>(value: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}
