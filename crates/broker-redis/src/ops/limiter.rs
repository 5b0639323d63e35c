//! Admission of calls to a provider.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use lovage_core::error::BrokerError;
use lovage_core::limiter::{
    Admission, Ask, CallEnd, CallLease, CallSettle, LimitName, Limits, Remaining, Snapshot, State,
    Totals, Verdict, Wait, Why,
};

use crate::connect::Store;
use crate::error::corrupt;
use crate::script::{self, Call};
use crate::time::millis;

/// Admitted, now or the wait, why, holders, the limits that hold, new.
type Answer = (bool, i64, usize, u64, [String; 4], bool);

impl Store {
    pub(crate) async fn admit(&self, ask: &Ask) -> Result<Admission, BrokerError> {
        let mut call = script::LIMITER_ACQUIRE.on(self.keys.limit(&ask.name));
        call.arg(self.time.argument())
            .arg(&ask.holder)
            .arg(ask.id())
            .arg(millis(ask.ttl))
            .arg(ask.estimate.tokens)
            .arg(ask.estimate.cost_usd.to_string())
            .arg(millis(ask.waited));
        limits_of(&mut call, &ask.limits);
        let (admitted, ms, why, holders, limits, new): Answer = self.call(&call).await?;
        self.know_limit(&ask.name, new).await?;
        let verdict = if admitted {
            Verdict::Admitted(CallLease {
                name: ask.name.clone(),
                id: ask.id(),
                at_ms: ms,
                estimate: ask.estimate,
            })
        } else {
            let why = why.checked_sub(1).and_then(|why| Why::ALL.get(why));
            Verdict::Wait(Wait {
                time: Duration::from_millis(u64::try_from(ms).unwrap_or(0)),
                why: *why.ok_or_else(|| corrupt("why a call waits".to_owned()))?,
            })
        };
        let [rpm, tpm, concurrency, budget_usd] = &limits;
        Ok(Admission {
            verdict,
            limits: Limits {
                rpm: number(rpm)?,
                tpm: number(tpm)?,
                concurrency: number(concurrency)?,
                budget_usd: number(budget_usd)?,
            },
            holders,
        })
    }

    pub(crate) async fn settle_call(&self, settle: &CallSettle) -> Result<(), BrokerError> {
        let CallSettle { lease, used, end } = settle;
        let used = used.counted();
        let (end, cool) = match end {
            CallEnd::Fine => ("fine", Duration::ZERO),
            CallEnd::Failed => ("failed", Duration::ZERO),
            CallEnd::Throttled(cool) => ("throttled", *cool),
        };
        let mut call = script::LIMITER_SETTLE.on(self.keys.limit(&lease.name));
        call.arg(self.time.argument())
            .arg(&lease.id)
            .arg(lease.at_ms)
            .arg(lease.estimate.tokens)
            .arg(lease.estimate.cost_usd.to_string())
            .arg(used.input)
            .arg(used.output)
            .arg(used.cached)
            .arg(used.cost_usd.to_string())
            .arg(u8::from(used.measured))
            .arg(end)
            .arg(millis(cool));
        self.call(&call).await
    }

    pub(crate) async fn observe(
        &self,
        name: &LimitName,
        remaining: Remaining,
    ) -> Result<(), BrokerError> {
        let mut call = script::LIMITER_OBSERVE.on(self.keys.limit(name));
        call.arg(self.time.argument())
            .arg(optional(remaining.requests))
            .arg(optional(remaining.tokens));
        self.call(&call).await
    }

    pub(crate) async fn set_limits(
        &self,
        name: &LimitName,
        overrides: &Limits,
    ) -> Result<bool, BrokerError> {
        let mut call = script::LIMITER_SET.on(self.keys.limit(name));
        call.arg(self.time.argument());
        limits_of(&mut call, overrides);
        self.call_kept(&call).await
    }

