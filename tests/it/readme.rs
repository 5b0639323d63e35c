//! The README's lines do what it says, run as printed but for the port.

use std::process::Output;

use tokio::process::Command;

use crate::process::{Program, binary};

const README: &str = include_str!("../../README.md");

/// The first shell block after a heading.
fn block(heading: &str) -> &'static str {
    let (_, after) = README
        .split_once(heading)
        .expect("the README has this heading");
    let (_, block) = after.split_once("```sh\n").expect("a shell block follows");
    block.split_once("```").expect("the block ends").0
}

async fn shell(script: &str) -> Output {
    let ended = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .output()
        .await;
    ended.expect("bash is installed")
}

#[tokio::test]
async fn the_curl_lines_enqueue_poll_wait_follow_and_fetch() {
    // The block after `up` itself, which this test starts on a free port.
    let lines = block("serves API, worker and store");
    assert_eq!(lines.matches("curl ").count(), 5);
    let server = Program::new(["up", "--listen", "127.0.0.1:0"])
        .serve()
        .await;
    let address = server.url.trim_start_matches("http://");
    let ended = shell(&lines.replace("localhost:8080", address)).await;
    let (out, err) = (
        String::from_utf8_lossy(&ended.stdout),
        String::from_utf8_lossy(&ended.stderr),
    );
    assert!(ended.status.success(), "{err}\n{out}");
    for expected in [
        "etag: \"",
        "\"state\":\"succeeded\"",
        "event: step_finished",
        "event: succeeded",
        "\n# 한빛시 자율주행 심야버스\n",
    ] {
        assert!(out.contains(expected), "no {expected:?} in {out}");
    }
}

#[tokio::test]
async fn every_command_the_readme_names_exists() {
    let help = Command::new(binary())
        .arg("--help")
        .output()
        .await
        .expect("the program starts");
    let help = String::from_utf8_lossy(&help.stdout);
    let code = README.split("```").skip(1).step_by(2).flat_map(str::lines);
    let named = code
        .flat_map(|line| line.split("lovage ").skip(1))
        .filter_map(|rest| rest.split_whitespace().next());
    let mut seen = 0;
    for command in named.filter(|word| word.chars().all(|c| c.is_ascii_lowercase())) {
        assert!(
            help.contains(&format!("  {command} ")),
            "the README names `lovage {command}`: {help}"
        );
        seen += 1;
    }
    assert!(seen >= 10, "the README names {seen} commands");
}
