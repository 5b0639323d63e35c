//! What a job has spent in all its attempts, and what it may still spend.
//!
//! A call is entered before it is made, at the most it can use, and again with
//! what it did use. Of a call whose attempt died only the first entry is there,
//! and that is what it counts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use lovage_workflow::{Context, Failure, Parts};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::{Instant, timeout};

use crate::llm::estimate::{answer_tokens, prompt_tokens, tokens_estimate};
use crate::llm::{
    ChatRequest, ChatResponse, Limit, Llm, LlmError, LlmErrorKind, Price, Sink, TokenUsage,
};

use super::prices::Prices;
use super::types::{Budget, StepUsage, Timing, Usage, Warning};

/// An answer shorter than this is not worth a call: the budget refuses it.
const ANSWER_TOKENS_MIN: u64 = 400;

/// The books of one job, as one attempt keeps them.
pub(crate) struct Ledger {
    context: Context,
    parts: Parts<Entry>,
    budget: Budget,
    prices: Prices,
    began: Timestamp,
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    calls: BTreeMap<u32, Entry>,
    /// Number of this run of the job, from 0.
    run: u32,
    /// Milliseconds that earlier runs have worked.
    worked_ms: u64,
}

/// A call, or a sign of work without one.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    /// Number of the call in the job; none for a sign of work.
    call: Option<u32>,
    run: u32,
    /// Milliseconds that the run has worked by then.
    worked_ms: u64,
    step: String,
    /// HTTP calls, retries included.
    calls: u32,
    /// What the provider says it used.
    said: Tokens,
    /// What counts: that, or an estimate.
    counted: Tokens,
    /// Whether the count is an estimate.
    estimated: bool,
    /// Whether the answer came from the cache, without a call.
    #[serde(default)]
    cached: bool,
    /// Milliseconds it was held back by limits.
    #[serde(default)]
    queue_ms: u64,
    /// Whether this worker alone admitted it, as the store did not answer.
    #[serde(default)]
    alone: bool,
}

/// Tokens as they are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Tokens {
    prompt: Option<u64>,
    completion: Option<u64>,
    cached: Option<u64>,
}

impl From<TokenUsage> for Tokens {
    fn from(usage: TokenUsage) -> Self {
        Self {
            prompt: usage.prompt,
            completion: usage.completion,
            cached: usage.cached,
        }
    }
}

impl From<Tokens> for TokenUsage {
    fn from(tokens: Tokens) -> Self {
        Self {
            prompt: tokens.prompt,
            completion: tokens.completion,
            cached: tokens.cached,
        }
    }
}

impl Tokens {
    fn estimate(prompt: u64, completion: u64) -> Self {
        Self {
            prompt: Some(prompt),
            completion: Some(completion),
            cached: None,
        }
    }
}

/// What was spent so far, as the budget sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Spending {
    /// Tokens, both ways.
    pub(crate) tokens: u64,
    /// US dollars; 0 where no price is known.
    pub(crate) cost_usd: f64,
}

/// How many tokens the answer to a prompt of `prompt` tokens may have, `answer`
/// at the most: what the budget leaves. Not worth a call below 400.
///
/// # Errors
/// The limit that leaves no room.
pub(crate) fn room(
    budget: &Budget,
    price: Option<&Price>,
    spent: Spending,
    prompt: u64,
    answer: u64,
) -> Result<u64, Limit> {
    let least = ANSWER_TOKENS_MIN.min(answer);
    let tokens = budget.max_tokens.map_or(u64::MAX, |max| {
        max.saturating_sub(spent.tokens.saturating_add(prompt))
    });
    if tokens < least {
        return Err(Limit::Tokens);
    }
    let cost = match (budget.max_cost_usd, price) {
        (Some(max), Some(price)) => {
            let left = max - spent.cost_usd - prompt as f64 * price.input / 1e6;
            // Saturates: a model whose answers are free leaves all room there is.
            (left >= 0.0).then(|| (left / price.output * 1e6) as u64)
        }
        _ => Some(u64::MAX),
    };
    match cost {
        Some(cost) if cost >= least => Ok(answer.min(tokens).min(cost)),
        _ => Err(Limit::Cost),
    }
}

