//! Limits of a job's own: each one met at each step ends the job with what it has.

mod job;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use job::{TOPIC, run, with_model, with_price};
use lovage_pipeline::llm::Price;
use lovage_pipeline::net::{CorpusFetcher, Fetch, FetchError, Page, Request};
use lovage_pipeline::news::Research;
use lovage_pipeline::script::types::{Origin, ResultStatus, ScriptResult};
use lovage_pipeline::script::{Deps, ScriptHandler};
use lovage_tests::llm::{Answer, StandIn};
use lovage_workflow::memory::MemoryJournal;
use lovage_workflow::{Failure, Handler};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::timeout;

const PRICE: Price = Price {
    input: 10.0,
    output: 20.0,
    cached: None,
};

fn is_writer(body: &Value) -> bool {
    body["messages"].to_string().contains("SECTIONS")
}

fn input(budget: Value) -> Value {
    json!({ "topic": TOPIC, "budget": budget })
}

fn spent(result: &ScriptResult) -> u64 {
    result.usage.prompt_tokens.unwrap_or(0) + result.usage.completion_tokens.unwrap_or(0)
}

fn warns(result: &ScriptResult, code: &str) -> bool {
    result.warnings.iter().any(|warning| warning.code == code)
}

/// What a job without limits spends in all, and on its plan alone.
async fn unlimited(stand_in: &StandIn) -> (u64, u64) {
    let whole = run(&with_model(stand_in), &Arc::default(), &input(json!({}))).await;
    let whole = whole.expect("nothing is in its way");
    let plan = &whole.usage.by_step[0];
    (
        spent(&whole),
        plan.prompt_tokens.expect("the stand-in counts")
            + plan.completion_tokens.expect("the stand-in counts"),
    )
}

#[tokio::test]
async fn tokens_run_out_before_the_plan_before_the_writer_and_in_it() {
    let stand_in = StandIn::start().await;
    let (whole, plan) = unlimited(&stand_in).await;
    let table: &[(u64, usize, &[&str], bool)] = &[
        (300, 0, &["plan", "write", "budget"], false),
        (plan + 900, 1, &["write", "budget"], false),
        (whole + 20_000, 2, &[], true),
    ];
    for (max, calls, degraded, by_llm) in table {
        let before = stand_in.calls();
        let asked = input(json!({ "max_tokens": max }));
        let result = run(&with_model(&stand_in), &Arc::default(), &asked)
            .await
            .unwrap();
        assert_eq!(stand_in.calls() - before, *calls, "{max}");
        assert_eq!(result.degraded, *degraded, "{max}: {:?}", result.warnings);
        assert_eq!(result.generator.llm, *by_llm, "{max}");
        assert_eq!(
            warns(&result, "budget_tokens"),
            !degraded.is_empty(),
            "{max}"
        );
        assert!(spent(&result) <= *max, "{} of {max}", spent(&result));
        assert!(
            !result.script.sections.is_empty(),
            "{max}: it ends with what it has"
        );
    }
}

#[tokio::test]
async fn an_answer_has_no_more_room_than_the_budget_leaves() {
    let stand_in = StandIn::start().await;
    stand_in.respond_with(|body| {
        if !is_writer(body) {
            return Answer::by_default(body);
        }
        // As a provider does: as many tokens as were allowed, then the end.
        let text = Answer::default_text(body);
        let room = ["max_tokens", "max_completion_tokens"];
        let room = room.iter().find_map(|name| body[name].as_u64()).unwrap() as usize;
        match text.char_indices().nth(room * 4) {
            Some((end, _)) => Answer::ends_for("length", &text[..end], body),
            None => Answer::says(&text, body),
        }
    });
    let (_, plan) = unlimited(&stand_in).await;
    let prompts = stand_in.received();
    let prompt = prompts[1].body["messages"].to_string().chars().count() as u64;
    let max = plan + prompt + 450;
    let asked = input(json!({ "max_tokens": max }));
    let result = run(&with_model(&stand_in), &Arc::default(), &asked)
        .await
        .unwrap();
    let sent = stand_in.received().pop().unwrap().body;
    let room = ["max_tokens", "max_completion_tokens"];
    let room = room.iter().find_map(|name| sent[name].as_u64()).unwrap();
    assert!(room < 8_000, "{room}");
    assert!(spent(&result) <= max, "{} of {max}", spent(&result));
}

