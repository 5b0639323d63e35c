//! A topic from several sides.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use lovage_pipeline::comprehensive::types::{ComprehensiveResult, Outcome, Side};
use lovage_pipeline::script::Deps;
use lovage_pipeline::script::types::{Origin, ResultStatus};
use lovage_tests::llm::{Answer, StandIn};
use lovage_workflow::Failure;
use lovage_workflow::memory::MemoryJournal;
use serde_json::{Value, json};

use super::{TOPIC, attempt, code, kinds, left, offline, with_model};

const KIND: &str = "content.comprehensive";

async fn run(deps: &Deps, journal: &Arc<MemoryJournal>, input: &Value) -> ComprehensiveResult {
    let result = attempt(deps, KIND, journal, 1, input).await;
    result.unwrap().read().unwrap()
}

fn topic() -> Value {
    json!({"topic": TOPIC})
}

/// Answers to the market analyst by `rule`, to all others as usual.
fn market_by(stand_in: &StandIn, rule: impl Fn() -> Answer + Send + Sync + 'static) {
    stand_in.respond_with(move |request| {
        let system = request["messages"][0]["content"].as_str().unwrap_or("");
        if system.starts_with("You are a market analyst") {
            rule()
        } else {
            Answer::by_default(request)
        }
    });
}

fn filtered() -> Answer {
    Answer::json(
        400,
        json!({"error": {"message": "filtered", "code": "content_filter"}}),
    )
}

fn steps(journal: &MemoryJournal) -> BTreeSet<String> {
    let steps = journal.steps().into_iter().map(|step| step.step);
    steps.filter(|step| !step.starts_with("part:")).collect()
}

#[tokio::test]
async fn offline_every_side_is_copied_from_the_sources_and_nothing_twice() {
    let journal = Arc::new(MemoryJournal::default());
    let result = run(&offline(), &journal, &topic()).await;
    let document = &result.document;
    assert_eq!(document.schema, "comprehensive-result/1");
    assert_eq!(document.status, ResultStatus::Ok, "{:?}", document.warnings);
    assert!(!document.generator.llm);
    assert_eq!(document.checks.span_exact, Some(1.0));
    assert_eq!(document.checks.citation_coverage, Some(1.0));
    let sections: Vec<_> = document
        .script
        .sections
        .iter()
        .map(|one| one.id.as_str())
        .collect();
    assert_eq!(sections, ["facts", "market", "technical"]);
    let lines = document
        .script
        .lines()
        .filter(|line| line.origin == Origin::Extracted);
    let texts: Vec<_> = lines.map(|line| &line.text).collect();
    let distinct: BTreeSet<_> = texts.iter().collect();
    assert_eq!(distinct.len(), texts.len());
    assert_eq!((result.health.failed, result.health.rate), (0, 1.0));
    assert_eq!(document.usage.cost_usd, Some(0.0));
}

#[tokio::test]
async fn the_sides_are_analysed_side_by_side_then_integrated() {
    let stand_in = StandIn::start().await;
    // Long enough for calls that are made at once to meet.
    stand_in.set_latency(Duration::from_millis(200));
    let journal = Arc::new(MemoryJournal::default());
    let result = run(&with_model(&stand_in), &journal, &topic()).await;
    assert_eq!(stand_in.max_in_flight(), 3);
    let document = &result.document;
    assert_eq!(document.status, ResultStatus::Ok, "{:?}", document.warnings);
    assert_eq!((stand_in.calls(), document.usage.calls), (5, 5));
    assert_eq!(
        steps(&journal),
        BTreeSet::from(
            [
                "plan",
                "research",
                "facts",
                "market",
                "technical",
                "integrate"
            ]
            .map(str::to_owned)
        )
    );
    let sides: Vec<_> = result
        .analyses
        .iter()
        .map(|one| (one.side, one.outcome))
        .collect();
    assert_eq!(sides, Side::ALL.map(|side| (side, Outcome::Ok)));
    assert!(document.generator.llm && document.generator.name.starts_with("integrator/"));
    let prompts = document.prompts.as_ref().unwrap();
    assert_eq!(prompts.writer, document.generator.name);
    assert_eq!(result.analyses[1].prompts, ["market/1", "analyst/1"]);
    let known: BTreeSet<_> = document.sources.iter().map(|source| &source.id).collect();
    let cites: Vec<_> = document
        .script
        .lines()
        .flat_map(|line| &line.cites)
        .collect();
    assert!(!cites.is_empty() && cites.iter().all(|cite| known.contains(&cite.source)));
    let agents: Vec<_> = result.health.agents.iter().collect();
    assert!(
        agents
            .iter()
            .all(|agent| agent.succeeded && agent.attempts == 1)
    );
    let calls: Vec<_> = agents
        .iter()
        .map(|agent| (agent.agent.as_str(), agent.calls))
        .collect();
    assert_eq!(
        calls,
        [
            ("plan", 1),
            ("research", 0),
            ("facts", 1),
            ("market", 1),
            ("technical", 1),
            ("integrate", 1)
        ]
    );
    let streams: BTreeSet<_> = journal
        .events()
        .into_iter()
        .filter(|event| event.kind == "delta")
        .filter_map(|event| event.step)
        .collect();
    assert_eq!(streams.len(), 4, "{streams:?}");
}

