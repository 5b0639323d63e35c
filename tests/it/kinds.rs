//! Every kind but `script.generate` through the whole system, and a kind of this
//! test's own, registered as any other.

use std::sync::Arc;
use std::time::Duration;

use lovage_api::{ApiConfig, FormatSpec, Render, Rendered, State};
use lovage_broker_sqlite::{SqliteBroker, SqliteConfig};
use lovage_client::Client;
use lovage_client::wire::{EnqueueRequest, JobState};
use lovage_core::clock::SystemClock;
use lovage_core::id::QueueName;
use lovage_pipeline::Kinds;
use lovage_pipeline::news::Research;
use lovage_pipeline::script::{Deps, Prices};
use lovage_tests::llm::{Answer, Ending, StandIn};
use lovage_worker::{Worker, WorkerConfig};
use lovage_workflow::Payload;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::history::{is, until_event};
use crate::process::{Program, Server, client};
use crate::tally;

const TOPIC: &str = "Lumen Bay tidal battery";
const STORY: &str = "The bus came late.\n\nMina waited at the stop.\n\nIt rained all night.\n";
/// Longest wait for a job.
const LONG: Duration = Duration::from_secs(90);

/// Enqueues a job of a kind and gives its id.
async fn enqueue(client: &Client, kind: &str, input: &Value) -> Uuid {
    let request = EnqueueRequest::new(kind, input).unwrap();
    client.enqueue(&request, None).await.unwrap().id
}

/// The result of a job that succeeds.
async fn result(server: &Server, id: Uuid) -> Value {
    let job = server.client.wait(id, LONG).await.unwrap();
    assert_eq!(job.state, JobState::Succeeded, "{job:?}");
    server.json(&format!("/v1/jobs/{id}/result")).await
}

/// API, worker and store in one process, with the stand-in where there is one.
fn up(llm: Option<&StandIn>, data: &TempDir) -> Program {
    let program = Program::new(["up", "--listen", "127.0.0.1:0"]);
    let program = program
        .env("LOVAGE__STORE__DATA", data.path())
        .env("LOVAGE__STORE__LEASE_S", "3");
    match llm {
        Some(llm) => program.env("LOVAGE__LLM__BASE_URL", llm.url()),
        None => program,
    }
}

#[tokio::test]
async fn a_story_is_revised_and_shown_with_its_diff() {
    let (llm, data) = (StandIn::start().await, tempfile::tempdir().unwrap());
    let server = up(Some(&llm), &data).serve().await;
    let input = json!({"chapterId": 7, "story": STORY, "editRequest": "replace Mina with Jun"});
    let id = enqueue(&server.client, "script.revise", &input).await;
    let revised = result(&server, id).await;
    assert_eq!(revised["chapterId"], 7);
    assert_eq!(revised["story"], STORY.replace("Mina", "Jun"));
    assert_eq!(revised["changed"]["words_added"], 1);
    let at = format!("/v1/jobs/{id}/result?format=markdown");
    let shown = server.get(&at).await.text().await.unwrap();
    assert!(shown.contains("```diff\n") && shown.contains("+Jun waited"));
    let wrong = json!({"kind": "script.revise", "input": {"chapterId": 7, "story": "", "tone": 1}});
    let refused = server.post("/v1/jobs", &wrong).await;
    assert_eq!(refused.status(), 422);
    let problem = refused.text().await.unwrap();
    for pointer in ["/input/story", "/input/editRequest", "/input/tone"] {
        assert!(problem.contains(pointer), "{problem}");
    }
}

#[tokio::test]
async fn without_a_model_a_revision_fails_and_says_what_to_set() {
    let data = tempfile::tempdir().unwrap();
    let server = up(None, &data).serve().await;
    let input = json!({"chapterId": 7, "story": STORY, "editRequest": "shorter"});
    let id = enqueue(&server.client, "script.revise", &input).await;
    let job = server.client.wait(id, LONG).await.unwrap();
    assert_eq!((job.state, job.attempt), (JobState::Failed, 1));
    assert_eq!(job.error.unwrap().code, "no_llm");
}

