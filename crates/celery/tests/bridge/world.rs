//! Celery's server, a store of jobs, bridges and workers between them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::StreamExt;
use lovage_celery::{Bridge, BridgeError, CeleryConfig, Mapping, Shape};
use lovage_core::attempt::JobError;
use lovage_core::broker::{Broker, Claim, Settle};
use lovage_core::catalog::{Catalog, InputError, KindSpec};
use lovage_core::clock::Clock;
use lovage_core::event::NewEvent;
use lovage_core::id::{QueueName, WorkerId};
use lovage_core::job::Job;
use lovage_core::lifecycle;
use lovage_core::outcome::Outcome;
use lovage_core::payload::Payload;
use lovage_tests::clock::ManualClock;
use lovage_tests::model::ModelBroker;
use lovage_tests::redis::RedisServer;
use redis::aio::MultiplexedConnection;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Longest wait for something that is bound to happen.
pub(crate) const SOON: Duration = Duration::from_secs(20);
/// A lease that outlasts every test.
const LEASE: Duration = Duration::from_secs(3_600);
/// Pause between two looks at what tells nobody when it changes.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Longest wait of a worker: the clock that tests move wakes nobody.
const WORKER_WAIT: Duration = Duration::from_millis(20);

pub(crate) struct World {
    pub(crate) redis: RedisServer,
    pub(crate) store: ModelBroker,
    pub(crate) clock: ManualClock,
}

/// A bridge that runs.
pub(crate) struct Running {
    stop: CancellationToken,
    task: JoinHandle<Result<(), BridgeError>>,
}

/// A message as a producer sends it.
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) queue: &'static str,
    pub(crate) envelope: Value,
}

impl World {
    /// A world without bridges and workers; none where tests are to do without Redis.
    pub(crate) async fn start() -> Option<Self> {
        Self::with(&[]).await
    }

    /// A world whose server has these settings.
    pub(crate) async fn with(settings: &[&str]) -> Option<Self> {
        if !RedisServer::available() {
            return None;
        }
        let clock = ManualClock::default();
        Some(Self {
            redis: RedisServer::start_with(settings).await,
            store: ModelBroker::new(clock.clone(), LEASE),
            clock,
        })
    }

    pub(crate) fn config(&self) -> CeleryConfig {
        let mapping = |kind: &str, shape| Mapping {
            kind: kind.to_owned(),
            shape,
        };
        CeleryConfig {
            queues: vec!["celery".to_owned(), "mail".to_owned()],
            tasks: BTreeMap::from([
                ("echo".to_owned(), mapping("test.echo", Shape::Call)),
                ("other".to_owned(), mapping("test.other", Shape::Call)),
                (
                    "picky".to_owned(),
                    mapping("test.picky", Shape::Named(vec!["x".to_owned()])),
                ),
            ]),
            track_started: true,
            ..CeleryConfig::new(self.redis.url() + "/0")
        }
    }

    /// Starts a bridge to this world's store.
    pub(crate) fn bridge(&self) -> Running {
        self.bridge_to(self.config(), Arc::new(self.store.clone()))
    }

    pub(crate) fn bridge_to(&self, config: CeleryConfig, broker: Arc<dyn Broker>) -> Running {
        let bridge = Bridge::new(config, broker, catalog(), Arc::new(self.clock.clone()));
        let stop = CancellationToken::new();
        let task = tokio::spawn(bridge.run(stop.clone().cancelled_owned()));
        Running { stop, task }
    }

    /// Starts a worker that ends every attempt as `work` says.
    pub(crate) fn worker(&self, work: impl Fn(&Job) -> Outcome + Send + 'static) -> JoinHandle<()> {
        let (store, clock) = (self.store.clone(), self.clock.clone());
        tokio::spawn(async move {
            let queues: [QueueName; 2] = ["celery".parse().unwrap(), "mail".parse().unwrap()];
            let worker = WorkerId::at(clock.now());
            for queue in &queues {
                store.register(queue, &worker).await.unwrap();
            }
            loop {
                for queue in &queues {
                    let ask = Claim {
                        worker,
                        queue: queue.clone(),
                        want: 1,
                    };
                    for claimed in store.claim(&ask).await.unwrap().claimed {
                        let outcome = work(&claimed.job);
                        let events = [
                            (
                                "attempt_started",
                                json!({ "attempt": claimed.job.attempt, "worker": worker }),
                            ),
                            (
                                "progress",
                                json!({ "step": "", "current": 1, "total": 2, "message": null }),
                            ),
                        ];
                        let events = events.map(|(kind, data)| NewEvent {
                            kind: kind.to_owned(),
                            step: None,
                            data: Payload::of(&data).unwrap(),
                        });
                        store.emit(&claimed.lease, &events).await.unwrap();
                        let settle = Settle {
                            next: lifecycle::settle(&claimed.job, &outcome, clock.now(), 0.0),
                            lease: claimed.lease,
                            job: claimed.job,
                        };
                        store.settle(&[settle]).await.unwrap();
                    }
                    store.wake(queue, &worker, true, WORKER_WAIT).await.unwrap();
                }
            }
        })
    }

    async fn line(&self) -> MultiplexedConnection {
        let client = redis::Client::open(self.redis.url()).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    /// Asks Celery's server.
    pub(crate) async fn ask<T: redis::FromRedisValue>(&self, words: &[&[u8]]) -> T {
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(*word);
        }
        command.query_async(&mut self.line().await).await.unwrap()
    }

    pub(crate) async fn send(&self, message: &Message) {
        let text = message.envelope.to_string();
        let list = match message.envelope["properties"]["priority"].as_u64() {
            None | Some(0..3) => message.queue.to_owned(),
            Some(priority) => format!("{}\u{6}\u{16}{}", message.queue, priority / 3 * 3),
        };
        let _: u64 = self
            .ask(&[b"LPUSH", list.as_bytes(), text.as_bytes()])
            .await;
    }

