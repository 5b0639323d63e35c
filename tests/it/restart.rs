//! The store restarts under load; nobody restarts the workers.

use std::time::Duration;

use futures_util::future::join_all;
use lovage_client::wire::EventView;
use lovage_tests::redis::RedisServer;
use tokio::time::{Instant, sleep};

use crate::audit::{Audit, audit};
use crate::history::{is, until_event};
use crate::system::{System, enqueue};

/// Restarts of one run.
const RESTARTS: usize = 3;
/// Jobs enqueued before each restart, and as many during it.
const JOBS: usize = 4;

/// How the server ends.
#[derive(Clone, Copy)]
enum End {
    /// As by a crash.
    Killed,
    /// As by its service manager.
    Asked,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_redis_with_aof_always_loses_nothing_and_workers_come_back_by_themselves() {
    run("always", End::Killed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_redis_with_aof_everysec_loses_nothing_and_workers_come_back_by_themselves() {
    run("everysec", End::Asked).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_longer_than_the_lease_does_not_run_the_running_jobs_twice() {
    if !RedisServer::available() {
        return;
    }
    let aof = ["--appendonly", "yes", "--appendfsync", "always"];
    let lease = Duration::from_secs(3);
    let mut system = System::start(&aof, &[("LOVAGE__STORE__LEASE_S", "3")]).await;
    system.llm.set_latency(Duration::from_millis(500));
    let _workers = [system.worker(2).await, system.worker(2).await];
    let mut jobs = Vec::new();
    for number in 0..4 {
        jobs.push(system.enqueue(number).await);
    }
    let wanted = |event: &EventView| is(event, "step_started", "plan");
    join_all(
        jobs.iter()
            .map(|job| until_event(system.client(), job.id, wanted)),
    )
    .await;
    system.redis.kill().await;
    // The outage itself is what is tested.
    sleep(lease + Duration::from_secs(2)).await;
    system.redis.restart().await;
    assert_eq!(audit(&system, &jobs).await, Audit::default());
}

async fn run(fsync: &str, end: End) {
    if !RedisServer::available() {
        return;
    }
    let aof = ["--appendonly", "yes", "--appendfsync", fsync];
    let mut system = System::start(&aof, &[]).await;
    system.llm.set_latency(Duration::from_millis(300));
    let mut workers = [system.worker(3).await, system.worker(3).await];
    let mut jobs = Vec::new();
    let begin = Instant::now();
    for round in 0..RESTARTS {
        for _ in 0..JOBS {
            jobs.push(system.enqueue(jobs.len()).await);
        }
        // Into the middle of the work, at another point each time.
        sleep(Duration::from_millis(150 * (round as u64 + 1))).await;
        let client = system.client().clone();
        let first = jobs.len();
        let callers = (first..first + JOBS).map(|number| enqueue(&client, number));
        let callers = join_all(callers);
        let ((), more) = tokio::join!(restart(&mut system.redis, end), callers);
        jobs.extend(more);
    }
    let audit = audit(&system, &jobs).await;
    println!(
        "{fsync}: {RESTARTS} restarts, {} jobs, {audit:?}, in {:?}",
        jobs.len(),
        begin.elapsed()
    );
    assert!(audit.calls_repeated <= RESTARTS, "{audit:?}");
    for worker in &mut workers {
        assert!(worker.running.is_alive(), "{}", worker.running.stderr());
    }
    assert!(
        system.api.running.is_alive(),
        "{}",
        system.api.running.stderr()
    );
}

async fn restart(redis: &mut RedisServer, end: End) {
    if let End::Asked = end {
        // Answers by closing the connection.
        let _ = redis.command(&["SHUTDOWN"]).await;
    }
    redis.restart().await;
}
