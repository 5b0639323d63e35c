//! The streamed writer: what it keeps, what it goes on from, what it tells, and
//! what becomes of sentences that no source carries.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod job;

use std::sync::Arc;

use job::{TOPIC, run, until_kept, with_model};
use lovage_pipeline::script::types::{Check, Origin, ResultStatus, ScriptResult};
use lovage_tests::llm::{Answer, Ending, Received, StandIn};
use lovage_workflow::Handler;
use lovage_workflow::memory::MemoryJournal;
use serde_json::{Value, json};

fn spoken(received: &Received, role: &str) -> Vec<String> {
    let messages = received.body["messages"].as_array().unwrap();
    let texts = messages.iter().filter(|message| message["role"] == role);
    texts
        .map(|message| message["content"].as_str().unwrap().to_owned())
        .collect()
}

fn is_writer(body: &Value) -> bool {
    body["messages"].to_string().contains("SECTIONS")
}

fn is_review(body: &Value) -> bool {
    body["messages"].to_string().contains("SENTENCES")
}

/// Where the heading of section `number` begins in a script, from 0.
fn heading(script: &str, number: usize) -> usize {
    script.match_indices("## ").nth(number).unwrap().0
}

/// A script up to some characters into section `number`.
fn up_to(script: &str, number: usize, chars: usize) -> &str {
    let begins = heading(script, number);
    let cut = script[begins..].char_indices().nth(chars).unwrap().0;
    &script[..begins + cut]
}

fn sentences(result: &ScriptResult) -> Vec<&str> {
    result
        .script
        .lines()
        .map(|line| line.text.as_str())
        .collect()
}

fn of_kind(journal: &MemoryJournal, kind: &str) -> Vec<Value> {
    let events = journal.events().into_iter();
    let wanted = events.filter(|event| event.kind == kind);
    wanted.map(|event| event.data.read().unwrap()).collect()
}

#[tokio::test]
async fn a_broken_stream_is_continued_from_the_section_it_broke_in() {
    let stand_in = StandIn::start().await;
    let input = json!({ "topic": TOPIC });
    let whole = run(&with_model(&stand_in), &Arc::default(), &input)
        .await
        .unwrap();
    let undisturbed = stand_in.calls();

    stand_in.respond_with(|body| {
        let resumed = body["messages"].to_string().contains("Continue from");
        if !is_writer(body) || resumed {
            return Answer::by_default(body);
        }
        let text = Answer::default_text(body);
        Answer::begins(up_to(&text, 1, 30), body)
    });
    let journal = Arc::new(MemoryJournal::default());
    let result = run(&with_model(&stand_in), &journal, &input).await.unwrap();
    assert_eq!(result.status, ResultStatus::Ok, "{:?}", result.warnings);
    assert_eq!(sentences(&result), sentences(&whole));

    let received = stand_in.received();
    let [_, first, second] = &received[undisturbed..] else {
        panic!(
            "{} calls, not a plan and two of the writer",
            received.len() - undisturbed
        )
    };
    let text = Answer::default_text(&first.body);
    assert_eq!(
        spoken(second, "assistant"),
        [text[..heading(&text, 1)].trim_end()]
    );
    assert!(spoken(second, "user")[1].contains(&result.outline[1].heading));
    let resets = of_kind(&journal, "writer_reset");
    let first_section = &result.outline[0].id;
    assert_eq!(resets.len(), 1);
    assert_eq!(resets[0]["kept"], json!([first_section]));
    assert_eq!(
        resets[0]["chars"],
        text[..heading(&text, 1)].chars().count()
    );
    assert_eq!(result.usage.calls, 3);
}

#[tokio::test]
async fn an_attempt_that_dies_in_the_stream_leaves_its_finished_sections() {
    let stand_in = StandIn::start().await;
    stand_in.respond_with(|body| {
        if !is_writer(body) {
            return Answer::by_default(body);
        }
        let text = Answer::default_text(body);
        Answer::begins(up_to(&text, 2, 20), body).ending(Ending::Stall)
    });
    let handler = with_model(&stand_in);
    let journal = Arc::new(MemoryJournal::default());
    let input = json!({ "topic": TOPIC });
    tokio::select! {
        ended = handler.run(journal.attempt(1, &input)) => panic!("{ended:?}"),
        () = until_kept(&journal, "part:write", 2) => {}
    }
    stand_in.respond_with(Answer::by_default);
    let result = handler.run(journal.attempt(2, &input)).await.unwrap();
    let result: ScriptResult = result.read().unwrap();
    assert_eq!(result.status, ResultStatus::Ok);
    let received = stand_in.received();
    assert_eq!(received.len(), 3, "a plan, and the writer twice");
    let text = Answer::default_text(&received[1].body);
    let begun = spoken(&received[2], "assistant");
    assert_eq!(begun, [text[..heading(&text, 2)].trim_end()]);
    let resets = of_kind(&journal, "writer_reset");
    assert_eq!(resets.last().unwrap()["kept"].as_array().unwrap().len(), 2);
    let timing = |step: &str| result.timings.iter().find(|one| one.step == step).unwrap();
    assert_eq!((timing("plan").cached, timing("plan").attempts), (true, 1));
    assert_eq!(
        (timing("write").cached, timing("write").attempts),
        (false, 2)
    );
}

