//! What a limiter promises, one function each, named as a sentence.
//!
//! Every case is listed once, in
//! [`limiter_conformance!`](crate::limiter_conformance). Time is moved, never slept.

use std::any::Any;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use lovage_core::clock::Clock;
use lovage_core::limiter::{
    Admission, Ask, CallEnd, CallLease, CallSettle, Estimate, LimitName, Limiter, Limits,
    MemoryLimiter, Remaining, Snapshot, Used, Verdict, Wait, Why, state,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::clock::ManualClock;

/// Opens another limiter on the same store.
pub type Reopen = Box<dyn Fn() -> BoxFuture<'static, Arc<dyn Limiter>> + Send + Sync>;

/// How long a call takes at the longest.
const TTL: Duration = Duration::from_secs(70);
const MINUTE: Duration = Duration::from_secs(60);
/// Operations compared with the arithmetic of the core.
const OPERATIONS: usize = 1_500;

/// A limiter on a fresh, empty store.
pub struct LimiterHarness {
    limiter: Arc<dyn Limiter>,
    clock: ManualClock,
    reopen: Option<Reopen>,
    _guard: Box<dyn Any + Send + Sync>,
}

impl LimiterHarness {
    /// A limiter that reads `clock`; `guard` lives as long as it is used.
    pub fn new(
        limiter: Arc<dyn Limiter>,
        clock: ManualClock,
        guard: impl Any + Send + Sync,
    ) -> Self {
        Self {
            limiter,
            clock,
            reopen: None,
            _guard: Box::new(guard),
        }
    }

    /// With a way to open the same store a second time, as another process would.
    pub fn reopening<F, R>(mut self, reopen: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Arc<dyn Limiter>> + Send + 'static,
    {
        self.reopen = Some(Box::new(move || Box::pin(reopen())));
        self
    }

    /// Another process's limiter; the same one where there is no way to open one.
    async fn other(&self) -> Arc<dyn Limiter> {
        match &self.reopen {
            Some(reopen) => reopen().await,
            None => Arc::clone(&self.limiter),
        }
    }

    async fn acquire(&self, ask: &Ask) -> Admission {
        self.limiter.acquire(ask).await.unwrap()
    }

    async fn admitted(&self, ask: &Ask) -> CallLease {
        match self.acquire(ask).await.verdict {
            Verdict::Admitted(lease) => lease,
            Verdict::Wait(wait) => panic!("{ask:?} has to wait: {wait:?}"),
        }
    }

    async fn waits(&self, ask: &Ask) -> Wait {
        match self.acquire(ask).await.verdict {
            Verdict::Wait(wait) => wait,
            Verdict::Admitted(_) => panic!("{ask:?} was admitted"),
        }
    }

    async fn settle(&self, lease: CallLease, tokens: u64, end: CallEnd) {
        let used = used(tokens);
        self.limiter
            .settle(&CallSettle { lease, used, end })
            .await
            .unwrap();
    }

    async fn snapshot(&self) -> Snapshot {
        let all = self.limiter.limits().await.unwrap();
        all.into_iter().find(|one| one.name == name()).unwrap()
    }
}

/// Runs a case unless there is no store to run it on.
pub async fn run<F: Future<Output = ()>>(
    case: fn(LimiterHarness) -> F,
    harness: Option<LimiterHarness>,
) {
    if let Some(harness) = harness {
        case(harness).await;
    }
}

/// Makes one `#[tokio::test]` per promise for a limiter, given a factory as
/// [`broker_conformance!`](crate::broker_conformance) takes it.
#[macro_export]
macro_rules! limiter_conformance {
    ($fresh:expr) => {
        $crate::limiter_conformance! { @each [$fresh]
            any_minute_stays_within_the_limits
            a_call_larger_than_the_burst_runs_and_is_paid_back
            no_more_calls_are_in_flight_than_allowed
            calls_at_once_share_the_places
            the_place_of_a_dead_holder_is_free_in_time
            a_call_settled_late_counts_all_the_same
            what_is_settled_is_what_was_used
            a_verb_sent_again_counts_once
            processes_share_one_budget
            a_refusal_holds_for_all_and_cuts_once
            a_cool_down_does_not_end_in_a_burst
            a_clock_set_back_does_not_stop_the_refill
            what_no_call_can_have_used_spoils_no_sum
            calls_that_go_well_bring_the_rate_back
            headers_lower_and_never_raise
            a_day_has_its_budget
            limits_set_by_a_person_go_before_the_settings
            the_store_counts_as_the_core_does
        }
    };
    (@each [$fresh:expr] $($case:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                let harness = Option::from(($fresh)().await);
                $crate::conformance::limiter::run(
                    $crate::conformance::limiter::$case, harness,
                ).await;
            }
        )+
    };
}

fn name() -> LimitName {
    LimitName::new("openai", "gpt-test", "a1b2c3d4")
}

fn used(tokens: u64) -> Used {
    Used {
        input: tokens - tokens / 4,
        output: tokens / 4,
        measured: true,
        ..Used::default()
    }
}

/// A call of a process.
fn ask(holder: &str, call: u64, limits: Limits, tokens: u64) -> Ask {
    Ask {
        name: name(),
        limits,
        holder: holder.to_owned(),
        call,
        estimate: Estimate {
            tokens,
            cost_usd: 0.0,
        },
        ttl: TTL,
        waited: Duration::ZERO,
    }
}

fn rates(rpm: u64, tpm: u64) -> Limits {
    Limits {
        rpm: Some(rpm),
        tpm: Some(tpm),
        ..Limits::default()
    }
}

fn places(concurrency: u64) -> Limits {
    Limits {
        concurrency: Some(concurrency),
        ..Limits::default()
    }
}

/// The most of `amounts` in any span of a minute, its end left out.
fn worst_minute(amounts: &[(i64, u64)]) -> u64 {
    let minute = i64::try_from(MINUTE.as_millis()).unwrap();
    let in_span = |start: i64| {
        let span = amounts
            .iter()
            .filter(|(at, _)| (start..start + minute).contains(at));
        span.map(|(_, amount)| amount).sum()
    };
    amounts
        .iter()
        .map(|(at, _)| in_span(*at))
        .max()
        .unwrap_or(0)
}

/// Callers that always have another call give a minute at most what the
/// provider allows, and at least four fifths of it.
pub async fn any_minute_stays_within_the_limits(h: LimiterHarness) {
    let mut rng = StdRng::seed_from_u64(4);
    for (rpm, tpm) in [(60, 10_000_000), (7, 10_000_000), (100_000, 60_000)] {
        let (mut requests, mut tokens) = (Vec::new(), Vec::new());
        let end = h.clock.now().as_millisecond() + 4 * 60_000;
        let mut call = 0;
        while h.clock.now().as_millisecond() < end {
            call += 1;
            let ask = Ask {
                name: LimitName::new("openai", &format!("{rpm}-{tpm}"), "0"),
                ..ask("a", call, rates(rpm, tpm), rng.random_range(500..5_400))
            };
            let lease = loop {
                match h.acquire(&ask).await.verdict {
                    Verdict::Admitted(lease) => break lease,
                    Verdict::Wait(wait) => h.clock.advance(wait.time),
                }
            };
            requests.push((lease.at_ms, 1));
            tokens.push((lease.at_ms, ask.estimate.tokens));
            h.settle(lease, ask.estimate.tokens, CallEnd::Fine).await;
        }
        for (amounts, limit) in [(&requests, rpm), (&tokens, tpm)] {
            let worst = worst_minute(amounts);
            assert!(worst <= limit, "{worst} in a minute of {limit}");
        }
        let share = (worst_minute(&requests) as f64 / rpm as f64)
            .max(worst_minute(&tokens) as f64 / tpm as f64);
        assert!(
            share > 0.8,
            "only {share} of {rpm} requests or {tpm} tokens"
        );
    }
}

/// It waits for a full bucket at the most, and the next one for its debt.
pub async fn a_call_larger_than_the_burst_runs_and_is_paid_back(h: LimiterHarness) {
    let limits = rates(1_000, 10_000);
    // The room is 900 tokens, and 9,000 come in per minute.
    h.admitted(&ask("a", 1, limits, 5_400)).await;
    let wait = h.waits(&ask("a", 2, limits, 900)).await;
    assert_eq!(wait.why, Why::Tokens);
    assert_eq!(wait.time, Duration::from_secs(36));
    h.clock.advance(wait.time);
    h.admitted(&ask("a", 2, limits, 900)).await;
}

/// Whoever asks for one more is told to come back soon.
pub async fn no_more_calls_are_in_flight_than_allowed(h: LimiterHarness) {
    let first = h.admitted(&ask("a", 1, places(2), 10)).await;
    h.admitted(&ask("b", 1, places(2), 10)).await;
    let wait = h.waits(&ask("a", 2, places(2), 10)).await;
    assert_eq!((wait.why, wait.time.as_millis()), (Why::Concurrency, 50));
    h.settle(first, 10, CallEnd::Fine).await;
    h.admitted(&ask("a", 2, places(2), 10)).await;
    assert_eq!(h.snapshot().await.in_flight, 2);
}

/// Of any number of calls at once, exactly as many are admitted as may be.
pub async fn calls_at_once_share_the_places(h: LimiterHarness) {
    let other = h.other().await;
    let calls = (0..40).map(|call| {
        let limiter = if call % 2 == 0 { &h.limiter } else { &other };
        let (limiter, ask) = (Arc::clone(limiter), ask("a", call, places(7), 10));
        tokio::spawn(async move { limiter.acquire(&ask).await.unwrap().verdict })
    });
    let mut admitted = 0;
    for call in calls.collect::<Vec<_>>() {
        admitted += u64::from(matches!(call.await.unwrap(), Verdict::Admitted(_)));
    }
    assert_eq!(admitted, 7);
}

/// At the end of its lease, and not before; what it took stays charged.
pub async fn the_place_of_a_dead_holder_is_free_in_time(h: LimiterHarness) {
    h.admitted(&ask("dead", 1, places(1), 10)).await;
    h.clock.advance(TTL - Duration::from_millis(1));
    h.waits(&ask("a", 1, places(1), 10)).await;
    h.clock.advance(Duration::from_millis(1));
    let lease = h.admitted(&ask("a", 1, places(1), 10)).await;
    h.settle(lease, 10, CallEnd::Fine).await;
    h.clock.advance(Duration::from_secs(2 * 3_600));
    h.admitted(&ask("a", 2, places(1), 10)).await;
    let totals = h.snapshot().await.totals;
    assert_eq!((totals.admitted, totals.settled, totals.lost), (3, 1, 1));
}

/// A holder that was frozen and came back tells what it used.
pub async fn a_call_settled_late_counts_all_the_same(h: LimiterHarness) {
    let lease = h.admitted(&ask("frozen", 1, places(1), 10)).await;
    h.clock.advance(TTL + MINUTE);
    h.admitted(&ask("a", 1, places(1), 10)).await;
    h.settle(lease, 400, CallEnd::Fine).await;
    let stands = h.snapshot().await;
    assert_eq!((stands.totals.input, stands.totals.output), (300, 100));
    assert_eq!((stands.in_flight, stands.totals.lost), (1, 0));
}

/// An estimate that was too high is given back, one too low is charged.
pub async fn what_is_settled_is_what_was_used(h: LimiterHarness) {
    let limits = rates(1_000, 100_000);
    let before = |left: f64| left.round() as i64;
    let high = h.admitted(&ask("a", 1, limits, 4_000)).await;
    assert_eq!(before(h.snapshot().await.tokens_left.unwrap()), 5_000);
    h.settle(high, 1_000, CallEnd::Fine).await;
    assert_eq!(before(h.snapshot().await.tokens_left.unwrap()), 8_000);
    let low = h.admitted(&ask("a", 2, limits, 1_000)).await;
    h.settle(low, 9_000, CallEnd::Failed).await;
    let stands = h.snapshot().await;
    assert_eq!(before(stands.tokens_left.unwrap()), -1_000);
    assert_eq!(stands.totals.input + stands.totals.output, 10_000);
    assert_eq!(stands.totals.reserved, 5_000);
}

/// A verb whose answer was lost is sent again.
pub async fn a_verb_sent_again_counts_once(h: LimiterHarness) {
    let limits = rates(1_000, 100_000);
    let call = Ask {
        waited: Duration::from_millis(250),
        ..ask("a", 1, limits, 4_000)
    };
    h.admitted(&call).await;
    let lease = h.admitted(&call).await;
    assert_eq!(h.snapshot().await.in_flight, 1);
    for _ in 0..2 {
        h.settle(lease.clone(), 1_000, CallEnd::Throttled(MINUTE))
            .await;
    }
    let stands = h.snapshot().await;
    let totals = stands.totals;
    assert_eq!(
        (totals.admitted, totals.settled, totals.throttled),
        (1, 1, 1)
    );
    assert_eq!((totals.reserved, totals.waited_ms), (4_000, 250));
    assert_eq!(totals.input + totals.output, 1_000);
    assert_eq!(stands.factor, state::DECREASE);
}

/// What one process has used is not there for the other.
pub async fn processes_share_one_budget(h: LimiterHarness) {
    let (limits, other) = (rates(1_000, 10_000), h.other().await);
    h.admitted(&ask("a", 1, limits, 900)).await;
    let answer = other.acquire(&ask("b", 1, limits, 900)).await.unwrap();
    assert!(matches!(answer.verdict, Verdict::Wait(wait) if wait.why == Why::Tokens));
    assert_eq!((answer.holders, answer.limits), (2, limits));
    h.clock.advance(Duration::from_secs(6));
    let answer = other.acquire(&ask("b", 1, limits, 900)).await.unwrap();
    assert!(matches!(answer.verdict, Verdict::Admitted(_)));
    h.waits(&ask("a", 2, limits, 900)).await;
    assert_eq!(other.limits().await.unwrap(), [h.snapshot().await]);
}

/// Calls that were in flight when the rate was cut do not cut it again.
pub async fn a_refusal_holds_for_all_and_cuts_once(h: LimiterHarness) {
    let mut leases = Vec::new();
    for call in 0..5 {
        leases.push(h.admitted(&ask("a", call, places(10), 10)).await);
    }
    h.clock.advance(Duration::from_millis(100));
    for lease in leases {
        let cool = CallEnd::Throttled(Duration::from_secs(20));
        h.settle(lease, 0, cool).await;
    }
    let wait = h.waits(&ask("b", 1, places(10), 10)).await;
    assert_eq!((wait.why, wait.time.as_secs()), (Why::Cooldown, 20));
    assert_eq!(h.snapshot().await.factor, 0.7);
    h.clock.advance(wait.time);
    let again = h.admitted(&ask("b", 1, places(10), 10)).await;
    h.settle(again, 0, CallEnd::Throttled(Duration::ZERO)).await;
    let stands = h.snapshot().await;
    assert!((stands.factor - 0.49).abs() < 1e-12, "{}", stands.factor);
    assert_eq!(stands.totals.throttled, 6);
}

/// What the buckets held was not there after all, and a cool-down is no time to save.
pub async fn a_cool_down_does_not_end_in_a_burst(h: LimiterHarness) {
    let limits = rates(600, 60_000);
    let lease = h.admitted(&ask("a", 1, limits, 10)).await;
    let cool = Duration::from_secs(20);
    h.settle(lease, 0, CallEnd::Throttled(cool)).await;
    h.clock.advance(cool);
    // Nine tenths of ten requests per second, of which seven tenths are used.
    let wait = h.waits(&ask("a", 2, limits, 10)).await;
    assert_eq!((wait.why, wait.time.as_millis()), (Why::Requests, 159));
    h.clock.advance(wait.time);
    h.admitted(&ask("a", 2, limits, 10)).await;
    h.waits(&ask("a", 3, limits, 10)).await;
}

/// Wherever the clock had been, time that passes brings in what it should.
pub async fn a_clock_set_back_does_not_stop_the_refill(h: LimiterHarness) {
    let (limits, wrong) = (rates(600, 60_000), Duration::from_secs(3_600));
    h.clock.advance(wrong);
    h.admitted(&ask("a", 1, limits, 5_400)).await;
    h.clock.set_back(wrong);
    let wait = h.waits(&ask("a", 2, limits, 900)).await;
    assert_eq!((wait.why, wait.time.as_millis()), (Why::Tokens, 1_000));
    h.clock.advance(wait.time);
    h.admitted(&ask("a", 2, limits, 900)).await;
}

/// A provider that says what cannot be is believed up to a bound.
pub async fn what_no_call_can_have_used_spoils_no_sum(h: LimiterHarness) {
    for call in 0..2 {
        let lease = h.admitted(&ask("a", call, Limits::default(), 10)).await;
        let used = Used {
            input: u64::MAX,
            output: u64::MAX,
            cached: u64::MAX,
            ..Used::default()
        };
        let end = CallEnd::Fine;
        let settle = CallSettle { lease, used, end };
        h.limiter.settle(&settle).await.unwrap();
    }
    let (totals, most) = (h.snapshot().await.totals, 2 * state::CALL_TOKENS_MAX);
    assert_eq!((totals.settled, totals.input), (2, most));
    assert_eq!((totals.output, totals.cached), (most, most));
}

/// A twentieth after every ten of them.
pub async fn calls_that_go_well_bring_the_rate_back(h: LimiterHarness) {
    let mut call = 0;
    let mut end = async |end: CallEnd| {
        call += 1;
        let lease = h.admitted(&ask("a", call, Limits::default(), 10)).await;
        h.settle(lease, 10, end).await;
    };
    end(CallEnd::Throttled(Duration::ZERO)).await;
    for _ in 0..10 {
        end(CallEnd::Failed).await;
    }
    assert_eq!(h.snapshot().await.factor, 0.7);
    for _ in 0..10 {
        end(CallEnd::Fine).await;
    }
    assert_eq!(h.snapshot().await.factor, 0.75);
    for _ in 0..100 {
        end(CallEnd::Fine).await;
    }
    assert_eq!(h.snapshot().await.factor, 1.0);
}

/// A provider knows of calls that we do not know of.
pub async fn headers_lower_and_never_raise(h: LimiterHarness) {
    let limits = rates(1_000, 100_000);
    h.admitted(&ask("a", 1, limits, 1_000)).await;
    let remaining = |requests, tokens| Remaining {
        requests: Some(requests),
        tokens,
    };
    let limiter = &h.limiter;
    limiter
        .observe(&name(), remaining(999, Some(99_999)))
        .await
        .unwrap();
    let stands = h.snapshot().await;
    assert_eq!(stands.requests_left.unwrap().round() as i64, 89);
    assert_eq!(stands.tokens_left.unwrap().round() as i64, 8_000);
    limiter
        .observe(&name(), remaining(0, Some(500)))
        .await
        .unwrap();
    let stands = h.snapshot().await;
    assert_eq!(stands.requests_left, Some(0.0));
    assert_eq!(stands.tokens_left, Some(500.0));
    assert_eq!(h.waits(&ask("a", 2, limits, 500)).await.why, Why::Requests);
    let unknown = LimitName::new("nobody", "asked", "0");
    limiter.observe(&unknown, remaining(1, None)).await.unwrap();
    assert_eq!(limiter.limits().await.unwrap().len(), 1);
}

/// Calls in flight count with their estimate; a new day begins with nothing spent.
pub async fn a_day_has_its_budget(h: LimiterHarness) {
    let day = u64::try_from(state::DAY_MS).unwrap();
    let gone = u64::try_from(h.clock.now().as_millisecond()).unwrap() % day;
    h.clock.advance(Duration::from_millis(day - gone + 1_000));
    let limits = Limits {
        budget_usd: Some(1.0),
        ..Limits::default()
    };
    let priced = |call, cost_usd| Ask {
        estimate: Estimate {
            tokens: 10,
            cost_usd,
        },
        ..ask("a", call, limits, 10)
    };
    let settled = |lease, cost_usd| CallSettle {
        lease,
        used: Used {
            cost_usd,
            ..used(10)
        },
        end: CallEnd::Fine,
    };
    let first = h.admitted(&priced(1, 0.75)).await;
    let wait = h.waits(&priced(2, 0.5)).await;
    assert_eq!(
        (wait.why, wait.time.as_millis()),
        (Why::Budget, u128::from(day) - 1_000)
    );
    h.limiter.settle(&settled(first, 0.25)).await.unwrap();
    h.clock.advance(wait.time - MINUTE);
    let second = h.admitted(&priced(2, 0.5)).await;
    assert_eq!(h.snapshot().await.spent_usd, 0.75);
    h.clock.advance(MINUTE);
    assert_eq!(h.snapshot().await.spent_usd, 0.0);
    h.admitted(&priced(3, 1.0)).await;
    // Yesterday's call is settled today, and today owes nothing for it.
    h.limiter.settle(&settled(second, 0.5)).await.unwrap();
    let stands = h.snapshot().await;
    assert_eq!((stands.spent_usd, stands.totals.cost_usd), (1.0, 0.75));
}

/// At once, for every process, over restarts, until they are set anew.
pub async fn limits_set_by_a_person_go_before_the_settings(h: LimiterHarness) {
    assert!(!h.limiter.set_limits(&name(), places(1)).await.unwrap());
    assert!(h.limiter.limits().await.unwrap().is_empty());
    h.admitted(&ask("a", 1, rates(1_000, 100_000), 10)).await;
    assert!(h.limiter.set_limits(&name(), places(1)).await.unwrap());
    let both = Limits {
        concurrency: Some(1),
        ..rates(1_000, 100_000)
    };
    let answer = h
        .other()
        .await
        .acquire(&ask("b", 1, rates(1_000, 100_000), 10))
        .await;
    let answer = answer.unwrap();
    assert_eq!(answer.limits, both);
    assert!(matches!(answer.verdict, Verdict::Wait(wait) if wait.why == Why::Concurrency));
    let stands = h.snapshot().await;
    assert_eq!(
        (stands.overrides, stands.settings),
        (places(1), rates(1_000, 100_000))
    );
    assert!(
        h.limiter
            .set_limits(&name(), Limits::default())
            .await
            .unwrap()
    );
    h.admitted(&ask("b", 1, rates(1_000, 100_000), 10)).await;
}

/// Any operations in any order give what the arithmetic in memory gives.
pub async fn the_store_counts_as_the_core_does(h: LimiterHarness) {
    let seed =
        std::env::var("LOVAGE_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    eprintln!("LOVAGE_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let core = MemoryLimiter::new(Arc::new(h.clock.clone()));
    let mut open: BTreeMap<String, CallLease> = BTreeMap::new();
    for number in 0..OPERATIONS {
        match rng.random_range(0..100) {
            0..50 => {
                let ask = any_ask(&mut rng);
                let (got, expected) = (h.acquire(&ask).await, core.acquire(&ask).await.unwrap());
                assert_eq!(got, expected, "operation {number}: {ask:?}");
                if let Verdict::Admitted(lease) = got.verdict {
                    open.insert(format!("{} {}", lease.name, lease.id), lease);
                }
            }
            50..85 => {
                let Some(key) = open.keys().nth(rng.random_range(0..open.len().max(1))) else {
                    continue;
                };
                // One that stays in the map is settled again later.
                let key = key.clone();
                let settle = any_settle(&mut rng, open[&key].clone());
                h.limiter.settle(&settle).await.unwrap();
                core.settle(&settle).await.unwrap();
                if rng.random_bool(0.9) {
                    open.remove(&key);
                }
            }
            85..90 => {
                let left = any_remaining(&mut rng);
                h.limiter.observe(&left.0, left.1).await.unwrap();
                core.observe(&left.0, left.1).await.unwrap();
            }
            90..92 => {
                let (name, limits) = (any_name(&mut rng), any_limits(&mut rng));
                let got = h.limiter.set_limits(&name, limits).await.unwrap();
                assert_eq!(got, core.set_limits(&name, limits).await.unwrap());
            }
            _ => {
                let most = *[500, 20_000, 90_000, 30_000_000]
                    .get(rng.random_range(0..4))
                    .unwrap();
                h.clock
                    .advance(Duration::from_millis(rng.random_range(0..most)));
            }
        }
        let (got, expected) = (
            h.limiter.limits().await.unwrap(),
            core.limits().await.unwrap(),
        );
        assert_eq!(got, expected, "after operation {number}");
    }
}

fn any_name(rng: &mut StdRng) -> LimitName {
    LimitName::new("openai", ["small", "large"][rng.random_range(0..2)], "0")
}

fn any_limits(rng: &mut StdRng) -> Limits {
    Limits {
        rpm: rng.random_bool(0.6).then(|| rng.random_range(1..500)),
        tpm: rng.random_bool(0.6).then(|| rng.random_range(1..200_000)),
        concurrency: rng.random_bool(0.5).then(|| rng.random_range(1..12)),
        budget_usd: rng.random_bool(0.3).then(|| rng.random_range(0.01..3.0)),
    }
}

fn any_ask(rng: &mut StdRng) -> Ask {
    Ask {
        name: any_name(rng),
        estimate: Estimate {
            tokens: rng.random_range(0..20_000),
            cost_usd: rng.random_range(0.0..0.1),
        },
        ttl: Duration::from_millis(rng.random_range(1..100_000)),
        waited: Duration::from_millis(rng.random_range(0..5_000)),
        ..ask(
            ["a", "b", "c"][rng.random_range(0..3)],
            rng.random_range(0..1_000),
            any_limits(rng),
            0,
        )
    }
}

fn any_settle(rng: &mut StdRng, lease: CallLease) -> CallSettle {
    CallSettle {
        lease,
        used: Used {
            input: rng.random_range(0..15_000),
            output: rng.random_range(0..5_000),
            cached: rng.random_range(0..100),
            cost_usd: rng.random_range(0.0..0.1),
            measured: rng.random(),
        },
        end: match rng.random_range(0..5) {
            0 => CallEnd::Throttled(Duration::from_millis(rng.random_range(0..10_000))),
            1 => CallEnd::Failed,
            _ => CallEnd::Fine,
        },
    }
}

fn any_remaining(rng: &mut StdRng) -> (LimitName, Remaining) {
    let remaining = Remaining {
        requests: rng.random_bool(0.7).then(|| rng.random_range(0..50)),
        tokens: rng.random_bool(0.7).then(|| rng.random_range(0..20_000)),
    };
    (any_name(rng), remaining)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn fresh() -> LimiterHarness {
        let clock = ManualClock::default();
        let limiter = MemoryLimiter::new(Arc::new(clock.clone()));
        LimiterHarness::new(Arc::new(limiter.clone()), clock, ()).reopening(move || {
            let limiter = limiter.clone();
            async move { Arc::new(limiter) as Arc<dyn Limiter> }
        })
    }

    crate::limiter_conformance!(fresh);
}