/// Whether the limit of cost can be kept with a model of this price, which
/// `settings` set.
///
/// # Errors
/// Gives up with `no_price` when the cost is limited and the price is unknown.
pub(crate) fn priced(budget: &Budget, price: Option<Price>, settings: &str) -> Result<(), Failure> {
    if budget.max_cost_usd.is_none() || price.is_some() {
        return Ok(());
    }
    Err(Failure::give_up(
        "no_price",
        format!(
            "budget.max_cost_usd needs a price for the model: set {settings}, or limit max_tokens"
        ),
    ))
}

impl Ledger {
    /// Opens the books where earlier attempts left them.
    ///
    /// # Errors
    /// As [`priced`], of the model that writes; what keeps stored entries from
    /// being read.
    pub(crate) async fn open(
        context: &Context,
        budget: Budget,
        prices: Prices,
    ) -> Result<Arc<Self>, Failure> {
        priced(&budget, prices.writer, "llm.price_in and llm.price_out")?;
        let (entries, parts) = context.parts::<Entry>("ledger", &()).await?;
        let mut books = Books::default();
        let mut worked: BTreeMap<u32, u64> = BTreeMap::new();
        for entry in entries {
            let of_run = worked.entry(entry.run).or_default();
            *of_run = entry.worked_ms.max(*of_run);
            if let Some(call) = entry.call {
                books.calls.insert(call, entry);
            }
        }
        books.run = worked.keys().next_back().map_or(0, |last| last + 1);
        books.worked_ms = worked.values().sum();
        Ok(Arc::new(Self {
            began: context.now(),
            context: context.clone(),
            parts,
            budget,
            prices,
            books: Mutex::new(books),
        }))
    }

    /// The model, for the calls of one step: entered, and made only within the budget.
    pub(crate) fn model(self: &Arc<Self>, step: &'static str, llm: Arc<dyn Llm>) -> Arc<dyn Llm> {
        Arc::new(Entered {
            ledger: self.clone(),
            step,
            inner: llm,
        })
    }

    /// Work without calls, which is told when the job's deadline is, to end by
    /// then with what it has. The warning says that it came to it.
    ///
    /// # Errors
    /// What the work fails with.
    pub(crate) async fn by_deadline<T, W>(
        &self,
        step: &str,
        work: impl FnOnce(Option<Instant>) -> W,
    ) -> Result<(T, Option<Warning>), Failure>
    where
        W: Future<Output = Result<T, Failure>>,
    {
        let left = self.left();
        // Beyond what a clock can show is never.
        let Some(deadline) = left.and_then(|left| Instant::now().checked_add(left)) else {
            return Ok((work(None).await?, None));
        };
        let done = work(Some(deadline)).await?;
        self.enter(&self.worked(step)).await?;
        let late = (Instant::now() >= deadline).then(|| self.late());
        Ok((done, late))
    }

    /// What comes of work, unless the job's deadline comes first: then the work
    /// is dropped.
    ///
    /// # Errors
    /// That it was late.
    pub(crate) async fn in_time<T>(&self, work: impl Future<Output = T>) -> Result<T, Warning> {
        let Some(left) = self.left() else {
            return Ok(work.await);
        };
        timeout(left, work).await.map_err(|_| self.late())
    }

    fn late(&self) -> Warning {
        Warning {
            code: LlmErrorKind::Budget(Limit::Deadline).to_string(),
            detail: self.reason(Limit::Deadline),
        }
    }

    /// What was spent, in all and by step.
    pub(crate) fn usage(&self) -> Usage {
        let books = self.books();
        let mut steps: Vec<StepUsage> = Vec::new();
        for entry in books.calls.values() {
            let at = steps.iter().position(|one| one.step == entry.step);
            let at = at.unwrap_or_else(|| {
                steps.push(StepUsage::of(&entry.step));
                steps.len() - 1
            });
            steps[at].add(entry.calls, entry.said.into(), self.cost(entry));
        }
        let estimated = books.calls.values().filter(|entry| entry.estimated).count();
        let cached = books.calls.values().filter(|entry| entry.cached).count();
        Usage::total(steps, estimated, cached as u32)
    }

    /// The timings, each with what its calls have waited for limits.
    pub(crate) fn with_waits(&self, timings: Vec<Timing>) -> Vec<Timing> {
        let books = self.books();
        let waited = |step: &str| {
            let calls = books.calls.values().filter(|entry| entry.step == step);
            calls.map(|entry| entry.queue_ms).reduce(|a, b| a + b)
        };
        let timings = timings.into_iter().map(|timing| Timing {
            queue_ms: waited(&timing.step),
            ..timing
        });
        timings.collect()
    }

