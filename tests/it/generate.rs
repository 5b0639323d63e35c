//! One script, here and now.

use lovage_client::ListQuery;
use lovage_tests::llm::{Answer, StandIn};
use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::calls::{self, Calls, Step};
use crate::process::Program;

const TOPIC: &str = "Lumen Bay tidal battery";
const TOPIC_KO: &str = "한빛시 자율주행 심야버스";

fn generate<const N: usize>(args: [&str; N]) -> Program {
    Program::new(["generate"].into_iter().chain(args))
}

#[tokio::test]
async fn a_topic_gives_a_cited_script_on_stdout_and_nothing_else() {
    let ended = generate([TOPIC]).end().await.expect(0);
    assert!(ended.stdout.starts_with("---\njob: "), "{}", ended.stdout);
    assert!(
        ended.stdout.contains("S1") && ended.stdout.contains("\n## "),
        "{}",
        ended.stdout
    );
    assert!(ended.stdout.ends_with('\n') && !ended.stdout.contains('\u{1b}'));
    assert_eq!(ended.stderr, "", "not a terminal: nothing to say");
}

#[tokio::test]
async fn every_format_is_what_it_says() {
    let json = generate([TOPIC, "-o", "json"]).end().await.expect(0);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["schema"], "script-result/1");
    assert_eq!(
        (json["status"].as_str(), json["corpus"].as_str()),
        (Some("ok"), Some("sample"))
    );
    assert_eq!(json["generator"]["llm"], false, "no model was set");

    let graph = generate([TOPIC, "-o", "graph"]).end().await.expect(0);
    let graph: Value = serde_json::from_str(&graph.stdout).unwrap();
    assert!(
        graph["nodes"]
            .as_array()
            .is_some_and(|nodes| nodes.len() > 3),
        "{graph}"
    );

    let all = [TOPIC, "--format", "all", "--for", "d3", "--lines"];
    let all = generate(all).end().await.expect(0);
    let all: Value = serde_json::from_str(&all.stdout).unwrap();
    let formats: Vec<&String> = all.as_object().unwrap().keys().collect();
    assert_eq!(formats.len(), 4, "{formats:?}");
    let ids = all["graph"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| node["id"].as_str());
    let ids: Vec<_> = ids.map(Option::unwrap).collect();
    assert!(ids.iter().any(|id| id.starts_with("line:")), "{ids:?}");
    let links = all["graph"]["links"].as_array().unwrap();
    let ends = links
        .iter()
        .flat_map(|link| ["source", "target"].map(move |end| link[end].as_str().unwrap()));
    for end in ends {
        assert!(ids.contains(&end), "{end} of {links:?}");
    }

    let chat = generate([TOPIC, "-o", "chat"]).end().await.expect(0);
    assert!(
        !chat.stdout.contains("---\njob") && chat.stdout.lines().count() > 3,
        "{}",
        chat.stdout
    );
}

#[tokio::test]
async fn what_a_format_does_not_take_is_a_usage_error() {
    for (args, said) in [
        (
            &["-o", "chat", "--for", "d3"][..],
            "for: expected with format graph or all only, got it with format chat",
        ),
        (
            &["-o", "graph", "--for", "dot"],
            "for: expected one of canonical, reactflow, cytoscape, d3, got \"dot\"",
        ),
        (
            &["--lines"],
            "lines: expected with format graph or all only, got it with format markdown",
        ),
        (
            &["-o", "pdf"],
            "[possible values: markdown, chat, graph, json, all]",
        ),
    ] {
        let args = ["generate", TOPIC].iter().chain(args);
        let ended = Program::new(args).end().await.expect(2);
        assert!(
            ended.stderr.contains(said) && ended.stdout.is_empty(),
            "{ended:#?}"
        );
    }
}

#[tokio::test]
async fn type_and_language_reach_the_script() {
    let args = [TOPIC, "--type", "short", "--lang", "en", "-o", "json"];
    let ended = generate(args).end().await.expect(0);
    let result: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(
        (&result["request"]["type"], &result["language"]),
        (&"short".into(), &"en".into())
    );

    let ended = generate([TOPIC_KO, "--type", "news", "-o", "json"])
        .end()
        .await
        .expect(0);
    let result: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(
        (&result["request"]["type"], &result["language"]),
        (&"news".into(), &"ko".into())
    );
}

#[tokio::test]
async fn a_topic_without_sources_is_code_3_and_a_hint() {
    let ended = generate(["the price of moss on Mars"])
        .end()
        .await
        .expect(3);
    assert!(
        ended.stderr.contains("nothing was written"),
        "{}",
        ended.stderr
    );
    assert!(
        ended.stderr.contains("lovage generate \""),
        "{}",
        ended.stderr
    );
}

#[tokio::test]
async fn the_exit_code_is_the_same_when_nobody_reads_what_is_said() {
    let nothing = generate(["the price of moss on Mars"]);
    nothing.unheard().end().await.expect(3);
}

#[tokio::test]
async fn an_argument_that_is_no_number_or_would_be_dropped_is_a_usage_error() {
    let id = uuid::Uuid::nil().to_string();
    for (args, said) in [
        (
            &[TOPIC, "--max-cost", "-1"][..],
            "budget/max_cost_usd: expected US dollars above 0, got -1",
        ),
        (
            &[TOPIC, "--max-cost", "much"],
            "expected US dollars, such as 0.5",
        ),
        (
            &[TOPIC, "--max-tokens", "-5"],
            "invalid value '-5' for '--max-tokens <TOKENS>': expected a whole number",
        ),
        (
            &[TOPIC, "--seconds", "99999999999"],
            "the number is too large",
        ),
        (
            &[TOPIC, "--dry-run", "--record", "folder"],
            "'--dry-run' cannot be used with '--record <DIR>'",
        ),
        // What the recording or the job was asked stands.
        (&["--replay", "folder", "--type", "news"], "<TOPIC>"),
        (&["--replay", "folder", "--words", "100"], "<TOPIC>"),
        (&["--resume", &id, "--type", "news"], "cannot be used with"),
        (&["--resume", &id, "--words", "100"], "cannot be used with"),
    ] {
        let args = ["generate"].iter().chain(args);
        let ended = Program::new(args).end().await.expect(2);
        assert!(ended.stderr.contains(said), "{ended:#?}");
    }
}