#[tokio::test]
async fn an_analysis_that_fails_leaves_the_others_running_and_its_error_is_in_the_result() {
    for (on_failure, outcome) in [("extractive", Outcome::StoodIn), ("fail", Outcome::Failed)] {
        let stand_in = StandIn::start().await;
        market_by(&stand_in, filtered);
        let input = json!({"topic": TOPIC, "on_llm_failure": on_failure});
        let result = run(&with_model(&stand_in), &Arc::default(), &input).await;
        let document = &result.document;
        assert_eq!(document.status, ResultStatus::Degraded);
        assert_eq!(document.degraded, ["market"]);
        let [facts, market, technical] = result.analyses.as_slice() else {
            panic!("{:?}", result.analyses)
        };
        assert_eq!(
            (facts.outcome, technical.outcome),
            (Outcome::Ok, Outcome::Ok)
        );
        assert_eq!(market.outcome, outcome);
        assert_eq!(market.error.as_ref().unwrap().code, "llm_content_filter");
        let copied = market.sections.iter().flat_map(|section| &section.lines);
        assert_eq!(copied.count() > 0, outcome == Outcome::StoodIn);
        let agent = result
            .health
            .agents
            .iter()
            .find(|one| one.agent == "market")
            .unwrap();
        assert!(!agent.succeeded && agent.error == market.error);
        assert_eq!(result.health.failed, 1);
        let integrated = stand_in.received().pop().unwrap().body;
        let user = integrated["messages"][1]["content"].as_str().unwrap();
        assert_eq!(
            user.contains("# market: missing"),
            outcome == Outcome::Failed
        );
    }
}

#[tokio::test]
async fn an_analysis_that_is_cut_or_leaves_a_section_out_is_told() {
    let stand_in = StandIn::start().await;
    let text = "## The market in figures\nThe battery cost money. [S1]\nIt will";
    for (ending, expected) in [
        ("length", &["truncated", "missing_section"][..]),
        ("stop", &["missing_section"][..]),
    ] {
        stand_in.respond_with(move |request| {
            let system = request["messages"][0]["content"].as_str().unwrap_or("");
            if system.starts_with("You are a market analyst") {
                Answer::ends_for(ending, text, request)
            } else {
                Answer::by_default(request)
            }
        });
        let result = run(&with_model(&stand_in), &Arc::default(), &topic()).await;
        let market = &result.analyses[1];
        assert_eq!((market.outcome, &market.error), (Outcome::Ok, &None));
        let codes: Vec<_> = market
            .warnings
            .iter()
            .map(|one| one.code.as_str())
            .collect();
        assert_eq!(codes, expected);
        for warning in &market.warnings {
            assert!(warning.detail.starts_with("market: "), "{warning:?}");
            assert!(result.document.warnings.contains(warning));
        }
        assert_eq!(result.document.status, ResultStatus::Ok);
    }
}

#[tokio::test]
async fn a_limit_of_the_job_is_no_failure_of_the_analysts() {
    let stand_in = StandIn::start().await;
    let budget = json!({"max_tokens": 300});
    let input = json!({"topic": TOPIC, "budget": budget, "on_llm_failure": "fail"});
    let result = run(&with_model(&stand_in), &Arc::default(), &input).await;
    assert_eq!(stand_in.calls(), 0);
    let document = &result.document;
    assert_eq!(document.status, ResultStatus::Degraded);
    let steps = [
        "plan",
        "facts",
        "market",
        "technical",
        "integrate",
        "budget",
    ];
    assert_eq!(document.degraded, steps);
    assert_eq!(document.checks.span_exact, Some(1.0));
    let outcomes = result.analyses.iter().map(|one| one.outcome);
    assert!(outcomes.into_iter().all(|one| one == Outcome::StoodIn));
}