    /// Said where calls were admitted by this worker's part of the limits alone.
    pub(crate) fn alone(&self) -> Option<Warning> {
        let books = self.books();
        let calls = books.calls.values().filter(|entry| entry.alone).count();
        (calls > 0).then(|| Warning {
            code: "limiter_local".to_owned(),
            detail: format!(
                "{calls} calls were admitted by one worker's part of the limits, as the store did not answer"
            ),
        })
    }

    /// What a call costs; unknown without a price, nothing where none was made.
    fn cost(&self, entry: &Entry) -> Option<f64> {
        if entry.calls == 0 {
            return Some(0.0);
        }
        let price = self.prices.of(&entry.step)?;
        price.cost(&entry.counted.into())
    }

    fn spending(&self) -> Spending {
        let books = self.books();
        let mut spent = Spending::default();
        for entry in books.calls.values() {
            let Tokens {
                prompt, completion, ..
            } = entry.counted;
            spent.tokens += prompt.unwrap_or(0) + completion.unwrap_or(0);
            spent.cost_usd += self.cost(entry).unwrap_or(0.0);
        }
        spent
    }

    /// Milliseconds of work in all runs.
    fn worked_ms(&self) -> u64 {
        self.books().worked_ms + self.run_ms()
    }

    fn run_ms(&self) -> u64 {
        let ms = self.context.now().as_millisecond() - self.began.as_millisecond();
        u64::try_from(ms).unwrap_or(0)
    }

    /// Time left before the job's deadline; none is no deadline.
    fn left(&self) -> Option<Duration> {
        let deadline = Duration::from_secs(self.budget.deadline_s?);
        Some(deadline.saturating_sub(Duration::from_millis(self.worked_ms())))
    }

    /// Says which limit was met, with its figures.
    fn reason(&self, limit: Limit) -> String {
        let spent = self.spending();
        match limit {
            Limit::Tokens => format!(
                "{} tokens of {} are spent, the next call has no room",
                spent.tokens,
                self.budget.max_tokens.unwrap_or_default()
            ),
            Limit::Cost => format!(
                "{:.4} of {:.4} USD are spent, the next call has no room",
                spent.cost_usd,
                self.budget.max_cost_usd.unwrap_or_default()
            ),
            Limit::Deadline => format!(
                "{:.1} s of {} s have passed",
                self.worked_ms() as f64 / 1000.0,
                self.budget.deadline_s.unwrap_or_default()
            ),
        }
    }

    fn refusal(&self, limit: Limit) -> LlmError {
        LlmError::new(LlmErrorKind::Budget(limit), self.reason(limit))
    }

    /// An entry of work without a call.
    fn worked(&self, step: &str) -> Entry {
        Entry {
            call: None,
            run: self.books().run,
            worked_ms: self.run_ms(),
            step: step.to_owned(),
            calls: 0,
            said: Tokens::default(),
            counted: Tokens::default(),
            estimated: false,
            cached: false,
            queue_ms: 0,
            alone: false,
        }
    }

    /// Enters a call at the most it can use, and bounds its answer.
    async fn begin(&self, step: &str, asked: &ChatRequest) -> Result<Call, LlmError> {
        if self.left().is_some_and(|left| left.is_zero()) {
            return Err(self.refusal(Limit::Deadline));
        }
        let (prompt, answer) = (prompt_tokens(asked), answer_tokens(asked));
        let spent = self.spending();
        let price = self.prices.of(step);
        let room = room(&self.budget, price.as_ref(), spent, prompt, answer)
            .map_err(|limit| self.refusal(limit))?;
        let mut entry = self.worked(step);
        entry.counted = Tokens::estimate(prompt, room);
        entry.estimated = true;
        entry.calls = 1;
        {
            let mut books = self.books();
            let call = books.calls.keys().next_back().map_or(0, |last| last + 1);
            entry.call = Some(call);
            books.calls.insert(call, entry.clone());
        }
        let entered = self.enter(&entry).await;
        entered.map_err(|failure| {
            let why = format!("the call could not be entered in the ledger: {failure}");
            LlmError::new(LlmErrorKind::Network, why)
        })?;
        let mut bounded = asked.clone();
        if self.is_limited() {
            bounded.max_tokens = Some(u32::try_from(room).unwrap_or(u32::MAX));
        }
        Ok(Call {
            entry,
            request: bounded,
        })
    }

    fn is_limited(&self) -> bool {
        self.budget.max_tokens.is_some() || self.budget.max_cost_usd.is_some()
    }