#[tokio::test]
async fn sections_that_are_all_there_are_not_asked_for_again() {
    let stand_in = StandIn::start().await;
    let handler = with_model(&stand_in);
    let input = json!({ "topic": TOPIC });
    let whole = Arc::new(MemoryJournal::default());
    let first = run(&handler, &whole, &input).await.unwrap();
    let steps = whole
        .steps()
        .into_iter()
        .filter(|step| step.step != "write");
    let journal = Arc::new(MemoryJournal::with_steps(steps.collect()));
    let before = stand_in.calls();
    let again = handler.run(journal.attempt(2, &input)).await.unwrap();
    let again: ScriptResult = again.read().unwrap();
    assert_eq!(stand_in.calls(), before);
    assert_eq!(sentences(&again), sentences(&first));
}

#[tokio::test]
async fn an_answer_cut_at_the_length_limit_is_continued_once() {
    let stand_in = StandIn::start().await;
    let cut = |body: &Value| {
        let text = Answer::default_text(body);
        let half = text.char_indices().nth(text.chars().count() / 2).unwrap().0;
        Answer::ends_for("length", &text[..half], body)
    };
    stand_in.respond_with(move |body| {
        let continued = body["messages"].to_string().contains("Continue exactly");
        if !is_writer(body) || continued {
            Answer::by_default(body)
        } else {
            cut(body)
        }
    });
    let input = json!({ "topic": TOPIC });
    let result = run(&with_model(&stand_in), &Arc::default(), &input)
        .await
        .unwrap();
    assert_eq!((result.status, stand_in.calls()), (ResultStatus::Ok, 3));
    let written: Vec<_> = result
        .script
        .sections
        .iter()
        .map(|s| s.lines.len())
        .collect();
    assert_eq!(written, [2, 2, 2]);

    stand_in.respond_with(move |body| {
        if is_writer(body) {
            cut(body)
        } else {
            Answer::by_default(body)
        }
    });
    let result = run(&with_model(&stand_in), &Arc::default(), &input)
        .await
        .unwrap();
    assert!(
        result.warnings.iter().any(|w| w.code == "truncated"),
        "{:?}",
        result.warnings
    );
}

#[tokio::test]
async fn watchers_see_the_outline_the_sentences_and_what_each_call_used() {
    let stand_in = StandIn::start().await;
    let journal = Arc::new(MemoryJournal::default());
    let input = json!({ "topic": TOPIC });
    let result = run(&with_model(&stand_in), &journal, &input).await.unwrap();
    let outline = of_kind(&journal, "outline");
    assert_eq!(outline[0]["sections"], json!(result.outline));
    let told = of_kind(&journal, "sentence");
    let lines: Vec<_> = result.script.lines().collect();
    assert_eq!(told.len(), lines.len());
    for (told, line) in told.iter().zip(lines) {
        assert_eq!(told["text"], line.text);
        assert_eq!(told["verdict"], json!(line.check));
        let cites: Vec<_> = line.cites.iter().map(|cite| &cite.source).collect();
        assert_eq!(told["cites"], json!(cites));
    }
    let text: String = of_kind(&journal, "delta")
        .iter()
        .map(|delta| delta["text"].as_str().unwrap())
        .collect();
    assert_eq!(text, Answer::default_text(&stand_in.received()[1].body));
    let used = of_kind(&journal, "usage");
    let tokens = |of: &str| {
        used.iter()
            .map(|one| one[of].as_u64().unwrap())
            .sum::<u64>()
    };
    assert_eq!(Some(tokens("prompt_tokens")), result.usage.prompt_tokens);
    assert_eq!(
        Some(tokens("completion_tokens")),
        result.usage.completion_tokens
    );
    let steps: Vec<_> = result
        .usage
        .by_step
        .iter()
        .map(|one| one.step.as_str())
        .collect();
    assert_eq!(steps, ["plan", "write"]);
    let prompts = result.prompts.unwrap();
    assert!(prompts.writer.starts_with("writer/") && prompts.review.starts_with("review/"));
}

#[tokio::test]
async fn a_section_without_sources_says_so() {
    let stand_in = StandIn::start().await;
    stand_in.respond_with(|body| {
        if !is_writer(body) {
            return Answer::by_default(body);
        }
        let text = Answer::default_text(body);
        let silent = format!(
            "{}\n(자료 없음)\n",
            text[heading(&text, 2)..].lines().next().unwrap()
        );
        Answer::says(&(text[..heading(&text, 2)].to_owned() + &silent), body)
    });
    let input = json!({ "topic": TOPIC });
    let result = run(&with_model(&stand_in), &Arc::default(), &input)
        .await
        .unwrap();
    let line = &result.script.sections[2].lines[0];
    assert_eq!(
        (line.text.as_str(), line.origin),
        ("(자료 없음)", Origin::Template)
    );
    assert!(line.cites.is_empty());
}