#[tokio::test]
async fn ctrl_c_keeps_the_plan_and_resume_goes_on_from_it() {
    let llm = StandIn::start().await;
    let data = tempfile::tempdir().unwrap();
    let mut steps = calls::listen(&llm, calls::writer_is_silent);
    let running = with(&llm, &data, &[TOPIC]).start();
    while steps.recv().await.unwrap() != Step::Write {}
    running.signal(Signal::SIGINT);
    let ended = running.end().await.expect(130);
    assert_eq!(ended.stdout, "");
    let (_, id) = ended
        .stderr
        .split_once("lovage generate --resume ")
        .unwrap();

    llm.respond_with(Answer::by_default);
    let ended = with(&llm, &data, &["--resume", id.trim(), "-o", "json"])
        .end()
        .await
        .expect(0);
    let result: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(
        (&result["job_id"], &result["status"]),
        (&id.trim().into(), &"ok".into())
    );
    assert_eq!(calls::by_topic(&llm)[TOPIC], Calls { plan: 1, write: 2 });
}

#[tokio::test]
async fn a_killed_run_goes_on_from_its_plan_when_its_lease_is_over() {
    let llm = StandIn::start().await;
    let data = tempfile::tempdir().unwrap();
    let mut steps = calls::listen(&llm, calls::writer_is_silent);
    let running = with(&llm, &data, &[TOPIC]).start();
    while steps.recv().await.unwrap() != Step::Write {}
    running.kill().await;
    let id = only_job(&data).await;

    llm.respond_with(Answer::by_default);
    let ended = with(&llm, &data, &["--resume", &id, "-o", "json"])
        .end()
        .await
        .expect(0);
    let result: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(result["status"], "ok");
    assert_eq!(calls::by_topic(&llm)[TOPIC], Calls { plan: 1, write: 2 });
}

#[tokio::test]
async fn resuming_what_is_over_shows_it_again_and_an_unknown_id_is_refused() {
    let llm = StandIn::start().await;
    let data = tempfile::tempdir().unwrap();
    let first = with(&llm, &data, &[TOPIC]).end().await.expect(0);
    let id = only_job(&data).await;
    let again = with(&llm, &data, &["--resume", &id]).end().await.expect(0);
    assert_eq!(again.stdout, first.stdout);
    assert_eq!(calls::by_topic(&llm)[TOPIC], Calls { plan: 1, write: 1 });

    let unknown = "01890a5d-ac96-774b-bcce-b302099a8057";
    let ended = with(&llm, &data, &["--resume", unknown])
        .end()
        .await
        .expect(2);
    assert!(
        ended.stderr.contains(unknown) && ended.stderr.contains("--data"),
        "{}",
        ended.stderr
    );
}

#[tokio::test]
async fn a_topic_that_is_none_is_a_usage_error() {
    for (topic, part) in [(" ", "1 to 500"), ("a\u{7}b", "control")] {
        let ended = generate([topic]).end().await.expect(2);
        assert!(
            ended.stderr.contains("topic") && ended.stderr.contains(part),
            "{}",
            ended.stderr
        );
        assert_eq!(ended.stdout, "");
    }
    generate([]).end().await.expect(2);
}

/// `generate` with the stand-in and a store that outlives the process.
fn with(llm: &StandIn, data: &TempDir, args: &[&str]) -> Program {
    let folder = data.path().to_str().unwrap();
    let args = ["generate", "--data", folder]
        .into_iter()
        .chain(args.iter().copied());
    Program::new(args)
        .env("LOVAGE__LLM__BASE_URL", llm.url())
        // Its calls are told apart by step; images have their own tests.
        .env("LOVAGE__LLM__VISION_MODEL", "off")
        .env("LOVAGE__STORE__LEASE_S", "3")
}

/// The id of the one job in a store, as another process on it tells.
async fn only_job(data: &TempDir) -> String {
    let api = Program::new(["api", "--listen", "127.0.0.1:0"]);
    let api = api.env("LOVAGE__STORE__DATA", data.path()).serve().await;
    let listed = api.client.list(&ListQuery::default()).await.unwrap();
    let [job] = listed.jobs.as_slice() else {
        panic!("not one job: {:?}", listed.jobs);
    };
    job.id.to_string()
}

#[tokio::test]
async fn a_job_that_a_server_left_in_its_own_queue_is_run_too() {
    let data = TempDir::new().unwrap();
    let api =
        Program::new(["api", "--listen", "127.0.0.1:0"]).env("LOVAGE__STORE__DATA", data.path());
    let api = api.serve().await;
    let script = serde_json::json!({"kind": "script.generate", "input": {"topic": TOPIC}});
    let job: Value = api.post("/v1/jobs", &script).await.json().await.unwrap();
    let id = job["id"].as_str().unwrap();
    let data = data.path().to_str().unwrap();
    let ended = generate(["--resume", id, "--data", data])
        .end()
        .await
        .expect(0);
    assert!(ended.stdout.contains(id), "{}", ended.stdout);
}