    /// Waits for an answer until the deadline.
    async fn answer(
        &self,
        work: impl Future<Output = Result<ChatResponse, LlmError>>,
    ) -> Result<ChatResponse, LlmError> {
        let late = |_| Err(self.refusal(Limit::Deadline));
        self.in_time(work).await.unwrap_or_else(late)
    }

    /// Enters what a call has used. A store that does not take it leaves the
    /// entry of its beginning, which counts more: the answer is not dropped.
    async fn end(&self, mut entry: Entry, outcome: &Result<ChatResponse, LlmError>) {
        entry.worked_ms = self.run_ms();
        entry.settle(outcome);
        if let Some(call) = entry.call {
            self.books().calls.insert(call, entry.clone());
        }
        let cost = self.cost(&entry);
        let used = json!({
            "calls": entry.calls, "prompt_tokens": entry.said.prompt,
            "completion_tokens": entry.said.completion, "cached_tokens": entry.said.cached,
            "cost_usd": cost,
        });
        let told = [("usage", used)];
        let kept = self.parts.keep(&entry, &entry.step, &told).await;
        if let Err(error) = kept {
            tracing::warn!(%error, step = entry.step, "what a call used was not entered");
        }
    }

    async fn enter(&self, entry: &Entry) -> Result<(), Failure> {
        self.parts.keep::<()>(entry, &entry.step, &[]).await
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().expect("no panic while locked")
    }
}

impl Entry {
    /// What a call has used: what the provider says, else by estimate what was
    /// sent and what came. A call that was refused used nothing; one that was
    /// dropped at the deadline counts as entered.
    fn settle(&mut self, outcome: &Result<ChatResponse, LlmError>) {
        let queued = match outcome {
            Ok(answer) => answer.queued,
            Err(error) => error.spent.queued,
        };
        self.queue_ms = u64::try_from(queued.waited.as_millis()).unwrap_or(u64::MAX);
        self.alone = queued.alone > 0;
        let (calls, said, came) = match outcome {
            Ok(answer) => (answer.calls, answer.usage, Some(answer.text.as_str())),
            Err(LlmError {
                kind: LlmErrorKind::Budget(_),
                ..
            }) => return,
            Err(error) => (
                error.spent.calls,
                error.spent.usage,
                error.partial.as_deref(),
            ),
        };
        self.calls = calls;
        self.cached = outcome.is_ok() && calls == 0;
        self.said = said.into();
        self.estimated = calls > 0 && came.is_some() && said.prompt.is_none();
        self.counted = match came {
            Some(came) if self.estimated => Tokens::estimate(
                self.counted.prompt.unwrap_or(0),
                tokens_estimate(came) as u64,
            ),
            _ => Tokens {
                prompt: said.prompt.or(Some(0)),
                completion: said.completion.or(Some(0)),
                cached: said.cached,
            },
        };
    }
}

/// A call that may be made.
struct Call {
    entry: Entry,
    request: ChatRequest,
}

/// A model whose calls are entered in a ledger.
struct Entered {
    ledger: Arc<Ledger>,
    step: &'static str,
    inner: Arc<dyn Llm>,
}

#[async_trait]
impl Llm for Entered {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn model(&self) -> &str {
        self.inner.model()
    }

    async fn complete(&self, request: &ChatRequest) -> Result<ChatResponse, LlmError> {
        let Call { entry, request } = self.ledger.begin(self.step, request).await?;
        let outcome = self.ledger.answer(self.inner.complete(&request)).await;
        self.ledger.end(entry, &outcome).await;
        outcome
    }

    async fn stream(
        &self,
        request: &ChatRequest,
        sink: Arc<dyn Sink>,
    ) -> Result<ChatResponse, LlmError> {
        let Call { entry, request } = self.ledger.begin(self.step, request).await?;
        let outcome = self.ledger.answer(self.inner.stream(&request, sink)).await;
        self.ledger.end(entry, &outcome).await;
        outcome
    }

    async fn reject(&self, request: &ChatRequest) {
        self.inner.reject(request).await;
    }
}

#[cfg(test)]
mod tests {
    use crate::llm::Queued;

    use super::*;

    const PRICE: Price = Price {
        input: 1.0,
        output: 10.0,
        cached: None,
    };

    fn tokens(max: u64) -> Budget {
        Budget {
            max_tokens: Some(max),
            ..Budget::default()
        }
    }

