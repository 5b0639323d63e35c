//! The commands that talk to a server, and the help of all.

use std::path::Path;

use lovage_tests::llm::{Answer, StandIn};
use lovage_tests::redis::RedisServer;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::process::{Ended, Program, Server};

const TOPIC: &str = r#"{"topic": "Lumen Bay tidal battery"}"#;
const COMMANDS: &[&str] = &[
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
    "signal",
    "queue",
    "queue ls",
    "queue pause",
    "queue resume",
    "queue limit",
    "limit",
    "limit ls",
    "limit set",
    "dead",
    "dead ls",
    "dead redrive",
    "sources",
    "sources check",
    "cache",
    "cache stats",
    "celery",
    "celery check",
    "bench",
    "chaos",
    "config",
    "config show",
    "completions",
    "kinds",
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
    let args = ["result", &id, "--format", "graph", "--for", "cytoscape"];
    let graph = shell.run(&args).await.expect(0);
    assert!(json(&graph)["elements"]["nodes"].is_array());
    let refused = shell.run(&["result", &id, "--lines"]).await.expect(2);
    let said = "expected with format graph or all only, got it with format json";
    assert!(refused.stderr.contains(said), "{}", refused.stderr);

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
async fn a_job_is_given_a_signal_once() {
    let shell = Shell::start().await;
    let id = shell.enqueue(&["--delay", "3600"]).await;
    let given = shell
        .run(&["signal", &id, "approval", r#"{"ok": true}"#])
        .await;
    assert!(given.expect(0).stdout.contains("scheduled"));
    let other = shell
        .run(&["signal", &id, "approval", "false"])
        .await
        .expect(1);
    assert!(other.stderr.contains("the first one stays"), "{other:#?}");
    let again = ["signal", &id, "approval", "@value.json", "-o", "json"];
    let again = shell.program(&again).file("value.json", r#"{"ok": true}"#);
    assert_eq!(json(&again.end().await.expect(0))["id"], id.as_str());
    let bare = shell.run(&["signal", &id, "nudge"]).await;
    bare.expect(0);
    let wrong = shell.run(&["signal", &id, "approval", "{"]).await.expect(2);
    assert!(wrong.stderr.contains("the value is not JSON"), "{wrong:#?}");

    shell.run(&["cancel", &id]).await.expect(0);
    let watched = shell.run(&["watch", &id, "-o", "json"]).await.expect(3);
    let said = watched.stdout.matches("\"signalled\"").count();
    assert_eq!(said, 2, "{}", watched.stdout);
    let late = shell.run(&["signal", &id, "late"]).await.expect(1);
    assert!(late.stderr.contains("over already"), "{late:#?}");
}

#[tokio::test]
async fn a_queue_is_limited_paused_and_resumed() {
    let shell = Shell::start().await;
    let args =
        "queue limit default --concurrency 3 --rate 600/m --burst 5 --weight night=3 -o json";
    let args: Vec<_> = args.split(' ').collect();
    let limited = json(&shell.run(&args).await.expect(0));
    let limits = serde_json::json!({
        "length": null, "concurrency": 3, "rate": {"jobs": 600, "per_s": 60, "burst": 5}, "weights": {"night": 3},
    });
    assert_eq!(limited["limits"], limits);
    let shown = shell.run(&["queue", "ls"]).await.expect(0);
    let text = "3 at once; 600 in 60 s, burst 5; night=3";
    assert!(shown.stdout.contains(text), "{}", shown.stdout);

    let paused = shell.run(&["queue", "pause", "default"]).await.expect(0);
    assert!(
        paused.stdout.contains("paused; 3 at once"),
        "{}",
        paused.stdout
    );
    let id = shell.enqueue(&[]).await;
    shell.run(&["wait", &id, "--timeout", "2"]).await.expect(4);
    shell.run(&["queue", "resume", "default"]).await.expect(0);
    shell.run(&["wait", &id]).await.expect(0);

    shell
        .run(&["queue", "limit", "default", "--none"])
        .await
        .expect(0);
    let listed = json(&shell.run(&["queue", "ls", "-o", "json"]).await.expect(0));
    let none =
        serde_json::json!({"length": null, "concurrency": null, "rate": null, "weights": {}});
    assert_eq!(
        (&listed[0]["limits"], &listed[0]["paused"]),
        (&none, &Value::Bool(false))
    );
    for (args, part) in [
        ("queue limit default", "--concurrency"),
        ("queue limit default --burst 2 --concurrency 1", "--rate"),
        ("queue limit default --rate fast", "10/s"),
        (
            "queue limit default --none --rate 1/s",
            "cannot be used with",
        ),
        (
            "queue limit default --concurrency 0",
            "/concurrency: expected 1 to",
        ),
        ("queue pause A", "queue must be"),
    ] {
        let ended = shell
            .run(&args.split(' ').collect::<Vec<_>>())
            .await
            .expect(2);
        assert!(ended.stderr.contains(part), "{args}: {ended:#?}");
    }
}

#[tokio::test]
async fn jobs_that_failed_are_listed_and_run_again() {
    let llm = StandIn::start().await;
    llm.respond_with(|_| Answer::silence());
    let up = Program::new(["up", "--listen", "127.0.0.1:0"]);
    let shell = Shell(up.env("OPENAI_BASE_URL", llm.url()).serve().await);
    let mut failed = Vec::new();
    for _ in 0..3 {
        let id = shell.enqueue(&["--timeout", "1", "--attempts", "1"]).await;
        shell.run(&["wait", &id]).await.expect(3);
        failed.push(id);
    }
    let listed = json(&shell.run(&["dead", "ls", "-o", "json"]).await.expect(0));
    let ids: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|job| &job["id"])
        .collect();
    assert_eq!(ids, [&failed[2], &failed[1], &failed[0]], "newest first");
    assert_eq!(listed[0]["error"]["code"], "timeout");
    let other = ["dead", "ls", "--kind", "other.kind", "-o", "json"];
    assert_eq!(
        json(&shell.run(&other).await.expect(0)),
        serde_json::json!([])
    );

    // So that they stay as they are when they are run again.
    shell.run(&["queue", "pause", "default"]).await.expect(0);
    let one = shell.run(&["dead", "redrive", &failed[1]]).await.expect(0);
    assert_eq!(one.stdout.trim(), failed[1]);
    let two = shell
        .run(&["dead", "redrive", &failed[1], &failed[0], "-o", "json"])
        .await;
    let two = two.expect(1);
    assert!(
        two.stderr.contains("1 of 2 jobs were not run again"),
        "{two:#?}"
    );
    assert_eq!(json(&two)["id"], failed[0].as_str());
    let all = shell
        .run(&["dead", "redrive", "--all", "--queue", "default"])
        .await;
    assert_eq!(all.expect(0).stdout.trim(), failed[2]);
    let queued = shell
        .run(&["list", "--state", "queued", "-o", "json"])
        .await
        .expect(0);
    assert_eq!(json(&queued).as_array().unwrap().len(), 3);
    assert_eq!(
        shell
            .run(&["dead", "redrive", "--all"])
            .await
            .expect(0)
            .stdout,
        ""
    );
    shell.run(&["dead", "redrive"]).await.expect(2);
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
    for command in std::iter::once("").chain(COMMANDS.iter().copied()) {
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

/// What one section of a bench gave, by name; every figure must be one.
async fn bench(section: &str, more: &[&str]) -> Vec<Value> {
    let args = ["bench", "--only", section, "--jobs", "200", "-o", "json"];
    let bench = Program::new(args.iter().chain(more)).env("PATH", std::env::var("PATH").unwrap());
    let ended = bench.end().await.expect(0);
    let mut report: Value = serde_json::from_str(&ended.stdout).unwrap();
    let Value::Array(figures) = report["figures"].take() else {
        panic!("no figures: {}", ended.stdout);
    };
    for figure in &figures {
        assert_eq!(figure["section"], section, "{figure}");
        assert!(figure["value"].as_f64().is_some(), "{figure}");
    }
    figures
}

fn figure<'a>(figures: &'a [Value], name: &str) -> &'a Value {
    let named = |figure: &&Value| figure["name"].as_str().unwrap().starts_with(name);
    let found = figures.iter().find(named);
    found.unwrap_or_else(|| panic!("no {name} in {figures:?}"))
}

#[tokio::test]
async fn bench_drains_through_worker_processes_beside_the_floor() {
    if !RedisServer::available() {
        return;
    }
    let figures = bench("drain", &[]).await;
    for workers in [
        "1 worker process, 256",
        "1 worker process, 32",
        "2 worker processes",
    ] {
        let drain = figure(&figures, &format!("redis drain, {workers}"));
        let number = |field: &Value| field.as_f64().filter(|value| *value > 0.0);
        assert!(number(&drain["value"]).is_some(), "{drain}");
        assert!(number(&drain["floor"]["value"]).is_some(), "{drain}");
        let least = drain["target"]["at_least"].as_f64();
        let met = drain["ratio"].as_f64() >= least;
        assert!(least.is_some() && drain["met"] == met, "{drain}");
    }
    let sqlite = figure(&figures, "sqlite drain");
    assert!(sqlite["floor"].is_null(), "{sqlite}");
}

#[tokio::test]
async fn bench_forgets_all_that_was_due_at_once() {
    if !RedisServer::available() {
        return;
    }
    let figures = bench("due", &["--backlog", "600"]).await;
    for store in ["sqlite", "redis"] {
        let forgotten = figure(&figures, &format!("{store}, 600 finished jobs forgotten"));
        assert!(forgotten["value"].as_f64() > Some(0.0), "{forgotten}");
    }
}

#[tokio::test]
async fn bench_writes_its_figures_between_the_marks_of_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("page.md");
    let marks = ["<!-- figures: begin -->", "<!-- figures: end -->"];
    std::fs::write(
        &path,
        format!("# Mine\n{}\nold\n{}\nkept\n", marks[0], marks[1]),
    )
    .unwrap();
    let args = [
        "bench",
        "--only",
        "model",
        "--markdown",
        path.to_str().unwrap(),
    ];
    Program::new(args).end().await.expect(0);
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(marks[0]).unwrap();
    let (figures, after) = rest.split_once(marks[1]).unwrap();
    assert_eq!((before, after), ("# Mine\n", "\nkept\n"));
    assert!(
        figures.contains("sqlite, 200 jobs that each wait") && !figures.contains("old"),
        "{page}"
    );
    std::fs::write(&path, "no marks").unwrap();
    Program::new(args).end().await.expect(2);
}
