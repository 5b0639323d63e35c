//! Real Celery producers, of several versions, against the bridge.
//!
//! `LOVAGE_TEST_CELERY` is a folder with one virtual environment per version
//! (`tests/run` makes it); without it these tests are left out.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use lovage_tests::redis::RedisServer;
use tokio::process::{Child, Command};

/// Folder of the virtual environments.
const SWITCH: &str = "LOVAGE_TEST_CELERY";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// The worker of the suite, which `cargo test` builds beside these tests.
fn worker() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let target = tests.ancestors().nth(2).unwrap();
    target.join("examples/celery_tasks")
}

fn producer(version: &str) -> Option<PathBuf> {
    let python = Path::new(&std::env::var_os(SWITCH)?)
        .join(version)
        .join("bin/python");
    python.exists().then_some(python)
}

/// One system: a server for Celery and, in another database, for the jobs.
struct Bridged {
    redis: RedisServer,
    _worker: Child,
    knobs: Vec<(&'static str, String)>,
}

impl Bridged {
    async fn start(knobs: &[(&'static str, &str)]) -> Self {
        let redis = RedisServer::start().await;
        let url = redis.url();
        let mut all = vec![
            ("REDIS_URL", format!("{url}/0")),
            ("VISIBILITY_TIMEOUT", "60".to_owned()),
            ("RESTORE_WAIT", "15".to_owned()),
        ];
        all.extend(
            knobs
                .iter()
                .map(|&(name, value)| (name, value.replace("{url}", &url))),
        );
        let worker = Command::new(worker())
            .envs(all.iter().cloned())
            .env("STORE_URL", format!("{url}/9"))
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self {
            redis,
            _worker: worker,
            knobs: all,
        }
    }

    /// Runs the suite with the producers of `python`.
    async fn suite(&self, python: &Path, args: &[&str]) {
        let output = Command::new(python)
            .args([
                "-m",
                "pytest",
                "-q",
                "--timeout=120",
                "-p",
                "no:cacheprovider",
                "-rs",
            ])
            .arg("test_celery_compat.py")
            .args(args)
            .current_dir(root().join("celery"))
            .envs(self.knobs.iter().cloned())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap();
        println!("{}", String::from_utf8_lossy(&output.stdout));
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let _ = &self.redis;
    }
}

async fn passes(version: &str, knobs: &[(&'static str, &str)]) {
    let Some(python) = producer(version) else {
        eprintln!("Celery {version}: left out, {SWITCH} has no such environment");
        return;
    };
    if RedisServer::available() {
        Bridged::start(knobs).await.suite(&python, &[]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn producers_of_celery_5_7_keep_their_code() {
    passes("5.7", &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn producers_of_celery_5_4_keep_their_code() {
    passes("5.4", &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn producers_of_celery_5_2_keep_their_code() {
    passes("5.2", &[]).await;
}

/// Broker and results apart, prefixes, other priorities, more in results.
const OTHER_OPTIONS: [(&str, &str); 8] = [
    ("RESULT_URL", "{url}/1"),
    ("KEY_PREFIX", "shop_"),
    ("RESULT_PREFIX", "myapp_"),
    ("PRIORITY_SEP", ":"),
    ("PRIORITY_STEPS", "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]"),
    ("RESULT_EXTENDED", "1"),
    ("TRACK_STARTED", "1"),
    ("RESULT_EXPIRES", "7200"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_options_of_a_fleet_are_honoured() {
    passes("5.7", &OTHER_OPTIONS).await;
}
