//! The whole recipe, offline and with the stand-in model: what it writes, what
//! it does not pay for twice, and when it abstains.

mod job;

use std::sync::Arc;

use job::{TOPIC, offline, run, with_model};
use lovage_pipeline::script::types::{Corpus, ResultStatus};
use lovage_tests::llm::{Answer, StandIn};
use lovage_workflow::memory::MemoryJournal;
use lovage_workflow::{Failure, Handler, Journal};
use serde_json::json;

#[tokio::test]
async fn offline_it_plans_researches_writes_and_cites_word_for_word() {
    let journal = Arc::new(MemoryJournal::default());
    let result = run(
        &offline(),
        &journal,
        &json!({ "topic": TOPIC, "max_images": 0 }),
    )
    .await
    .unwrap();
    assert_eq!(result.status, ResultStatus::Ok);
    assert_eq!(result.corpus, Corpus::Sample);
    assert!(!result.generator.llm);
    assert_eq!(result.checks.span_exact, Some(1.0));
    assert_eq!(result.checks.citation_coverage, Some(1.0));
    assert_eq!((result.usage.calls, result.usage.cost_usd), (0, Some(0.0)));
    let steps: Vec<_> = journal.steps().into_iter().map(|step| step.step).collect();
    assert_eq!(steps, ["plan", "research", "write"]);
    let kinds: Vec<_> = journal
        .events()
        .into_iter()
        .map(|event| event.kind)
        .collect();
    for kind in [
        "step_started",
        "hits",
        "article",
        "progress",
        "step_finished",
    ] {
        assert!(
            kinds.iter().any(|seen| seen == kind),
            "no {kind} in {kinds:?}"
        );
    }
}

#[tokio::test]
async fn a_topic_that_no_source_covers_is_not_written_about() {
    let journal = Arc::new(MemoryJournal::default());
    let result = run(
        &offline(),
        &journal,
        &json!({ "topic": "quantum cheese futures" }),
    )
    .await
    .unwrap();
    assert_eq!(result.status, ResultStatus::InsufficientSources);
    assert!(result.script.sections.is_empty());
    assert!(result.suggestions.iter().any(|topic| topic == TOPIC));
    assert_eq!(
        journal.steps().len(),
        2,
        "nothing was written, so nothing was stored for it"
    );
}

#[tokio::test]
async fn the_model_plans_and_writes_and_its_citations_are_checked() {
    let stand_in = StandIn::start().await;
    let journal = Arc::new(MemoryJournal::default());
    let result = run(&with_model(&stand_in), &journal, &json!({ "topic": TOPIC }))
        .await
        .unwrap();
    assert_eq!(result.status, ResultStatus::Ok, "{:?}", result.warnings);
    assert!(result.generator.llm);
    assert_eq!((stand_in.calls(), result.usage.calls), (2, 2));
    assert_eq!(result.usage.cost_usd, None, "no price is known");
    let known: Vec<_> = result
        .sources
        .iter()
        .map(|source| source.id.as_str())
        .collect();
    let mut cites = result
        .script
        .lines()
        .flat_map(|line| &line.cites)
        .peekable();
    assert!(cites.peek().is_some());
    assert!(cites.all(|cite| known.contains(&cite.source.as_str())));
    assert!(journal.events().iter().any(|event| event.kind == "delta"));
}

#[tokio::test]
async fn a_later_attempt_pays_for_no_finished_step_again() {
    let stand_in = StandIn::start().await;
    let handler = with_model(&stand_in);
    let whole = Arc::new(MemoryJournal::default());
    let input = json!({ "topic": TOPIC });
    let first = run(&handler, &whole, &input).await.unwrap();
    let steps: Vec<_> = whole
        .steps()
        .into_iter()
        .filter(|step| step.step != "image" && !step.step.starts_with("part:"))
        .collect();
    for kept in 0..=steps.len() {
        let journal = Arc::new(MemoryJournal::default());
        for step in &steps[..kept] {
            journal.save(step.clone(), Vec::new()).await.unwrap();
        }
        let before = stand_in.calls();
        let again = run(&handler, &journal, &input).await.unwrap();
        let paid = stand_in.calls() - before;
        // Steps are plan (a call), research (none), write (a call).
        let expected = [2, 1, 1, 0][kept];
        assert_eq!(paid, expected, "after {kept} stored steps");
        assert_eq!(again.title, first.title);
    }
}

#[tokio::test]
async fn a_wrong_key_fails_at_once_and_names_the_setting() {
    let stand_in = StandIn::start().await;
    stand_in.respond_with(|_| {
        Answer::json(
            401,
            json!({ "error": { "message": "bad key", "type": "auth" } }),
        )
    });
    let journal = Arc::new(MemoryJournal::default());
    let failure = run(&with_model(&stand_in), &journal, &json!({ "topic": TOPIC }))
        .await
        .unwrap_err();
    let Failure::GiveUp { code, message } = failure else {
        panic!("{failure:?}")
    };
    assert_eq!(code, "llm_auth");
    assert!(message.contains("llm.api_key"), "{message}");
    assert_eq!(stand_in.calls(), 1);
}

#[tokio::test]
async fn a_model_that_declines_degrades_to_the_offline_writer_or_fails_as_asked() {
    let stand_in = StandIn::start().await;
    let declined = json!({ "error": { "message": "filtered", "code": "content_filter" } });
    stand_in.respond_with(move |_| Answer::json(400, declined.clone()));
    let handler = with_model(&stand_in);
    let degraded = run(&handler, &Arc::default(), &json!({ "topic": TOPIC }))
        .await
        .unwrap();
    assert_eq!(degraded.status, ResultStatus::Degraded);
    assert_eq!(degraded.degraded, ["plan", "write"]);
    assert!(
        !degraded.generator.llm,
        "what the model did not write is not labelled as its own"
    );
    let input = json!({ "topic": TOPIC, "on_llm_failure": "fail" });
    let failure = run(&handler, &Arc::default(), &input).await.unwrap_err();
    assert!(matches!(failure, Failure::GiveUp { code, .. } if code == "llm_content_filter"));
}

#[tokio::test]
async fn a_long_wait_parks_the_job() {
    let stand_in = StandIn::start().await;
    let busy = json!({ "error": { "message": "slow down", "type": "rate_limit" } });
    stand_in.respond_with(move |_| Answer::json(429, busy.clone()).header("retry-after", "90"));
    let failure = run(
        &with_model(&stand_in),
        &Arc::default(),
        &json!({ "topic": TOPIC }),
    )
    .await
    .unwrap_err();
    let Failure::Park { after, .. } = failure else {
        panic!("{failure:?}")
    };
    assert!(after.as_secs() >= 90);
    assert_eq!(stand_in.calls(), 1);
}

#[tokio::test]
async fn an_input_that_does_not_fit_is_told_field_by_field() {
    let input = json!({ "topic": "", "tpye": "news" });
    let failure = offline()
        .run(Arc::new(MemoryJournal::default()).attempt(1, &input))
        .await
        .unwrap_err();
    let Failure::GiveUp { message, .. } = failure else {
        panic!("{failure:?}")
    };
    assert!(
        message.contains("/topic") && message.contains("tpye"),
        "{message}"
    );
    assert!(
        lovage_pipeline::Kinds::new(lovage_pipeline::standard())
            .catalog()
            .check("script.generate", &input, 10)
            .is_err()
    );
}