#[tokio::test]
async fn a_review_that_fails_is_told_once() {
    let stand_in = StandIn::start().await;
    stand_in.respond_with(|request| {
        let user = request["messages"][1]["content"].as_str().unwrap_or("");
        if user.contains("\nANALYSES\n") {
            let text = Answer::default_text(request);
            let cited = text.split_once("[S").unwrap().1.split_once(']').unwrap().0;
            let invented = format!("\nShips carry 98765 elephants. [S{cited}]\n");
            Answer::says(&text.replacen('\n', &invented, 1), request)
        } else if user.contains("SENTENCES") {
            filtered()
        } else {
            Answer::by_default(request)
        }
    });
    let result = run(&with_model(&stand_in), &Arc::default(), &topic()).await;
    let warnings = result.document.warnings.iter();
    let failed: Vec<_> = warnings.filter(|one| one.code == "review_failed").collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    let agent = result.health.agents.last().unwrap();
    assert_eq!(
        (agent.agent.as_str(), agent.error.as_ref()),
        ("review", Some(failed[0]))
    );
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_the_finished_sides_are_not_paid_for_twice() {
    let stand_in = StandIn::start().await;
    let busy = || {
        Answer::json(429, json!({"error": {"message": "slow down"}})).header("retry-after", "90")
    };
    market_by(&stand_in, busy);
    let journal = Arc::new(MemoryJournal::default());
    let deps = with_model(&stand_in);
    let parked = attempt(&deps, KIND, &journal, 1, &topic()).await;
    assert!(matches!(parked, Err(Failure::Park { .. })), "{parked:?}");
    assert_eq!(stand_in.calls(), 4);
    assert!(steps(&journal).contains("technical") && !steps(&journal).contains("market"));
    stand_in.respond_with(Answer::by_default);
    let result = run(&deps, &journal, &topic()).await;
    assert_eq!(
        stand_in.calls(),
        6,
        "the market analysis and the integration"
    );
    assert_eq!(result.document.status, ResultStatus::Ok);
}

#[tokio::test]
async fn a_later_attempt_pays_for_no_finished_step_again() {
    let stand_in = StandIn::start().await;
    let deps = with_model(&stand_in);
    let journal = Arc::new(MemoryJournal::default());
    let whole = run(&deps, &journal, &topic()).await;
    let stored = journal.steps();
    let mut paid = Vec::new();
    // A death after any of them would do; some are enough.
    for kept in (0..stored.len()).step_by(5).chain([stored.len()]) {
        let before = stand_in.calls();
        let again = run(&deps, &left(&stored[..kept]), &topic()).await;
        assert_eq!(again.document.script, whole.document.script);
        paid.push(stand_in.calls() - before);
    }
    assert!(paid.is_sorted_by(|a, b| a >= b), "{paid:?}");
    assert_eq!((paid.first(), paid.last()), (Some(&5), Some(&0)));
}

#[tokio::test]
async fn an_integration_that_fails_leaves_the_analyses_one_after_the_other() {
    let stand_in = StandIn::start().await;
    stand_in.respond_with(|request| {
        let user = request["messages"][1]["content"].as_str().unwrap_or("");
        if user.contains("\nANALYSES\n") {
            filtered()
        } else {
            Answer::by_default(request)
        }
    });
    let result = run(&with_model(&stand_in), &Arc::default(), &topic()).await;
    assert_eq!(result.document.degraded, ["integrate"]);
    let sections: Vec<_> = result
        .document
        .script
        .sections
        .iter()
        .map(|one| one.id.as_str())
        .collect();
    assert_eq!(sections, ["facts", "market", "technical"]);
    assert!(result.document.generator.llm);
}

#[tokio::test]
async fn when_every_analysis_fails_and_none_may_stand_in_the_job_fails() {
    let stand_in = StandIn::start().await;
    stand_in.respond_with(|request| match &request["response_format"] {
        Value::Null => filtered(),
        _ => Answer::by_default(request),
    });
    let input = json!({"topic": TOPIC, "on_llm_failure": "fail"});
    let failure = attempt(&with_model(&stand_in), KIND, &Arc::default(), 1, &input).await;
    let Failure::GiveUp { code, message } = failure.unwrap_err() else {
        panic!("no attempt would help")
    };
    assert_eq!(code, "analyses_failed");
    assert!(
        message.contains("market: ") && message.contains("technical: "),
        "{message}"
    );
}

#[tokio::test]
async fn a_topic_that_no_source_covers_is_not_written_about() {
    let input = json!({"topic": "quantum cheese futures"});
    let result = run(&offline(), &Arc::default(), &input).await;
    assert_eq!(result.document.status, ResultStatus::InsufficientSources);
    assert!(result.analyses.is_empty());
    let fields = json!({"topic": TOPIC, "type": "news"});
    let failure = attempt(&offline(), KIND, &Arc::default(), 1, &fields).await;
    assert_eq!(code(failure.unwrap_err()), "input");
}

#[tokio::test]
async fn it_is_shown_as_a_script_is_with_its_agents() {
    let result = attempt(&offline(), KIND, &Arc::default(), 1, &topic())
        .await
        .unwrap();
    let kinds = kinds();
    let shown = |format: &str| {
        let mut renderings = kinds.get(KIND).unwrap().renderings.iter();
        let rendering = renderings.find(|one| one.format == format).unwrap();
        rendering.show(&result, &[]).unwrap()
    };
    let markdown = shown("markdown");
    assert!(markdown.contains("\n## Market\n") && markdown.contains("| technical | ok |"));
    assert!(shown("chat").contains("agents succeeded in"));
    let graph: Value = serde_json::from_str(&shown("graph")).unwrap();
    assert!(graph["nodes"].as_array().unwrap().len() > 5);
    let edges = graph["edges"].as_array().unwrap();
    let made_by = |edge: &&Value| edge["target"] == "section:market" && edge["kind"] == "has";
    let made_by: Vec<_> = edges.iter().filter(made_by).collect();
    assert_eq!(made_by[0]["source"], "step:integrate");
}