    /// The final result of a task, waited for as producers wait for it.
    pub(crate) async fn result(&self, id: &str) -> Value {
        let key = format!("celery-task-meta-{id}");
        let client = redis::Client::open(self.redis.url()).unwrap();
        let mut heard = client.get_async_pubsub().await.unwrap();
        heard.subscribe(&key).await.unwrap();
        let mut heard = heard.into_on_message();
        let there: Option<String> = self.ask(&[b"GET", key.as_bytes()]).await;
        let waiting = async {
            let mut meta: Option<Value> = there.map(|text| serde_json::from_str(&text).unwrap());
            loop {
                match meta {
                    Some(meta) if !meta["date_done"].is_null() => return meta,
                    _ => {}
                }
                let text: String = heard.next().await.unwrap().get_payload().unwrap();
                meta = Some(serde_json::from_str(&text).unwrap());
            }
        };
        timeout(SOON, waiting)
            .await
            .unwrap_or_else(|_| panic!("no result of {id}"))
    }

    /// Waits until bridges hold nothing.
    pub(crate) async fn is_quiet(&self) {
        until("an empty ledger", async || {
            let (entries, times): (u64, u64) = (
                self.ask(&[b"HLEN", b"lovage.ledger"]).await,
                self.ask(&[b"ZCARD", b"lovage.ledger.seen"]).await,
            );
            entries == 0 && times == 0
        })
        .await;
    }

    /// Waits until bridges hold so many messages.
    pub(crate) async fn holds(&self, count: u64) {
        until("held messages", async || {
            self.ask::<u64>(&[b"HLEN", b"lovage.ledger"]).await == count
        })
        .await;
    }

    /// Lets so much time pass that a dead bridge is known to be dead.
    pub(crate) async fn outlast_silence(&self) {
        let entries: Vec<String> = self.ask(&[b"HKEYS", b"lovage.ledger"]).await;
        for entry in entries {
            let _: u64 = self
                .ask(&[
                    b"ZADD",
                    b"lovage.ledger.seen",
                    b"XX",
                    b"1",
                    entry.as_bytes(),
                ])
                .await;
        }
    }

    pub(crate) async fn job(&self, message: &Message) -> Option<Job> {
        let id = message.id.parse().unwrap();
        self.store.get(&id).await.unwrap()
    }
}

impl Running {
    /// Ends it as a crash would.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let ended = self.task.await;
        assert!(ended.unwrap_err().is_cancelled());
    }

    /// Ends it as a crash would, if its server did not end it before.
    pub(crate) async fn kill_or_failed(self) {
        self.task.abort();
        match self.task.await {
            Ok(ended) => drop(ended.expect_err("nobody asked it to stop")),
            Err(killed) => assert!(killed.is_cancelled()),
        }
    }

    /// Asks it to stop, and waits for it.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        timeout(SOON, self.task).await.unwrap().unwrap().unwrap();
    }
}

impl Message {
    /// A task called with `args`, under a fresh id.
    pub(crate) fn new(task: &str, args: Value) -> Self {
        let id = Uuid::new_v4().to_string();
        let body = json!([args, {}, { "callbacks": null, "errbacks": null, "chain": null, "chord": null }]);
        let envelope = json!({
            "body": BASE64_STANDARD.encode(body.to_string()),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": { "lang": "py", "task": task, "id": id, "root_id": id, "parent_id": null,
                "eta": null, "expires": null, "group": null, "retries": 0, "timelimit": [null, null] },
            "properties": { "correlation_id": id, "delivery_mode": 2,
                "delivery_info": { "exchange": "", "routing_key": "celery" },
                "priority": 0, "body_encoding": "base64", "delivery_tag": Uuid::new_v4().to_string() },
        });
        Self {
            id,
            queue: "celery",
            envelope,
        }
    }

    /// With another header.
    pub(crate) fn header(mut self, name: &str, value: Value) -> Self {
        if name == "id" {
            value.as_str().unwrap().clone_into(&mut self.id);
        }
        self.envelope["headers"][name] = value;
        self
    }

    /// With a priority of Celery.
    pub(crate) fn priority(mut self, priority: u8) -> Self {
        self.envelope["properties"]["priority"] = priority.into();
        self
    }

    pub(crate) fn tag(&self) -> &str {
        self.envelope["properties"]["delivery_tag"]
            .as_str()
            .unwrap()
    }
}

/// A job that gives back what it was asked with.
pub(crate) fn echo(job: &Job) -> Outcome {
    Outcome::Done(job.input.clone())
}

/// An attempt that failed; others follow at once.
pub(crate) fn retry(code: &str) -> Outcome {
    Outcome::Retry {
        error: JobError::transient(code, "not yet"),
        after: Some(Duration::ZERO),
    }
}

/// Looks again until it is so.
pub(crate) async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + SOON;
    while !is_so().await {
        assert!(Instant::now() < deadline, "not in {SOON:?}: {what}");
        sleep(LOOK_EVERY).await;
    }
}

fn catalog() -> Catalog {
    let spec = |kind: &str| KindSpec::new(kind.parse().unwrap(), "a kind of these tests");
    let picky = KindSpec {
        check: Arc::new(|input| {
            input["x"].as_u64().map(drop).ok_or_else(|| {
                vec![InputError {
                    pointer: "/x".to_owned(),
                    message: "expected a number".to_owned(),
                }]
            })
        }),
        ..spec("test.picky")
    };
    Catalog::new([spec("test.echo"), spec("test.other"), picky])
}
