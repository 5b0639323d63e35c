//! Valkey in place of Redis.

use lovage_broker_redis::RedisConfig;
use lovage_core::broker::Broker;
use lovage_tests::conformance;
use lovage_tests::redis::RedisServer;
use lovage_tests::sim::{self, Connection};

use crate::support::{connect, fresh};

/// The path of a `valkey-server`; `tests/run` gets one and sets it.
const PROGRAM: &str = "LOVAGE_TEST_VALKEY";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn valkey_keeps_every_promise() {
    let Ok(program) = std::env::var(PROGRAM) else {
        eprintln!("left out: {PROGRAM} names no valkey-server");
        return;
    };
    let server = RedisServer::start_program(&program, &[]).await;
    let info = server.command(&["INFO", "server"]).await.unwrap();
    assert!(info.contains("valkey_version:"), "{info}");
    let config = RedisConfig::new(server.url());
    conformance::check_all(|| fresh(config.clone())).await;
    sim::simulate(Some(fresh(config.clone()).await), Connection::Good).await;
    connect(config).await.ping().await.unwrap();
}
