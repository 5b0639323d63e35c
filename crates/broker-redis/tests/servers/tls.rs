//! A server that is reached by TLS, as a user with the documented rights.

use lovage_broker_redis::{RedisBroker, RedisConfig, Tls};
use lovage_core::broker::Broker;
use lovage_core::error::{BrokerError, chain};
use lovage_tests::conformance;
use lovage_tests::redis::RedisServer;
use lovage_tests::redis::tls::TlsServer;

use crate::support::{connect, fresh};

const DOCUMENTED: &str = include_str!("../../../../docs/redis.md");

fn config(server: &TlsServer, login: &str) -> RedisConfig {
    let _ = rustls::crypto::ring::default_provider().install_default();
    RedisConfig {
        tls: Tls {
            ca: Some(server.certificates.ca()),
            client: None,
        },
        ..RedisConfig::new(format!("rediss://{login}127.0.0.1:{}", server.port()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_with_the_documented_rights_gets_every_promise_over_tls() {
    if !RedisServer::available() {
        return;
    }
    let server = TlsServer::start(false).await;
    server.plain.command(&documented_user()).await.unwrap();
    // Nobody else may do anything.
    let off = ["ACL", "SETUSER", "default", "-@all", "+acl", "+ping"];
    server.plain.command(&off).await.unwrap();
    let config = config(&server, "lovage:PASSWORD@");
    conformance::check_all(|| fresh(config.clone())).await;
    connect(config).await.ping().await.unwrap();
    let log = server.plain.command(&["ACL", "LOG"]).await.unwrap();
    assert_eq!(denied(&log), Vec::<&str>::new());
}

/// The `ACL SETUSER` that the documentation prints, word by word.
fn documented_user() -> Vec<&'static str> {
    let from = DOCUMENTED.find("ACL SETUSER lovage").unwrap();
    let (command, _) = DOCUMENTED[from..].split_once("```").unwrap();
    command.split_whitespace().collect()
}

/// Commands that were refused, but for the driver telling its name, which it may not mind.
fn denied(log: &str) -> Vec<&str> {
    let lines: Vec<&str> = log.lines().collect();
    let objects = lines.windows(2).filter(|pair| pair[0] == "object");
    let objects = objects.map(|pair| pair[1]);
    objects
        .filter(|object| *object != "client|setinfo")
        .collect()
}

#[tokio::test]
async fn a_server_whose_authority_is_unknown_is_not_talked_to() {
    if !RedisServer::available() {
        return;
    }
    let server = TlsServer::start(false).await;
    let trusting = config(&server, ":s3cret@");
    let config = RedisConfig {
        tls: Tls::default(),
        ..trusting
    };
    let refused = RedisBroker::connect(config).await.unwrap_err();
    assert!(
        matches!(refused, BrokerError::Unavailable(_)),
        "{refused:?}"
    );
    let told = format!("{} {refused:?}", chain(&refused));
    assert!(told.contains("certificate"), "{told}");
    assert!(!told.contains("s3cret"), "{told}");
}

#[tokio::test]
async fn a_server_that_asks_who_we_are_is_shown_our_certificate() {
    if !RedisServer::available() {
        return;
    }
    let server = TlsServer::start(true).await;
    let nameless = config(&server, "");
    let refused = RedisBroker::connect(nameless.clone()).await.unwrap_err();
    assert!(
        matches!(refused, BrokerError::Unavailable(_)),
        "{refused:?}"
    );
    let tls = Tls {
        client: Some(server.certificates.client()),
        ..nameless.tls.clone()
    };
    let broker = connect(RedisConfig { tls, ..nameless }).await;
    broker.ping().await.unwrap();
}
