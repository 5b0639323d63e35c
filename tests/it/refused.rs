//! What a person gets wrong at the shell: told clearly, on stderr, with the right code.

use std::ffi::OsStr;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;

use crate::process::{Ended, Program};

/// Bytes that are no UTF-8.
const NOT_UTF8: &[u8] = b"caf\xe9";

/// The command ended as a usage error that says `parts`, and printed nothing.
#[track_caller]
fn is_usage(ended: Ended, parts: &[&str]) {
    let ended = ended.expect(2);
    for part in parts {
        assert!(
            ended.stderr.contains(part),
            "no {part:?} in:\n{}",
            ended.stderr
        );
    }
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    assert_eq!(ended.stdout, "");
}

#[tokio::test]
async fn a_taken_port_is_told_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for command in ["up", "api"] {
        let ended = Program::new([command, "--listen", &address.to_string()])
            .end()
            .await
            .expect(1);
        let port = format!("port {} is taken", address.port());
        assert!(
            ended.stderr.contains(&port) && ended.stderr.contains("--listen"),
            "{}",
            ended.stderr
        );
    }
}

#[tokio::test]
async fn a_misspelt_setting_is_refused_with_its_place_and_the_right_name() {
    let file = Program::new(["up"]).file("lovage.toml", "[worker]\nconcurency = 4\n");
    let parts = [
        "worker.concurency is not a setting",
        "worker.concurrency?",
        "lovage.toml line 2",
    ];
    is_usage(file.end().await, &parts);

    let variable = Program::new(["worker"]).env("LOVAGE__WORKER__CONCURENCY", "4");
    let parts = ["worker.concurrency?", "LOVAGE__WORKER__CONCURENCY"];
    is_usage(variable.end().await, &parts);
}

#[tokio::test]
async fn a_value_out_of_bounds_is_refused_with_what_was_expected() {
    for (variable, value) in [
        ("LOVAGE__WORKER__CONCURRENCY", "0"),
        ("LOVAGE__WORKER__CONCURRENCY", "many"),
        ("LOVAGE__STORE__LEASE_S", "1"),
        ("LOVAGE__API__LISTEN", "nowhere"),
        ("LOVAGE__LLM__BASE_URL", "ftp://models"),
        ("LOVAGE__RESEARCH__SOURCE", "web"),
        ("PORT", "99999"),
        ("REDIS_URL", "localhost"),
    ] {
        let ended = Program::new(["up"]).env(variable, value).end().await;
        is_usage(ended, &["must be", variable]);
    }
}

#[tokio::test]
async fn a_settings_file_that_is_missing_or_broken_is_told_without_its_secrets() {
    let missing = Program::new(["up", "--config", "missing.toml"]);
    is_usage(missing.end().await, &["missing.toml", "No such file"]);
    let broken = Program::new(["up", "--config", "it.toml"]);
    let broken = broken.file("it.toml", "[llm]\napi_key = \"sk-secret\" oops\n");
    let ended = broken.end().await;
    assert!(!ended.stderr.contains("sk-secret"), "{}", ended.stderr);
    is_usage(ended, &["it.toml", "line 2"]);
}

#[tokio::test]
async fn listening_to_everybody_without_keys_is_refused() {
    let ended = Program::new(["up", "--listen", "0.0.0.0:0"]).end().await;
    is_usage(ended, &["0.0.0.0", "api.insecure"]);
}

#[tokio::test]
async fn an_argument_that_is_not_utf8_is_refused() {
    let topic = OsStr::from_bytes(NOT_UTF8);
    let ended = Program::new([OsStr::new("generate"), topic]).end().await;
    is_usage(ended, &["UTF-8"]);
}

#[tokio::test]
async fn a_folder_whose_name_is_not_utf8_is_used_or_refused_but_no_other_is_made() {
    let name = OsStr::from_bytes(NOT_UTF8);
    for by_flag in [true, false] {
        let parent = tempfile::tempdir().unwrap();
        let data = parent.path().join(name);
        let topic = ["generate", "Lumen Bay tidal battery"].map(OsStr::new);
        let ended = if by_flag {
            let flag = [OsStr::new("--data"), data.as_os_str()];
            Program::new(topic.into_iter().chain(flag)).end().await
        } else {
            Program::new(topic)
                .env("LOVAGE__STORE__DATA", &data)
                .end()
                .await
        };
        let made = std::fs::read_dir(parent.path()).unwrap();
        let made: Vec<_> = made.map(|entry| entry.unwrap().file_name()).collect();
        match ended.code {
            Some(0) => assert_eq!(made, [name]),
            _ => {
                is_usage(ended, &["UTF-8"]);
                assert_eq!(made, [""; 0]);
            }
        }
    }
}

#[tokio::test]
async fn output_that_nobody_reads_is_no_panic() {
    for args in [
        &["config", "show"][..],
        &["config", "check"],
        &["completions", "bash"],
        &["generate", "Lumen Bay tidal battery"],
    ] {
        let ended = Program::new(args).unread().end().await;
        assert!(
            !ended.stderr.contains("panicked"),
            "{args:?}: {}",
            ended.stderr
        );
        assert_ne!(ended.code, Some(101), "{args:?}");
    }
}

#[tokio::test]
async fn a_foreign_variable_that_is_not_utf8_does_no_harm() {
    let check = Program::new(["config", "check"]);
    check
        .env("PRETTY_NAME", OsStr::from_bytes(NOT_UTF8))
        .end()
        .await
        .expect(0);
}

#[tokio::test]
async fn an_unknown_command_or_flag_is_a_usage_error() {
    is_usage(Program::new(["generat", "x"]).end().await, &["generate"]);
    is_usage(
        Program::new(["worker", "--concurency", "3"]).end().await,
        &["--concurrency"],
    );
    is_usage(
        Program::new(["generate", "x", "-o", "pdf"]).end().await,
        &["markdown"],
    );
    is_usage(Program::new([""; 0]).end().await, &["Usage"]);
}

#[tokio::test]
async fn an_absent_server_is_told() {
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    let ended = Program::new(["status", id, "--server", "http://127.0.0.1:1"])
        .end()
        .await
        .expect(1);
    assert!(
        ended.stderr.contains("cannot be reached"),
        "{}",
        ended.stderr
    );
    is_usage(
        Program::new(["status", id, "--server", "nowhere"])
            .end()
            .await,
        &["http://"],
    );
    is_usage(Program::new(["status", "7"]).end().await, &["7"]);
}

#[tokio::test]
async fn secrets_are_masked_in_the_settings_shown() {
    let ended = Program::new(["config", "show"])
        .env("OPENAI_API_KEY", "sk-secret")
        .env("REDIS_URL", "redis://:hunter2@cache:6379")
        .end()
        .await
        .expect(0);
    assert!(ended.stdout.contains("OPENAI_API_KEY"), "{}", ended.stdout);
    for secret in ["sk-secret", "hunter2"] {
        assert!(!ended.stdout.contains(secret), "{}", ended.stdout);
    }
}