#[tokio::test]
async fn a_killed_revision_goes_on_behind_its_last_paragraph() {
    let (llm, data) = (StandIn::start().await, tempfile::tempdir().unwrap());
    let begun = "The bus came late.\n\nJun waited at the stop.\n\nIt";
    let delta = json!({"choices": [{"delta": {"content": begun}, "finish_reason": null}]});
    llm.respond_in_turn([Answer::events([delta]).ending(Ending::Stall)]);
    let server = up(Some(&llm), &data).serve().await;
    let input = json!({"chapterId": 7, "story": STORY, "editRequest": "replace Mina with Jun"});
    let id = enqueue(&server.client, "script.revise", &input).await;
    // The text is told when it is kept, in one write.
    until_event(&server.client, id, |event| is(event, "delta", "revise")).await;
    server.running.kill().await;
    let server = up(Some(&llm), &data).serve().await;
    let revised = result(&server, id).await;
    assert_eq!(revised["story"], STORY.replace("Mina", "Jun"));
    assert_eq!(llm.calls(), 2);
    let second = &llm.received()[1].body["messages"][2];
    assert_eq!(second["role"], "assistant");
    assert_eq!(
        second["content"],
        "The bus came late.\n\nJun waited at the stop."
    );
}

#[tokio::test]
async fn a_topic_is_analysed_from_several_sides() {
    let (llm, data) = (StandIn::start().await, tempfile::tempdir().unwrap());
    llm.set_latency(Duration::from_millis(200));
    let server = up(Some(&llm), &data).serve().await;
    let id = enqueue(
        &server.client,
        "content.comprehensive",
        &json!({"topic": TOPIC}),
    )
    .await;
    let made = result(&server, id).await;
    assert_eq!(made["schema"], "comprehensive-result/1");
    assert_eq!(made["status"], "ok", "{}", made["warnings"]);
    assert_eq!(made["analyses"].as_array().unwrap().len(), 3);
    assert_eq!(made["health"]["failed"], 0);
    assert_eq!(llm.max_in_flight(), 3, "the analyses run side by side");
    let all = server
        .json(&format!("/v1/jobs/{id}/result?format=all"))
        .await;
    for format in ["json", "markdown", "chat", "graph"] {
        assert!(!all[format].is_null(), "{format}");
    }
}

