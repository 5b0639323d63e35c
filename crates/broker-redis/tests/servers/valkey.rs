//! Valkey in place of Redis.

use lovage_broker_redis::RedisConfig;
use lovage_core::broker::Broker;
use lovage_tests::conformance;
use lovage_tests::redis::RedisServer;
use lovage_tests::sim::{self, Connection};

use crate::support::{connect, fresh, valkey};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn valkey_keeps_every_promise() {
    let Some(program) = valkey() else { return };
    let server = RedisServer::start_program(&program, &[]).await;
    let info = server.command(&["INFO", "server"]).await.unwrap();
    assert!(info.contains("valkey_version:"), "{info}");
    let config = RedisConfig::new(server.url());
    conformance::check_all(|| fresh(config.clone())).await;
    for history in sim::histories().into_iter().take(1) {
        let store = fresh(config.clone()).await;
        history.play(Some(store), Connection::Good).await;
    }
    connect(config).await.ping().await.unwrap();
}
