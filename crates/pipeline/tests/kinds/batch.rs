//! Many inputs of one kind, each by itself.

use std::sync::Arc;

use lovage_pipeline::batch::types::{BatchResult, BatchStatus, ItemState};
use lovage_workflow::memory::MemoryJournal;
use lovage_workflow::{Failure, JobError, Join, Payload, WaitReason};
use serde_json::{Value, json};

use super::{attempt, code, kinds, offline};

const KIND: &str = "batch.generate";

/// An attempt that ends because its jobs are not over.
async fn parked(journal: &Arc<MemoryJournal>, input: &Value) {
    let ended = attempt(&offline(), KIND, journal, 1, input).await;
    let Err(Failure::Park { reason, .. }) = ended else {
        panic!("{ended:?}");
    };
    assert_eq!(reason, WaitReason::Children(Join::All));
}

async fn ended(journal: &Arc<MemoryJournal>, input: &Value) -> BatchResult {
    let result = attempt(&offline(), KIND, journal, 1, input).await;
    result.unwrap().read().unwrap()
}

#[tokio::test]
async fn each_item_succeeds_fails_or_is_refused_alone() {
    let journal = Arc::new(MemoryJournal::default());
    let input = json!({"topics": ["tides", "", "moss"], "shared": {"type": "news"}});
    parked(&journal, &input).await;
    let jobs = journal.spawned();
    let inputs: Vec<Value> = jobs.iter().map(|job| job.input.read().unwrap()).collect();
    assert_eq!(
        inputs,
        [
            json!({"topic": "tides", "type": "news"}),
            json!({"topic": "moss", "type": "news"}),
        ]
    );
    let spec = kinds().get("script.generate").unwrap().spec.clone();
    assert!(jobs.iter().all(|job| job.kind == spec.kind));
    assert!(jobs.iter().all(|job| job.timeout == spec.timeout));

    let result = json!({"status": "degraded", "title": "Tides"});
    journal.end(jobs[0].id, Ok(Payload::of(&result).unwrap()));
    parked(&journal, &input).await;
    let error = JobError::permanent("llm_auth", "bad key");
    journal.end(jobs[1].id, Err(error));
    let result = ended(&journal, &input).await;

    assert_eq!(result.status, BatchStatus::Partial);
    let counts = result.counts;
    assert_eq!(
        (
            counts.total,
            counts.succeeded,
            counts.failed,
            counts.refused
        ),
        (3, 1, 1, 1)
    );
    let [done, refused, failed] = result.items.as_slice() else {
        panic!("{:?}", result.items)
    };
    assert_eq!(done.state, ItemState::Succeeded);
    assert_eq!(done.status.as_deref(), Some("degraded"));
    assert_eq!(done.title.as_deref(), Some("Tides"));
    let link = format!("/v1/jobs/{}/result", jobs[0].id);
    assert_eq!(done.result.as_deref(), Some(link.as_str()));
    assert_eq!(
        (refused.state, &refused.job_id),
        (ItemState::Refused, &None)
    );
    let why = refused.error.as_ref().unwrap();
    assert!(why.code == "input" && why.message.contains("/topic"));
    assert_eq!(failed.state, ItemState::Failed);
    assert_eq!(failed.error.as_ref().unwrap().code, "llm_auth");
    assert_eq!(failed.about.as_deref(), Some("moss"));
    assert_eq!(journal.spawned().len(), 2, "spawned once");
}

#[tokio::test]
async fn a_batch_of_nothing_that_fits_fails_without_a_job() {
    let journal = Arc::new(MemoryJournal::default());
    let input = json!({"kind": "script.revise", "inputs": [{"chapterId": 7}, {"chapterId": "b"}]});
    let result = ended(&journal, &input).await;
    assert_eq!(result.status, BatchStatus::Failed);
    assert_eq!(result.counts.refused, 2);
    let about: Vec<_> = result.items.iter().map(|item| item.about.clone()).collect();
    assert_eq!(about, [Some("7".to_owned()), Some("b".to_owned())]);
    assert!(journal.spawned().is_empty());
}

#[tokio::test]
async fn results_of_any_shape_and_size_are_listed() {
    let journal = Arc::new(MemoryJournal::default());
    let input = json!({"topics": ["a", "b"]});
    parked(&journal, &input).await;
    for (job, result) in journal.spawned().iter().zip(["5", "[1]"]) {
        journal.end(job.id, Ok(Payload::parse(result).unwrap()));
    }
    let result = ended(&journal, &input).await;
    assert_eq!(result.status, BatchStatus::Ok);
    assert!(result.items.iter().all(|item| item.title.is_none()));
}

#[tokio::test]
async fn what_is_said_of_an_item_is_short_however_much_is_wrong_with_it() {
    let shared: Value = (0..500).map(|n| (format!("field{n}"), json!(0))).collect();
    let journal = Arc::new(MemoryJournal::default());
    let result = ended(&journal, &json!({"topics": ["a"], "shared": shared})).await;
    let error = result.items[0].error.as_ref().unwrap();
    assert!(
        error
            .message
            .starts_with("/field0 expected one of the fields topic,")
    );
    assert_eq!(error.message.chars().count(), 1_001);
    assert!(error.message.ends_with('…'));
}

#[tokio::test]
async fn both_renderings_name_every_item_and_mark_nothing_up() {
    let journal = Arc::new(MemoryJournal::default());
    let input = json!({"topics": ["<b>tides</b> | x", ""]});
    parked(&journal, &input).await;
    let job = journal.spawned()[0].id;
    journal.end(job, Ok(Payload::parse("{}").unwrap()));
    let result = attempt(&offline(), KIND, &journal, 1, &input)
        .await
        .unwrap();
    let shown = |format: &str| {
        let kinds = kinds();
        let mut renderings = kinds.get(KIND).unwrap().renderings.iter();
        let rendering = renderings.find(|one| one.format == format).unwrap();
        rendering.show(&result, &[]).unwrap()
    };
    let markdown = shown("markdown");
    assert!(
        markdown.contains("1 of 2 succeeded, 1 refused"),
        "{markdown}"
    );
    assert!(
        markdown.contains("&lt;b&gt;tides&lt;/b&gt; \\| x"),
        "{markdown}"
    );
    let chat = shown("chat");
    assert!(chat.contains(&format!("1. <b>tides</b> | x – succeeded: {job}")));
    assert!(chat.contains("2. – – refused: /topic expected"), "{chat}");
}

#[tokio::test]
async fn an_input_past_the_check_gives_up() {
    let input = json!({"topics": []});
    let failure = attempt(&offline(), KIND, &Arc::default(), 1, &input).await;
    assert_eq!(code(failure.unwrap_err()), "input");
}
