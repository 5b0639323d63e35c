//! The commands that talk to a server, and the help of all.

use std::path::Path;

use lovage_tests::redis::RedisServer;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::process::{Ended, Program, Server};

const TOPIC: &str = r#"{"topic": "Lumen Bay tidal battery"}"#;
const COMMANDS: [&str; 17] = [
    "generate",
    "up",
    "api",
    "worker",
    "enqueue",
    "status",
    "wait",
    "result",
    "watch",
    "list",
    "cancel",
    "retry",
    "bench",
    "chaos",
    "config",
    "config show",
    "completions",
];

/// A server and a shell beside it.
struct Shell(Server);

impl Shell {
    async fn start() -> Self {
        Self(
            Program::new(["up", "--listen", "127.0.0.1:0"])
                .serve()
                .await,
        )
    }

    fn program(&self, args: &[&str]) -> Program {
        Program::new(args).env("LOVAGE_URL", &self.0.url)
    }

    async fn run(&self, args: &[&str]) -> Ended {
        self.program(args).end().await
    }

    /// Enqueues, and gives the id: all that is printed.
    async fn enqueue(&self, more: &[&str]) -> String {
        let args = [&["enqueue", "script.generate", TOPIC], more].concat();
        let id = self.run(&args).await.expect(0).stdout;
        id.strip_suffix('\n').expect("one line").to_owned()
    }
}

fn json(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:#?}"))
}

#[tokio::test]
async fn a_job_is_enqueued_watched_waited_for_and_read() {
    let shell = Shell::start().await;
    let id = shell.enqueue(&["--tag", "night", "--session", "s1"]).await;
    let watched = shell.run(&["watch", &id, "-o", "json"]).await.expect(0);
    let kinds: Vec<Value> = watched
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(kinds.last().unwrap()["type"], "succeeded");
    let after = kinds.len() - 1;
    let rest = shell
        .run(&["watch", &id, "--after", &after.to_string(), "-o", "json"])
        .await
        .expect(0);
    assert!(rest.stdout.lines().count() <= 1, "{}", rest.stdout);

    let waited = shell.run(&["wait", &id, "-o", "json"]).await.expect(0);
    assert_eq!(json(&waited)["state"], "succeeded");
    let status = shell.run(&["status", &id]).await.expect(0);
    assert!(
        status.stdout.contains(&id) && status.stdout.contains("succeeded"),
        "{}",
        status.stdout
    );
    assert!(
        !status.stdout.contains('\u{1b}'),
        "not a terminal: no colours"
    );

    let result = shell.run(&["result", &id]).await.expect(0);
    assert_eq!(json(&result)["job_id"], id.as_str());
    let markdown = shell
        .run(&["result", &id, "-o", "markdown"])
        .await
        .expect(0);
    assert!(markdown.stdout.contains("\n# "), "{}", markdown.stdout);

    let listed = shell
        .run(&[
            "list",
            "--state",
            "succeeded",
            "--tag",
            "night",
            "-o",
            "json",
        ])
        .await;
    assert_eq!(json(&listed.expect(0))[0]["id"], id.as_str());
    let none = shell
        .run(&["list", "--session", "s2", "-o", "json"])
        .await
        .expect(0);
    assert_eq!(json(&none), serde_json::json!([]));
}

#[tokio::test]
async fn a_job_is_cancelled_and_run_again() {
    let shell = Shell::start().await;
    let id = shell.enqueue(&["--delay", "3600"]).await;
    let late = shell.run(&["wait", &id, "--timeout", "1"]).await.expect(4);
    assert!(late.stderr.contains("still scheduled"), "{}", late.stderr);
    let early = shell.run(&["result", &id]).await.expect(1);
    assert!(
        early.stderr.contains("no result yet") && early.stdout.is_empty(),
        "{early:#?}"
    );

    shell.run(&["cancel", &id]).await.expect(0);
    shell.run(&["wait", &id]).await.expect(3);
    shell.run(&["watch", &id]).await.expect(3);
    let gone = shell.run(&["result", &id]).await.expect(3);
    assert_eq!(json(&gone)["state"], "cancelled");
    let again = shell.run(&["cancel", &id]).await.expect(1);
    assert!(again.stderr.contains("over already"), "{}", again.stderr);

    shell.run(&["retry", &id]).await.expect(0);
    shell.run(&["wait", &id]).await.expect(0);
}

#[tokio::test]
async fn the_input_comes_from_a_file_or_stdin_and_the_same_key_gives_the_same_job() {
    let shell = Shell::start().await;
    let from_file = [
        "enqueue",
        "script.generate",
        "@input.json",
        "--idempotency-key",
        "k1",
    ];
    let from_file = shell
        .program(&from_file)
        .file("input.json", TOPIC)
        .end()
        .await
        .expect(0);
    let from_stdin = [
        "enqueue",
        "script.generate",
        "-",
        "--idempotency-key",
        "k1",
        "-o",
        "json",
    ];
    let from_stdin = shell
        .program(&from_stdin)
        .file("stdin", TOPIC)
        .stdin("stdin");
    let from_stdin = from_stdin.end().await.expect(0);
    assert_eq!(json(&from_stdin)["id"], from_file.stdout.trim());
}

