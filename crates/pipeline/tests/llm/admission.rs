//! Calls past a limiter that several clients share.

use async_trait::async_trait;
use lovage_pipeline::llm::Price;
use lovage_workflow::limiter::{
    Admission, Ask, CallSettle, LimitName, Limiter, Limits, MemoryLimiter, Remaining, Snapshot,
};
use lovage_workflow::{BrokerError, SystemClock};

use super::*;

/// Longest wait for what is bound to happen at once.
const SOON: Duration = Duration::from_secs(10);

fn memory() -> MemoryLimiter {
    MemoryLimiter::new(Arc::new(SystemClock))
}

/// A client as a process of its own would have.
fn process(url: &str, limiter: impl Limiter, limits: Limits, holder: &str) -> OpenAi {
    let price = Price {
        input: 1.0,
        output: 10.0,
        cached: None,
    };
    open(config(url)).admitted_by(Arc::new(limiter), limits, Some(price), holder.to_owned())
}

fn places(concurrency: u64) -> Limits {
    Limits {
        concurrency: Some(concurrency),
        ..Limits::default()
    }
}

async fn stands(limiter: &MemoryLimiter) -> Snapshot {
    limiter.limits().await.unwrap().remove(0)
}

/// Waits until the limiter stands so: what is settled in the background tells nobody.
async fn until(limiter: &MemoryLimiter, holds: impl Fn(&Snapshot) -> bool) -> Snapshot {
    let look = async {
        loop {
            let now = stands(limiter).await;
            if holds(&now) {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(SOON, look).await.unwrap()
}

#[tokio::test]
async fn what_the_provider_counts_is_what_is_settled() {
    let provider = StandIn::start().await;
    let limiter = memory();
    let model = process(provider.url(), limiter.clone(), Limits::default(), "a");
    model.complete(&ask("hello")).await.unwrap();
    let sink = Arc::<Recorder>::default();
    let streamed = model.stream(&ask("hello again"), sink).await.unwrap();
    assert_eq!(
        (streamed.queued.waited, streamed.queued.alone),
        (Duration::ZERO, 0)
    );
    let (told, stands) = (provider.told(), stands(&limiter).await);
    let totals = stands.totals;
    assert_eq!(
        (totals.input, totals.output),
        (told.prompt, told.completion)
    );
    assert_eq!(
        (totals.settled, totals.guessed, stands.in_flight),
        (2, 0, 0)
    );
    let cost = (told.prompt + 10 * told.completion) as f64 / 1e6;
    assert!((totals.cost_usd - cost).abs() < 1e-9, "{totals:?}");
    assert!(
        totals.reserved >= 2 * 500,
        "the bound of the answer is reserved"
    );
    let name = stands.name.to_string();
    assert!(
        name.starts_with("openai/test-model#") && !name.contains("secret"),
        "{name}"
    );
}

#[tokio::test]
async fn another_key_is_another_account() {
    let provider = StandIn::start().await;
    let limiter = memory();
    for key in [KEY, "sk-other"] {
        let config = OpenAiConfig {
            api_key: Some(Secret::new(key)),
            ..config(provider.url())
        };
        let limiter = Arc::new(limiter.clone());
        let model =
            open(config).admitted_by(limiter, Limits::default(), None, key.len().to_string());
        model.complete(&ask("hello")).await.unwrap();
    }
    let all = limiter.limits().await.unwrap();
    let names: Vec<&LimitName> = all.iter().map(|one| &one.name).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(
        all.iter().all(|one| one.totals.cost_usd == 0.0),
        "no price, no cost"
    );
}

#[tokio::test]
async fn a_dropped_call_is_settled_with_its_estimate() {
    let provider = StandIn::start().await;
    let (sender, mut arrivals) = mpsc::unbounded_channel();
    provider.respond_with(move |_| {
        sender.send(()).unwrap();
        Answer::silence()
    });
    let limiter = memory();
    let model = process(provider.url(), limiter.clone(), places(1), "a");
    let asked = ask("hello");
    tokio::select! {
        _ = model.complete(&asked) => panic!("silence is no answer"),
        arrived = arrivals.recv() => arrived.unwrap(),
    }
    let stands = until(&limiter, |stands| stands.totals.settled == 1).await;
    let totals = stands.totals;
    assert_eq!((totals.guessed, stands.in_flight), (1, 0));
    assert_eq!(totals.input + totals.output, totals.reserved);
}

#[tokio::test]
async fn a_long_cool_down_parks_the_calls_of_every_process() {
    let provider = StandIn::start().await;
    provider.respond_with(|_| openai_error(429, "x", "slow down").header("retry-after", "120"));
    let limiter = memory();
    let first = process(provider.url(), limiter.clone(), Limits::default(), "a");
    let refused = first.complete(&ask("hello")).await.unwrap_err();
    assert_eq!((refused.kind, refused.limit), (Kind::RateLimited, None));
    let other = process(provider.url(), limiter.clone(), Limits::default(), "b");
    let parked = other.complete(&ask("hello")).await.unwrap_err();
    let after = parked.park().expect("the job is put aside");
    assert!((100..=130).contains(&after.as_secs()), "{after:?}");
    let limit = parked.limit.expect("it is said which limit it is");
    assert!(limit.ends_with(" cooldown"), "{limit}");
    assert_eq!((parked.spent.calls, provider.calls()), (0, 1));
    let totals = stands(&limiter).await.totals;
    assert_eq!((totals.throttled, totals.input + totals.output), (1, 0));
}

#[tokio::test]
async fn a_call_held_back_waits_outside_of_its_own_time() {
    #[derive(Default)]
    struct Held(Mutex<Vec<&'static str>>);
    impl Sink for Held {
        fn delta(&self, _: &str) {}
        fn reset(&self) {}
        fn waiting(&self, _: Duration, why: &'static str) {
            self.0.lock().unwrap().push(why);
        }
    }
    let provider = StandIn::start().await;
    provider.set_latency(Duration::from_millis(80));
    let limiter = memory();
    let models =
        ["a", "b"].map(|holder| process(provider.url(), limiter.clone(), places(1), holder));
    let held = [Arc::<Held>::default(), Arc::<Held>::default()];
    let request = ask("hello");
    let (one, other) = tokio::join!(
        models[0].stream(&request, held[0].clone()),
        models[1].stream(&request, held[1].clone()),
    );
    let (one, other) = (one.unwrap().queued.waited, other.unwrap().queued.waited);
    let (short, long) = (one.min(other), one.max(other));
    assert!(short.is_zero() && !long.is_zero(), "{one:?} {other:?}");
    assert_eq!(provider.max_in_flight(), 1);
    let told = held.map(|sink| sink.0.lock().unwrap().clone()).concat();
    assert!(
        !told.is_empty() && told.iter().all(|why| *why == "concurrency"),
        "{told:?}"
    );
    assert_eq!(
        stands(&limiter).await.totals.waited_ms,
        long.as_millis() as u64
    );
}

#[tokio::test]
async fn what_the_headers_say_is_believed_when_it_is_less() {
    let provider = StandIn::start().await;
    provider.respond_with(|request| {
        Answer::says("fine", request)
            .header("x-ratelimit-remaining-requests", "3")
            .header("x-ratelimit-remaining-tokens", "17")
    });
    let limiter = memory();
    let limits = Limits {
        rpm: Some(1_000),
        tpm: Some(1_000),
        ..Limits::default()
    };
    let model = process(provider.url(), limiter.clone(), limits, "a");
    model.complete(&ask("hello")).await.unwrap();
    let requests = stands(&limiter).await.requests_left.unwrap();
    assert!((3.0..10.0).contains(&requests), "{requests}");
}

/// A store that takes no word of the first call's end.
struct Deaf {
    inner: MemoryLimiter,
    asked: mpsc::UnboundedSender<()>,
    settles: AtomicUsize,
}

#[async_trait]
impl Limiter for Deaf {
    async fn acquire(&self, ask: &Ask) -> Result<Admission, BrokerError> {
        self.inner.acquire(ask).await
    }

    async fn settle(&self, settle: &CallSettle) -> Result<(), BrokerError> {
        if self.settles.fetch_add(1, Ordering::SeqCst) == 0 {
            self.asked.send(()).unwrap();
            std::future::pending::<()>().await;
        }
        self.inner.settle(settle).await
    }

    async fn observe(&self, name: &LimitName, left: Remaining) -> Result<(), BrokerError> {
        self.inner.observe(name, left).await
    }

    async fn limits(&self) -> Result<Vec<Snapshot>, BrokerError> {
        self.inner.limits().await
    }

    async fn set_limits(&self, name: &LimitName, limits: Limits) -> Result<bool, BrokerError> {
        self.inner.set_limits(name, limits).await
    }
}

#[tokio::test]
async fn a_call_dropped_while_it_is_settled_is_settled_with_what_it_used() {
    let provider = StandIn::start().await;
    let (asked, mut settling) = mpsc::unbounded_channel();
    let limiter = Deaf {
        inner: memory(),
        asked,
        settles: AtomicUsize::new(0),
    };
    let inner = limiter.inner.clone();
    let model = process(provider.url(), limiter, places(1), "a");
    let request = ask("hello");
    tokio::select! {
        _ = model.complete(&request) => panic!("the store has not answered"),
        told = settling.recv() => told.unwrap(),
    }
    let stands = until(&inner, |stands| stands.totals.settled == 1).await;
    let (told, totals) = (provider.told(), stands.totals);
    assert_eq!((totals.guessed, stands.in_flight), (0, 0));
    assert_eq!(
        (totals.input, totals.output),
        (told.prompt, told.completion)
    );
}

/// A store that answers once, and then no more.
struct Breaking {
    inner: MemoryLimiter,
    answers: AtomicUsize,
}

impl Breaking {
    fn answer(&self) -> Result<(), BrokerError> {
        match self.answers.fetch_add(1, Ordering::SeqCst) {
            0..2 => Ok(()),
            _ => Err(BrokerError::Unavailable("gone".into())),
        }
    }
}

#[async_trait]
impl Limiter for Breaking {
    async fn acquire(&self, ask: &Ask) -> Result<Admission, BrokerError> {
        self.answer()?;
        let mut admission = self.inner.acquire(ask).await?;
        admission.holders = 4;
        Ok(admission)
    }

    async fn settle(&self, settle: &CallSettle) -> Result<(), BrokerError> {
        self.answer()?;
        self.inner.settle(settle).await
    }

    async fn observe(&self, _: &LimitName, _: Remaining) -> Result<(), BrokerError> {
        self.answer()
    }

    async fn limits(&self) -> Result<Vec<Snapshot>, BrokerError> {
        self.inner.limits().await
    }

    async fn set_limits(&self, name: &LimitName, limits: Limits) -> Result<bool, BrokerError> {
        self.inner.set_limits(name, limits).await
    }
}

#[tokio::test]
async fn without_the_store_a_worker_keeps_to_its_part() {
    let provider = StandIn::start().await;
    provider.set_latency(Duration::from_millis(20));
    let limiter = Breaking {
        inner: memory(),
        answers: AtomicUsize::new(0),
    };
    // Four processes share eight places: each has two of them.
    let model = Arc::new(process(provider.url(), limiter, places(8), "a"));
    let first = model.complete(&ask("hello")).await.unwrap();
    assert_eq!(first.queued.alone, 0);
    let calls = (0..6).map(|_| {
        let model = Arc::clone(&model);
        tokio::spawn(async move { model.complete(&ask("hello")).await.unwrap().queued.alone })
    });
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(call.await.unwrap(), 1);
    }
    assert_eq!(provider.max_in_flight(), 2);
}