#[tokio::test]
async fn cost_is_limited_by_the_price_and_told_per_step() {
    let stand_in = StandIn::start().await;
    let priced = with_price(&stand_in, Some(PRICE));
    let whole = run(&priced, &Arc::default(), &input(json!({})))
        .await
        .unwrap();
    let cost = whole.usage.cost_usd.unwrap();
    let (prompt, answer) = (
        whole.usage.prompt_tokens.unwrap(),
        whole.usage.completion_tokens.unwrap(),
    );
    assert!((cost - (prompt as f64 * 10.0 + answer as f64 * 20.0) / 1e6).abs() < 1e-9);
    let steps: f64 = whole
        .usage
        .by_step
        .iter()
        .map(|step| step.cost_usd.unwrap())
        .sum();
    assert!((cost - steps).abs() < 1e-9);
    assert_eq!(whole.usage.cost_note, None);

    let plan = whole.usage.by_step[0].cost_usd.unwrap();
    for (max, calls) in [(0.001, 0), (plan + 0.012, 1)] {
        let before = stand_in.calls();
        let asked = input(json!({ "max_cost_usd": max }));
        let result = run(&priced, &Arc::default(), &asked).await.unwrap();
        assert_eq!(stand_in.calls() - before, calls, "{max}");
        assert!(warns(&result, "budget_cost"), "{:?}", result.warnings);
        assert_eq!(result.status, ResultStatus::Degraded);
        assert!(result.usage.cost_usd.unwrap() <= max);
    }
}

#[tokio::test]
async fn a_limit_of_cost_without_a_price_is_refused_before_any_call() {
    let stand_in = StandIn::start().await;
    let asked = input(json!({ "max_cost_usd": 1.0 }));
    let failure = run(&with_model(&stand_in), &Arc::default(), &asked)
        .await
        .unwrap_err();
    let Failure::GiveUp { code, message } = failure else {
        panic!("{failure:?}")
    };
    assert_eq!((code.as_str(), stand_in.calls()), ("no_price", 0));
    assert!(message.contains("llm.price_in"), "{message}");
    let offline = run(&job::offline(), &Arc::default(), &asked).await.unwrap();
    assert_eq!(
        offline.usage.cost_usd,
        Some(0.0),
        "what costs nothing needs no price"
    );
}

#[tokio::test]
async fn a_limit_is_no_failure_of_the_model() {
    let stand_in = StandIn::start().await;
    let mut asked = input(json!({ "max_tokens": 300 }));
    asked["on_llm_failure"] = json!("fail");
    let result = run(&with_model(&stand_in), &Arc::default(), &asked)
        .await
        .unwrap();
    assert_eq!(result.status, ResultStatus::Degraded);
}

#[tokio::test]
async fn the_deadline_stops_the_writer_and_the_rest_is_copied() {
    let stand_in = StandIn::start().await;
    stand_in.respond_with(|body| {
        if !is_writer(body) {
            return Answer::by_default(body);
        }
        let text = Answer::default_text(body);
        let second = text.match_indices("## ").nth(1).unwrap().0;
        let begun = &text[..second + "## ".len()];
        Answer::begins(
            &format!("{begun}{}\n", text[second + 3..].lines().next().unwrap()),
            body,
        )
        .ending(lovage_tests::llm::Ending::Stall)
    });
    let asked = input(json!({ "deadline_s": 3 }));
    let result = run(&with_model(&stand_in), &Arc::default(), &asked)
        .await
        .unwrap();
    assert_eq!(
        result.degraded,
        ["write", "budget"],
        "{:?}",
        result.warnings
    );
    assert!(warns(&result, "deadline"));
    let first = &result.script.sections[0].lines;
    assert!(first.iter().all(|line| line.origin == Origin::Llm));
    assert!(
        result
            .script
            .lines()
            .any(|line| line.origin == Origin::Extracted)
    );
    stand_in.until_idle().await;
}