#[tokio::test]
async fn what_the_server_cannot_read_is_a_usage_error() {
    let shell = Shell::start().await;
    for (args, part) in [
        (["enqueue", "script.generate", "{"], "not JSON"),
        (["enqueue", "script.generate", "{}"], "topic"),
        (["enqueue", "no.such.kind", "{}"], "script.generate"),
        (
            ["enqueue", "script.generate", "@missing.json"],
            "missing.json",
        ),
        (["list", "--state", "done"], "succeeded"),
    ] {
        let ended = shell.run(&args).await.expect(2);
        assert!(
            ended.stderr.contains(part) && ended.stdout.is_empty(),
            "{ended:#?}"
        );
    }
}

#[tokio::test]
async fn a_job_that_is_not_there_is_an_error_but_no_usage_error() {
    let shell = Shell::start().await;
    let ended = shell
        .run(&["status", "01890a5d-ac96-774b-bcce-b302099a8057"])
        .await
        .expect(1);
    assert!(ended.stderr.contains("no job with that id"), "{ended:#?}");
}

#[tokio::test]
async fn a_watcher_outlives_the_restart_of_its_server() {
    let data = tempfile::tempdir().unwrap();
    let up = |listen: &str| {
        Program::new([
            "up",
            "--listen",
            listen,
            "--data",
            data.path().to_str().unwrap(),
        ])
        .serve()
    };
    let shell = Shell(up("127.0.0.1:0").await);
    let id = shell.enqueue(&["--delay", "3600"]).await;
    let watch = shell.program(&["wait", &id, "-o", "json"]).start();
    let address = shell.0.url.trim_start_matches("http://").to_owned();
    shell.0.running.signal(Signal::SIGTERM);
    shell.0.running.end().await.expect(0);
    let shell = Shell(up(&address).await);
    shell.run(&["cancel", &id]).await.expect(0);
    let ended = watch.end().await.expect(3);
    assert_eq!(json(&ended)["state"], "cancelled");
}

#[tokio::test]
async fn the_help_of_every_command_is_as_recorded() {
    let mut text = String::new();
    for command in std::iter::once("").chain(COMMANDS) {
        let args = command.split_whitespace().chain(["--help"]);
        let ended = Program::new(args)
            .env("COLUMNS", "100")
            .end()
            .await
            .expect(0);
        assert_eq!(ended.stderr, "");
        text.push_str(
            &format!("$ lovage {command} --help\n{}\n", ended.stdout)
                .replace("  --help\n", " --help\n"),
        );
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/help.txt");
    if std::env::var("LOVAGE_GOLDEN").is_ok_and(|mode| mode == "write") {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, &text).unwrap();
    }
    let recorded = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        text == recorded,
        "the help has changed; LOVAGE_GOLDEN=write records it:\n{text}"
    );
}

#[tokio::test]
async fn every_command_is_in_the_recorded_help() {
    let ended = Program::new(["--help"]).end().await.expect(0);
    let (_, commands) = ended.stdout.split_once("Commands:\n").unwrap();
    let listed = commands.lines().take_while(|line| !line.is_empty());
    // Continued descriptions are indented further.
    let listed = listed.filter_map(|line| {
        line.strip_prefix("  ")
            .filter(|line| !line.starts_with(' '))
    });
    for name in listed.filter_map(|line| line.split_whitespace().next()) {
        assert!(
            name == "help" || COMMANDS.contains(&name),
            "{name} is missing"
        );
    }
}

#[tokio::test]
async fn completions_and_settings_are_data_on_stdout() {
    for shell in ["bash", "zsh", "fish"] {
        let ended = Program::new(["completions", shell]).end().await.expect(0);
        assert!(
            ended.stdout.contains("lovage") && ended.stderr.is_empty(),
            "{ended:#?}"
        );
    }
    let shown = Program::new(["config", "show"])
        .end()
        .await
        .expect(0)
        .stdout;
    let check =
        Program::new(["config", "check", "--config", "shown.toml"]).file("shown.toml", &shown);
    check.end().await.expect(0);
}

#[tokio::test]
async fn bench_measures_both_stores_beside_the_floor() {
    if !RedisServer::available() {
        return;
    }
    let bench = Program::new(["bench", "--jobs", "200", "-o", "json"])
        .env("PATH", std::env::var("PATH").unwrap());
    let ended = bench.end().await.expect(0);
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert!(
        report["floor"]["lpush_pipelined_per_s"]
            .as_f64()
            .is_some_and(|rate| rate > 0.0)
    );
    let stores: Vec<_> = report["stores"].as_array().unwrap().iter().collect();
    assert_eq!(stores.len(), 2, "{report}");
    for store in stores {
        for figure in [
            "enqueue_per_s",
            "enqueue_single_per_s",
            "drain_per_s",
            "waiting_s",
        ] {
            assert!(
                store[figure].as_f64().is_some_and(|rate| rate > 0.0),
                "{figure} in {store}"
            );
        }
        for latency in ["enqueue_to_start_ms", "enqueue_to_result_ms"] {
            let idle = &store["idle"][latency];
            assert!(idle["p50"].as_f64() <= idle["p99"].as_f64(), "{idle}");
        }
    }
}