    fn cost(max: f64) -> Budget {
        Budget {
            max_cost_usd: Some(max),
            ..Budget::default()
        }
    }

    #[test]
    fn a_call_gets_the_room_that_is_left_or_none() {
        let both = Budget {
            max_tokens: Some(50_000),
            ..cost(0.0625)
        };
        let free = Price {
            input: 0.0,
            output: 0.0,
            cached: None,
        };
        // Spent tokens and dollars, the prompt, the answer wanted.
        let table = [
            (
                Budget::default(),
                PRICE,
                (1 << 40, 1e9),
                8_000,
                8_000,
                Ok(8_000),
            ),
            (tokens(20_000), PRICE, (2_000, 0.0), 8_000, 8_000, Ok(8_000)),
            (
                tokens(20_000),
                PRICE,
                (10_000, 0.0),
                8_000,
                8_000,
                Ok(2_000),
            ),
            (tokens(20_000), PRICE, (11_600, 0.0), 8_000, 8_000, Ok(400)),
            (
                tokens(20_000),
                PRICE,
                (11_601, 0.0),
                8_000,
                8_000,
                Err(Limit::Tokens),
            ),
            (
                tokens(20_000),
                PRICE,
                (30_000, 0.0),
                8_000,
                8_000,
                Err(Limit::Tokens),
            ),
            (tokens(20_000), PRICE, (19_000, 0.0), 900, 100, Ok(100)),
            (cost(1.0), PRICE, (0, 0.0), 8_000, 8_000, Ok(8_000)),
            (cost(0.0625), PRICE, (0, 0.0), 0, 8_000, Ok(6_250)),
            (
                cost(0.018),
                PRICE,
                (0, 0.009),
                8_000,
                8_000,
                Err(Limit::Cost),
            ),
            (cost(0.007), PRICE, (0, 0.0), 8_000, 8_000, Err(Limit::Cost)),
            (cost(0.007), free, (0, 0.0), 8_000, 8_000, Ok(8_000)),
            (both, PRICE, (0, 0.0), 0, 8_000, Ok(6_250)),
            (both, PRICE, (49_000, 0.0), 8_000, 8_000, Err(Limit::Tokens)),
        ];
        for (budget, price, (used, usd), prompt, answer, expected) in table {
            let spent = Spending {
                tokens: used,
                cost_usd: usd,
            };
            let got = room(&budget, Some(&price), spent, prompt, answer);
            assert_eq!(got, expected, "{budget:?} {spent:?} {prompt} {answer}");
        }
    }

    #[test]
    fn a_call_counts_what_it_said_else_what_came_else_nothing() {
        let begun = Entry {
            call: Some(0),
            run: 0,
            worked_ms: 0,
            step: "write".to_owned(),
            calls: 1,
            said: Tokens::default(),
            counted: Tokens::estimate(1_000, 8_000),
            estimated: true,
            cached: false,
            queue_ms: 0,
            alone: false,
        };
        let answer = |usage| {
            Ok(ChatResponse {
                text: "a".repeat(400),
                usage,
                model: None,
                calls: 1,
                queued: Queued {
                    waited: Duration::from_millis(7),
                    alone: 0,
                },
            })
        };
        let failed = |kind, partial: Option<&str>| {
            let mut error = LlmError::new(kind, "no");
            error.partial = partial.map(str::to_owned);
            error.spent.calls = 2;
            Err(error)
        };
        let known = TokenUsage {
            prompt: Some(900),
            completion: Some(100),
            cached: None,
        };
        let broken = failed(LlmErrorKind::StreamBroken, Some("aaaa"));
        let table = [
            (answer(known), (900, 100), false),
            (answer(TokenUsage::default()), (1_000, 96), true),
            (broken, (1_000, 1), true),
            (failed(LlmErrorKind::Overloaded, None), (0, 0), false),
            (
                failed(LlmErrorKind::Budget(Limit::Deadline), None),
                (1_000, 8_000),
                true,
            ),
        ];
        for (outcome, (prompt, completion), estimated) in table {
            let mut entry = begun.clone();
            entry.settle(&outcome);
            let counted = Tokens::estimate(prompt, completion);
            let waited = if outcome.is_ok() { 7 } else { 0 };
            assert_eq!(entry.queue_ms, waited, "{outcome:?}");
            assert_eq!(
                (entry.counted, entry.estimated),
                (counted, estimated),
                "{outcome:?}"
            );
        }
    }
}