#[tokio::test]
async fn the_deadline_before_anything_was_found_leaves_nothing_to_write_about() {
    let stand_in = StandIn::start().await;
    stand_in.respond_with(|_| Answer::silence());
    let asked = input(json!({ "deadline_s": 1 }));
    let result = run(&with_model(&stand_in), &Arc::default(), &asked)
        .await
        .unwrap();
    assert_eq!(result.status, ResultStatus::InsufficientSources);
    assert_eq!(result.degraded, ["plan", "research", "budget"]);
    assert!(warns(&result, "deadline"));
}

/// The sample, beside which one site never answers.
struct OneHangs;

#[async_trait]
impl Fetch for OneHangs {
    async fn send(&self, request: &Request) -> Result<Page, FetchError> {
        if request.url.host_str() == Some("hangs.example") {
            std::future::pending().await
        } else {
            CorpusFetcher.send(request).await
        }
    }
}

#[tokio::test]
async fn the_deadline_in_the_research_leaves_what_was_read_to_be_copied() {
    let stand_in = StandIn::start().await;
    let research = Research::live(Vec::new(), Arc::new(OneHangs));
    let handler = ScriptHandler::new(Deps {
        research: Arc::new(research.with_host_gap(Duration::ZERO)),
        ..job::deps(Some(job::model(&stand_in)))
    });
    let mut asked = input(json!({ "deadline_s": 3 }));
    asked["seed_urls"] = json!([
        "https://daily.hanbit.example/news/ko1",
        "https://www.hbtraffic.example/news/ko3",
        "https://hangs.example/1",
    ]);
    let journal = Arc::default();
    let job = timeout(Duration::from_secs(20), run(&handler, &journal, &asked));
    let result = job.await.expect("it ends at its deadline").unwrap();
    assert_eq!(result.degraded, ["research", "write", "budget"]);
    assert_eq!(result.status, ResultStatus::Degraded);
    assert!(warns(&result, "deadline") && warns(&result, "research_deadline"));
    assert_eq!(stand_in.calls(), 1, "the plan");
    let copied = result.script.lines().filter(|line| !line.cites.is_empty());
    let copied: Vec<_> = copied.collect();
    assert!(!copied.is_empty());
    assert!(copied.iter().all(|line| line.origin == Origin::Extracted));
}

#[tokio::test]
async fn what_an_earlier_attempt_spent_counts_and_a_call_that_died_counts_in_full() {
    let stand_in = StandIn::start().await;
    let (whole, plan) = unlimited(&stand_in).await;
    let asked_writer = Arc::new(Notify::new());
    let told = asked_writer.clone();
    stand_in.respond_with(move |body| {
        if !is_writer(body) {
            return Answer::by_default(body);
        }
        told.notify_one();
        Answer::silence()
    });
    // Enough for a plan and the writer once, at the most the writer may use.
    let asked = input(json!({ "max_tokens": whole + 8_100 }));
    let journal = Arc::new(MemoryJournal::default());
    let handler = with_model(&stand_in);
    tokio::select! {
        ended = handler.run(journal.attempt(1, &asked)) => panic!("{ended:?}"),
        () = asked_writer.notified() => {}
    }
    let before = stand_in.calls();
    stand_in.respond_with(Answer::by_default);
    let result = handler.run(journal.attempt(2, &asked)).await.unwrap();
    let result: ScriptResult = result.read().unwrap();
    assert_eq!(
        stand_in.calls(),
        before,
        "the dead call may have used all there was"
    );
    assert_eq!(result.degraded, ["write", "budget"]);
    assert_eq!(spent(&result), plan, "what nobody knows is not told");
    let writer = &result.usage.by_step[1];
    assert_eq!(
        (writer.step.as_str(), writer.calls, writer.prompt_tokens),
        ("write", 1, None)
    );
}
