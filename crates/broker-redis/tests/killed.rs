//! Every verb that writes, with each command it sends to the server lost, or
//! its reply, and sent again: the store ends up as if nothing had happened.

#![allow(
    clippy::unwrap_used,
    reason = "in a test, an error of the store is a failure"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use lovage_broker_redis::{RedisBroker, RedisConfig};
use lovage_core::limits;
use lovage_tests::clock::ManualClock;
use lovage_tests::killed::{CACHE_BYTES, CACHE_CASES, CASES, Caller, Case, Play};
use lovage_tests::proxy::{Lost, RedisProxy};
use lovage_tests::redis::RedisServer;

/// Scripts that no verb's caller sends.
const NOT_SENT_BY_CALLERS: [(&str, &str); 3] = [
    (
        "TOKEN",
        "puts back a wake token: workers look again by themselves within a second",
    ),
    (
        "NEWER",
        "parks what a newer program wrote, which no verb of this one does",
    ),
    (
        "RECOUNT",
        "numbers a job that an older program tried, which no verb of this one does",
    ),
];

/// Commands that change nothing.
const READS: [&str; 14] = [
    "EXISTS",
    "GET",
    "GETRANGE",
    "HGET",
    "HGETALL",
    "HMGET",
    "HSCAN",
    "LRANGE",
    "SMEMBERS",
    "TIME",
    "XRANGE",
    "ZRANGE",
    "ZRANGEBYSCORE",
    "ZSCORE",
];

/// A server, the proxy before it, and room for many stores.
struct Bench {
    _server: RedisServer,
    proxy: RedisProxy,
    stores: usize,
}

impl Bench {
    async fn start() -> Self {
        let server = RedisServer::start().await;
        Self {
            proxy: RedisProxy::start(server.port()).await,
            _server: server,
            stores: 0,
        }
    }

    /// Plays a case on a store of its own, losing what is said of its verb's commands.
    ///
    /// Gives the commands of the verb, or nothing when it has no such command.
    async fn play(
        &mut self,
        case: &'static Case,
        loss: Option<(usize, Lost)>,
    ) -> Option<Vec<(String, String)>> {
        self.stores += 1;
        let clock = ManualClock::default();
        let config = RedisConfig {
            prefix: format!("store-{}", self.stores),
            lease: limits::LEASE,
            clock: Some(Arc::new(clock.clone())),
            restart_grace: false,
            cache_bytes_max: CACHE_BYTES,
            ..RedisConfig::new(self.proxy.url())
        };
        let store = RedisBroker::connect(config).await.unwrap();
        let play = Play::begin(case, Caller::of(store), clock).await;
        self.proxy.take_commands();
        if let Some((pass, lost)) = loss {
            self.proxy.lose_after(pass, lost);
        }
        play.verb().await;
        if !self.proxy.has_lost() {
            return None;
        }
        let commands = self.proxy.take_commands();
        play.end(matches!(loss, Some((_, Lost::Reply)))).await;
        Some(commands)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_command_or_reply_changes_nothing_once_the_call_is_sent_again() {
    if !RedisServer::available() {
        return;
    }
    let mut bench = Bench::start().await;
    let (mut left, reading) = scripts();
    let mut killed = BTreeSet::new();
    for case in CASES.iter().chain(CACHE_CASES) {
        // The first time, the server may have to be given scripts.
        bench.play(case, None).await.unwrap();
        let commands = bench.play(case, None).await.unwrap();
        assert!(!commands.is_empty(), "{}: sends nothing", case.name);
        println!("{}: {} commands", case.name, commands.len());
        for (pass, (command, argument)) in commands.iter().enumerate() {
            // Of a command that only reads, losing the reply is no other thing.
            let reads = READS.contains(&command.as_str()) || reading.contains(argument);
            let losses = [Lost::Request, Lost::Reply];
            for lost in losses.into_iter().take(if reads { 1 } else { 2 }) {
                println!("  {command} {argument}: {lost:?} lost");
                let met = bench.play(case, Some((pass, lost))).await;
                assert!(met.is_some(), "the same verb sends the same commands");
            }
            killed.insert(argument.clone());
        }
    }
    left.retain(|_, hash| !killed.contains(hash));
    let excused: BTreeSet<&str> = NOT_SENT_BY_CALLERS.iter().map(|(name, _)| *name).collect();
    let left: BTreeSet<&str> = left.keys().map(String::as_str).collect();
    assert_eq!(
        left, excused,
        "every script that writes has a case that kills it"
    );
}

/// From the broker's source, name and hash of every script that may write, and
/// the hashes of the others.
fn scripts() -> (BTreeMap<String, String>, BTreeSet<String>) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let table = std::fs::read_to_string(source.join("script.rs")).unwrap();
    let (mut writing, mut reading) = (BTreeMap::new(), BTreeSet::new());
    for line in table.lines().filter(|line| line.contains("\"#!lua")) {
        let quoted: Vec<&str> = line.split('"').skip(1).step_by(2).collect();
        let (shebang, files) = quoted.split_first().unwrap();
        let mut code = format!("{shebang}\n");
        for file in files {
            code += &std::fs::read_to_string(source.join(file)).unwrap();
        }
        let hash = redis::Script::new(&code).get_hash().to_owned();
        if shebang.contains("no-writes") {
            reading.insert(hash);
        } else {
            let name = line.split('=').next().unwrap().trim().to_owned();
            writing.insert(name, hash);
        }
    }
    assert!(writing.len() > 5, "the scripts are found: {writing:?}");
    (writing, reading)
}