#[tokio::test]
async fn a_batch_is_followed_as_one_and_each_item_ends_alone() {
    let data = tempfile::tempdir().unwrap();
    let server = up(None, &data).serve().await;
    let topics = json!([
        TOPIC,
        "",
        "한빛시 자율주행 심야버스",
        "quantum cheese futures"
    ]);
    let input = json!({"topics": topics, "shared": {"type": "short"}});
    let id = enqueue(&server.client, "batch.generate", &input).await;
    let batch = result(&server, id).await;
    let states: Vec<_> = batch["items"].as_array().unwrap().iter().collect();
    let states: Vec<_> = states
        .iter()
        .map(|item| item["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["succeeded", "refused", "succeeded", "succeeded"]);
    assert_eq!(batch["status"], "partial");
    assert_eq!(batch["items"][3]["status"], "insufficient_sources");
    let children = server.client.children(id).await.unwrap().children;
    assert_eq!(children.len(), 3);
    let script = server
        .json(batch["items"][0]["result"].as_str().unwrap())
        .await;
    assert_eq!(
        (&script["request"]["type"], &script["status"]),
        (&json!("short"), &json!("ok"))
    );
}

#[tokio::test]
async fn a_batch_is_cancelled_with_its_jobs() {
    let data = tempfile::tempdir().unwrap();
    let api = Program::new(["api", "--listen", "127.0.0.1:0"]);
    let api = api.env("LOVAGE__STORE__DATA", data.path()).serve().await;
    let input = json!({"topics": [TOPIC, "tides"]});
    let id = enqueue(&api.client, "batch.generate", &input).await;
    // The stand-in never answers, so the batch's jobs do not end by themselves.
    let llm = StandIn::start().await;
    llm.respond_with(|_| Answer::silence());
    let worker = Program::new(["worker"])
        .env("LOVAGE__STORE__DATA", data.path())
        .env("LOVAGE__LLM__BASE_URL", llm.url())
        .start();
    until_event(&api.client, id, |event| event.kind == "waiting").await;
    api.client.cancel(id).await.unwrap();
    let over = api.client.wait(id, LONG).await.unwrap();
    assert_eq!(over.state, JobState::Cancelled);
    for child in api.client.children(id).await.unwrap().children {
        let child = api.client.wait(child.id, LONG).await.unwrap();
        assert_eq!(child.state, JobState::Cancelled);
    }
    worker.kill().await;
}

#[tokio::test]
async fn the_command_line_lists_the_kinds_and_runs_any_of_them() {
    let data = tempfile::tempdir().unwrap();
    let listed = Program::new(["kinds", "-o", "json"]).end().await.expect(0);
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    let server = up(None, &data).serve().await;
    let kinds = listed.as_array().unwrap();
    assert_eq!(kinds.len(), 4);
    for kind in kinds {
        let name = kind["kind"].as_str().unwrap();
        let example = kind["example"].to_string();
        let args = ["enqueue", name, &example, "--server", &server.url];
        let enqueued = Program::new(args).end().await.expect(0);
        let id: Uuid = enqueued.stdout.trim().parse().unwrap();
        let job = server.client.wait(id, LONG).await.unwrap();
        // Only a revision cannot be had without a model.
        let expected = match name {
            "script.revise" => JobState::Failed,
            _ => JobState::Succeeded,
        };
        assert_eq!(job.state, expected, "{name}");
    }
    let table = Program::new(["kinds"]).end().await.expect(0).stdout;
    assert!(
        table.contains("script.revise") && table.contains("chapterId"),
        "{table}"
    );
}

/// The kinds of the program and one more: this line is all it takes.
fn kinds() -> Kinds {
    Kinds::new(
        lovage_pipeline::standard()
            .into_iter()
            .chain([tally::entry()]),
    )
}

/// The formats of kinds without options.
struct Shown(Kinds);

impl Render for Shown {
    fn formats(&self, kind: &str) -> Vec<FormatSpec> {
        let entry = self.0.get(kind).into_iter();
        let formats = entry
            .flat_map(|entry| &entry.renderings)
            .map(|one| FormatSpec {
                name: one.format,
                options: Vec::new(),
            });
        formats.collect()
    }

    fn render(
        &self,
        kind: &str,
        result: &Payload,
        format: &str,
        _: &[(&str, &str)],
    ) -> Option<Result<Rendered, String>> {
        let mut renderings = self.0.get(kind)?.renderings.iter();
        let rendering = renderings.find(|one| one.format == format)?;
        let body = rendering.show(result, &[]);
        Some(body.map(|body| Rendered {
            content_type: rendering.content_type.to_owned(),
            body,
        }))
    }
}

#[tokio::test]
async fn a_kind_of_ones_own_is_one_folder_and_one_line() {
    let data = tempfile::tempdir().unwrap();
    let config = SqliteConfig::new(data.path().join("jobs.db"));
    let broker = Arc::new(SqliteBroker::open(config).await.unwrap());
    let clock = Arc::new(SystemClock);
    let deps = Deps {
        llm: None,
        vision: None,
        prices: Prices::default(),
        sharing: None,
        research: Arc::new(Research::sample()),
    };
    let config = WorkerConfig::new(vec![QueueName::default()], 4);
    let worker = Worker::new(
        broker.clone(),
        kinds().handlers(&deps),
        clock.clone(),
        config,
    );
    let stop = CancellationToken::new();
    let working = tokio::spawn(worker.run(stop.clone().cancelled_owned()));
    let (catalog, renderer) = (Arc::new(kinds().catalog()), Arc::new(Shown(kinds())));
    let state = State::new(broker, catalog, renderer, clock, ApiConfig::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client(&format!("http://{}", listener.local_addr().unwrap()));
    let serving = lovage_api::serve(listener, state, stop.clone().cancelled_owned());
    let serving = tokio::spawn(serving);

    let id = enqueue(&client, tally::KIND, &json!({"text": "one two three"})).await;
    client.wait(id, LONG).await.unwrap();
    assert_eq!(shown(&client, id, "json").await, r#"{"words":3}"#);
    assert_eq!(shown(&client, id, "plain").await, "3 words");
    let refused = EnqueueRequest::new(tally::KIND, &json!({"text": 5})).unwrap();
    let refused = client.enqueue(&refused, None).await.unwrap_err();
    assert!(
        refused.to_string().contains("expected a string, got 5"),
        "{refused}"
    );
    // Batches of it come by themselves.
    let inputs = json!([{"text": "a b"}, {}, {"text": ""}]);
    let batch = json!({"kind": tally::KIND, "inputs": inputs});
    let batch = enqueue(&client, "batch.generate", &batch).await;
    client.wait(batch, LONG).await.unwrap();
    let batch: Value = serde_json::from_str(&shown(&client, batch, "json").await).unwrap();
    assert_eq!(batch["counts"]["succeeded"], 2);
    assert_eq!(
        batch["items"][1]["error"]["message"],
        "/text expected a string, got null"
    );
    stop.cancel();
    working.await.unwrap().unwrap();
    serving.await.unwrap();
}

/// A result in a format.
async fn shown(client: &Client, id: Uuid, format: &str) -> String {
    match client.result(id, format).await.unwrap() {
        lovage_client::JobResult::Ready { body, .. } => String::from_utf8(body.to_vec()).unwrap(),
        other => panic!("{other:?}"),
    }
}
