//! The embedded store: shared by two processes, or not fit.

use std::path::Path;

use futures_util::future::join_all;
use lovage_client::ListQuery;
use lovage_client::wire::JobState;
use lovage_tests::llm::StandIn;
use nix::sys::signal::Signal;
use rusqlite::Connection;

use crate::audit::JOB_MAX;
use crate::calls::{self, Calls};
use crate::process::{Ended, Program};
use crate::system::enqueue;

fn up(data: &Path) -> Program {
    let data = data.to_str().unwrap();
    Program::new(["up", "--listen", "127.0.0.1:0", "--data", data])
}

async fn refused(data: &Path) -> Ended {
    let ended = up(data).end().await.expect(1);
    assert!(
        ended.stderr.contains(data.to_str().unwrap()),
        "{}",
        ended.stderr
    );
    ended
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_on_one_store_run_every_job_once() {
    let data = tempfile::tempdir().unwrap();
    let llm = StandIn::start().await;
    let start = || {
        up(data.path())
            .env("LOVAGE__LLM__BASE_URL", llm.url())
            // Its calls are told apart by step; images have their own tests.
            .env("LOVAGE__LLM__VISION_MODEL", "off")
            .serve()
    };
    let (one, other) = tokio::join!(start(), start());
    let numbers = 0..8;
    let clients = [&one.client, &other.client];
    let jobs = join_all(numbers.map(|number| enqueue(clients[number % 2], number))).await;
    for job in &jobs {
        // Each sees what the other took in.
        for client in clients {
            let job = client.wait(job.id, JOB_MAX).await.unwrap();
            assert_eq!(
                (job.state, job.attempt),
                (JobState::Succeeded, 1),
                "{job:?}"
            );
        }
    }
    let calls = calls::by_topic(&llm);
    assert_eq!(calls.len(), jobs.len());
    assert!(
        calls
            .values()
            .all(|calls| *calls == Calls { plan: 1, write: 1 }),
        "{calls:?}"
    );
}

#[tokio::test]
async fn a_store_of_a_newer_program_is_refused_and_left_as_it_was() {
    let data = tempfile::tempdir().unwrap();
    let server = up(data.path()).serve().await;
    let job = enqueue(&server.client, 1).await;
    server.running.signal(Signal::SIGTERM);
    server.running.end().await.expect(0);
    let file = data.path().join("lovage.db");
    let known = set_version(&file, 1_000);
    let ended = refused(data.path()).await;
    assert!(ended.stderr.contains("schema 1000"), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("use a newer lovage"),
        "{}",
        ended.stderr
    );

    assert_eq!(set_version(&file, known), 1_000, "it was left alone");
    let server = up(data.path()).serve().await;
    let job = server.client.wait(job.id, JOB_MAX).await.unwrap();
    assert_eq!(job.state, JobState::Succeeded, "{job:?}");
}

/// Sets the file's schema version; gives what it was.
fn set_version(file: &Path, version: u32) -> u32 {
    let store = Connection::open(file).unwrap();
    let was = store.pragma_query_value(None, "user_version", |row| row.get(0));
    store.pragma_update(None, "user_version", version).unwrap();
    was.unwrap()
}

#[tokio::test]
async fn a_file_that_is_no_store_is_refused_and_left_as_it_was() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("lovage.db");
    let text = "a letter, not a database\n".repeat(400);
    std::fs::write(&file, &text).unwrap();
    let ended = refused(data.path()).await;
    assert!(ended.stderr.contains("not a database"), "{}", ended.stderr);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
}

#[tokio::test]
async fn the_database_of_another_program_is_refused_and_left_as_it_was() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("lovage.db");
    let foreign = Connection::open(&file).unwrap();
    foreign
        .execute_batch("CREATE TABLE bookmarks (url TEXT)")
        .unwrap();
    drop(foreign);
    let before = std::fs::read(&file).unwrap();
    let ended = refused(data.path()).await;
    assert!(ended.stderr.contains("another program"), "{}", ended.stderr);
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_made_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    refused(&file.join("data")).await;
}

#[tokio::test]
async fn a_killed_server_comes_back_with_its_jobs() {
    let data = tempfile::tempdir().unwrap();
    let server = up(data.path())
        .env("LOVAGE__STORE__LEASE_S", "3")
        .serve()
        .await;
    let mut ids = Vec::new();
    for number in 0..4 {
        ids.push(enqueue(&server.client, number).await.id);
    }
    server.running.kill().await;
    let server = up(data.path())
        .env("LOVAGE__STORE__LEASE_S", "3")
        .serve()
        .await;
    for id in &ids {
        let job = server.client.wait(*id, JOB_MAX).await.unwrap();
        assert_eq!(job.state, JobState::Succeeded, "{job:?}");
    }
    let listed = server.client.list(&ListQuery::default()).await.unwrap();
    assert_eq!(listed.jobs.len(), ids.len());
}
