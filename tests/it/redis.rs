//! On Redis: any number of processes are one system, and a Redis that is not
//! fit, or no longer, is told and outlived.

use std::collections::BTreeSet;
use std::time::Duration;

use lovage_client::wire::JobState;
use lovage_tests::llm::Answer;
use lovage_tests::redis::RedisServer;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::audit::{Audit, audit};
use crate::calls::{self, Step, until_asked};
use crate::history::{History, is, until_event};
use crate::process::Program;
use crate::system::System;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_number_of_apis_and_workers_are_one_system() {
    if !RedisServer::available() {
        return;
    }
    let system = System::start(&[], &[]).await;
    system.llm.set_latency(Duration::from_millis(300));
    let other = system
        .program(["api", "--listen", "127.0.0.1:0"])
        .serve()
        .await;
    let workers = [system.worker(1).await, system.worker(1).await];
    let mut jobs = Vec::new();
    for number in 0..6 {
        jobs.push(system.enqueue(number).await);
    }
    assert_eq!(audit(&system, &jobs).await, Audit::default());
    let mut took_part = BTreeSet::new();
    for job in &jobs {
        let job = other.client.job(job.id).await.unwrap();
        assert_eq!(job.state, JobState::Succeeded);
        let history = History::of(&other.client, job.id).await;
        took_part.extend(history.attempts().into_iter().map(|attempt| attempt.worker));
    }
    let all = workers.iter().map(|worker| worker.id.clone());
    assert_eq!(took_part, all.collect());
}

#[tokio::test]
async fn an_absent_redis_is_told_without_its_password() {
    for command in ["api", "worker"] {
        let ended = Program::new([command])
            .env("LOVAGE__API__LISTEN", "127.0.0.1:0")
            .env("REDIS_URL", "redis://:hunter2@127.0.0.1:1")
            .end()
            .await
            .expect(1);
        assert!(
            ended.stderr.contains("cannot be reached"),
            "{}",
            ended.stderr
        );
        assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn an_address_that_is_no_redis_is_told() {
    let ended = Program::new(["worker"])
        .env("REDIS_URL", "redis//nowhere")
        .end()
        .await;
    assert!(matches!(ended.code, Some(1 | 2)), "{ended:?}");
    assert!(ended.stderr.contains("redis://"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_replica_is_refused() {
    if !RedisServer::available() {
        return;
    }
    let master = RedisServer::start().await;
    let port = master.port().to_string();
    let replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &port]).await;
    let ended = Program::new(["worker"])
        .env("REDIS_URL", replica.url())
        .end()
        .await
        .expect(1);
    assert!(
        ended.stderr.contains("connect to its master"),
        "{}",
        ended.stderr
    );
}

#[tokio::test]
async fn a_redis_that_evicts_jobs_is_refused() {
    if !RedisServer::available() {
        return;
    }
    let redis = RedisServer::start_with(&["--maxmemory-policy", "allkeys-lru"]).await;
    let ended = Program::new(["api", "--listen", "127.0.0.1:0"])
        .env("REDIS_URL", redis.url())
        .end()
        .await
        .expect(1);
    assert!(
        ended.stderr.contains("maxmemory-policy noeviction"),
        "{}",
        ended.stderr
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_redis_refuses_new_jobs_and_loses_none() {
    outlives(
        &["CONFIG", "SET", "maxmemory", "1"],
        &["CONFIG", "SET", "maxmemory", "0"],
        "store_full",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_turns_read_only_refuses_new_jobs_and_loses_none() {
    outlives(
        &["REPLICAOF", "127.0.0.1", "1"],
        &["REPLICAOF", "NO", "ONE"],
        "store_read_only",
    )
    .await;
}

/// While the model writes for one job and another waits, Redis takes no writes;
/// what the model said meanwhile is not paid for twice.
async fn outlives(trouble: &[&str], relief: &[&str], code: &str) {
    if !RedisServer::available() {
        return;
    }
    let system = System::start(&[], &[]).await;
    system.llm.set_latency(Duration::from_secs(1));
    let mut answered = calls::listen(&system.llm, Answer::by_default);
    let mut worker = system.worker(1).await;
    let jobs = [system.enqueue(0).await, system.enqueue(1).await];
    let client = system.client();
    until_event(client, jobs[0].id, |event| {
        is(event, "step_started", "write")
    })
    .await;
    // Two plans and a script: what is not under way waits for a store that can note it.
    until_asked(&system.llm, 3).await;

    system.redis.command(trouble).await.unwrap();
    let body = json!({"kind": "script.generate", "input": {"topic": "too late"}});
    let refused = system.api.post("/v1/jobs", &body).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key("retry-after"));
    let problem: Value = refused.json().await.unwrap();
    assert_eq!(problem["code"], code, "{problem}");
    while answered.recv().await.unwrap() != Step::Write {}
    system.llm.until_idle().await;
    system.redis.command(relief).await.unwrap();

    assert_eq!(audit(&system, &jobs).await, Audit::default());
    assert!(worker.running.is_alive(), "{}", worker.running.stderr());
}