/// The writer says that of the first source which is not so.
fn invents(body: &Value) -> Answer {
    if !is_writer(body) {
        return Answer::by_default(body);
    }
    let text = Answer::default_text(body);
    let at = text.find('\n').unwrap() + 1;
    Answer::says(
        &format!(
            "{}버스 98765대가 바다로 간다. [S1]\n{}",
            &text[..at],
            &text[at..]
        ),
        body,
    )
}

#[tokio::test]
async fn a_flagged_sentence_is_asked_for_once_more() {
    let stand_in = StandIn::start().await;
    stand_in.respond_with(invents);
    let journal = Arc::new(MemoryJournal::default());
    let input = json!({ "topic": TOPIC });
    let result = run(&with_model(&stand_in), &journal, &input).await.unwrap();
    assert_eq!(stand_in.calls(), 3, "a plan, the writer, one review");
    let asked = stand_in.received().pop().unwrap();
    assert!(is_review(&asked.body));
    assert!(spoken(&asked, "user")[0].contains("L1: 버스 98765대가 바다로 간다. [S1]"));
    let line = result.script.lines().next().unwrap();
    assert!(!line.text.contains("98765"));
    assert!(
        matches!(line.check, Check::Verified | Check::Weak),
        "{line:?}"
    );
    assert_eq!(result.status, ResultStatus::Ok);
    let steps: Vec<_> = result.timings.iter().map(|one| one.step.as_str()).collect();
    assert_eq!(steps, ["plan", "research", "write", "review", "images"]);

    let again = run(&with_model(&stand_in), &journal, &input).await.unwrap();
    assert_eq!(
        stand_in.calls(),
        3,
        "what was reviewed is not paid for again"
    );
    assert_eq!(sentences(&again), sentences(&result));
}

#[tokio::test]
async fn a_sentence_that_stays_unsupported_is_taken_out_and_named() {
    let stand_in = StandIn::start().await;
    stand_in.respond_with(|body| {
        if is_review(body) {
            return Answer::says("L1: 버스 45678대가 하늘로 간다. [S1]", body);
        }
        invents(body)
    });
    let input = json!({ "topic": TOPIC });
    let result = run(&with_model(&stand_in), &Arc::default(), &input)
        .await
        .unwrap();
    assert_eq!(result.script.lines().next().unwrap().text, "(자료 없음)");
    let warning = result
        .warnings
        .iter()
        .find(|w| w.code == "sentence_removed");
    assert!(warning.unwrap().detail.contains("98765"), "{warning:?}");
}

#[tokio::test]
async fn a_review_that_fails_leaves_the_sentence_flagged_and_the_job_whole() {
    let stand_in = StandIn::start().await;
    stand_in.respond_with(|body| {
        if is_review(body) {
            return Answer::json(
                400,
                json!({ "error": { "message": "filtered", "code": "content_filter" } }),
            );
        }
        invents(body)
    });
    let input = json!({ "topic": TOPIC });
    let result = run(&with_model(&stand_in), &Arc::default(), &input)
        .await
        .unwrap();
    let line = result.script.lines().next().unwrap();
    assert!(line.text.contains("98765"));
    assert!(matches!(
        line.check,
        Check::Unsupported | Check::NumberMismatch
    ));
    assert!(result.warnings.iter().any(|w| w.code == "review_failed"));
    assert_eq!(result.status, ResultStatus::Ok);
}

#[tokio::test]
async fn where_the_model_stops_for_good_the_rest_is_copied_and_labelled() {
    let stand_in = StandIn::start().await;
    let filtered = |body: &Value| {
        let text = Answer::default_text(body);
        Answer::ends_for("content_filter", up_to(&text, 1, 10), body)
    };
    stand_in.respond_with(move |body| {
        if is_writer(body) {
            filtered(body)
        } else {
            Answer::by_default(body)
        }
    });
    let input = json!({ "topic": TOPIC });
    let result = run(&with_model(&stand_in), &Arc::default(), &input)
        .await
        .unwrap();
    assert_eq!(result.status, ResultStatus::Degraded);
    assert_eq!(result.degraded, ["write"]);
    let first = &result.script.sections[0];
    assert!(first.lines.iter().all(|line| line.origin == Origin::Llm));
    let rest = result.script.sections[1..].iter().flat_map(|s| &s.lines);
    assert!(rest.clone().count() > 0);
    assert!(rest.clone().all(|line| line.origin != Origin::Llm));
    assert!(result.generator.llm && result.generator.notice.contains("옮겼습니다"));
    assert!(
        result
            .warnings
            .iter()
            .any(|w| w.code == "extracted_sections")
    );
}