    pub(crate) async fn limits(&self) -> Result<Vec<Snapshot>, BrokerError> {
        let mut ask = redis::pipe();
        ask.smembers(self.keys.limits());
        let (names,): (Vec<String>,) = self.send(&ask).await?;
        let mut names = names
            .iter()
            .map(|name| name.parse())
            .collect::<Result<Vec<LimitName>, _>>()
            .map_err(|error| corrupt(error.to_string()))?;
        names.sort();
        let mut snapshots = Vec::with_capacity(names.len());
        for name in names {
            snapshots.extend(self.snapshot(name).await?);
        }
        Ok(snapshots)
    }

    async fn snapshot(&self, name: LimitName) -> Result<Option<Snapshot>, BrokerError> {
        let mut ask = redis::pipe();
        ask.hgetall(self.keys.limit_state(&name));
        ask.zrange_withscores(self.keys.limit_leases(&name), 0, -1);
        ask.zrange_withscores(self.keys.limit_holders(&name), 0, -1);
        type Scores = Vec<(String, f64)>;
        let (fields, leases, holders): (HashMap<String, String>, Scores, Scores) =
            self.send(&ask).await?;
        if fields.is_empty() {
            return Ok(None);
        }
        let state = read(&fields, leases, holders)?;
        let now = self.time.now().as_millisecond();
        Ok(Some(state.snapshot(name, now)))
    }
}

fn limits_of(call: &mut Call, limits: &Limits) {
    call.arg(optional(limits.rpm))
        .arg(optional(limits.tpm))
        .arg(optional(limits.concurrency))
        .arg(optional(limits.budget_usd));
}

fn optional(number: Option<impl ToString>) -> String {
    number.map_or_else(String::new, |number| number.to_string())
}

/// A number, `None` for an empty text.
fn number<T: std::str::FromStr>(text: &str) -> Result<Option<T>, BrokerError> {
    if text.is_empty() {
        return Ok(None);
    }
    let read = text.parse();
    read.map(Some)
        .map_err(|_| corrupt(format!("a number of a limit: {text:?}")))
}

/// The state as the core knows it.
fn read(
    fields: &HashMap<String, String>,
    leases: Vec<(String, f64)>,
    holders: Vec<(String, f64)>,
) -> Result<State, BrokerError> {
    let text = |name: &str| fields.get(name).map_or("", String::as_str);
    let float = |name: &str| number::<f64>(text(name)).map(Option::unwrap_or_default);
    let whole = |name: &str| float(name).map(|value| value as i64);
    let total = |name: &str| number::<u64>(text(name)).map(Option::unwrap_or_default);
    let limits = |of: &str| {
        Ok::<_, BrokerError>(Limits {
            rpm: number(text(&format!("{of}_rpm")))?,
            tpm: number(text(&format!("{of}_tpm")))?,
            concurrency: number(text(&format!("{of}_concurrency")))?,
            budget_usd: number(text(&format!("{of}_budget_usd")))?,
        })
    };
    let times = |scores: Vec<(String, f64)>| -> BTreeMap<String, i64> {
        let times = scores.into_iter();
        times.map(|(name, ms)| (name, ms as i64)).collect()
    };
    Ok(State {
        settings: limits("s")?,
        overrides: limits("o")?,
        requests: float("requests")?,
        tokens: float("tokens")?,
        at_ms: whole("at_ms")?,
        cool_ms: whole("cool_ms")?,
        factor: float("factor")?,
        cut_ms: whole("cut_ms")?,
        fine: total("fine")?,
        day: whole("day")?,
        spent_usd: float("spent_usd")?,
        leases: times(leases),
        holders: times(holders),
        totals: Totals {
            admitted: total("admitted")?,
            settled: total("settled")?,
            lost: total("lost")?,
            throttled: total("throttled")?,
            guessed: total("guessed")?,
            waited_ms: total("waited_ms")?,
            reserved: total("reserved")?,
            input: total("input")?,
            output: total("output")?,
            cached: total("cached")?,
            cost_usd: float("cost_usd")?,
        },
    })
}
