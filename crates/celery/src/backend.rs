//! Celery's result backend.

use std::sync::{Arc, LazyLock};

use lovage_core::clock::Clock;
use redis::Script;

use crate::bridge::BridgeError;
use crate::config::CeleryConfig;
use crate::keys::Keys;
use crate::link::Link;
use crate::result::Meta;
use crate::transport::RedisResult;

/// How long it is remembered that a chord's body was sent, as with Celery.
const DONE_S: u64 = 300;

static STORE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/store.lua")));
static CHORD_PART: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("lua/chord_part.lua")));

/// Celery's result backend. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Backend {
    link: Link,
    keys: Arc<Keys>,
    /// Seconds that results are kept; 0 is for ever.
    keep_s: u64,
    clock: Arc<dyn Clock>,
}

/// What a chord knows after one of its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ChordPart {
    /// Others are missing, or another worker starts the body.
    Waiting,
    /// All are there and this caller starts the body: parts in order, as JSON
    /// `[1, id, state, result]`.
    Complete(Vec<String>),
}

impl Backend {
    /// The backend of `config`, which is not asked yet.
    ///
    /// # Errors
    /// An address that cannot be read.
    pub(crate) fn open(config: &CeleryConfig, clock: Arc<dyn Clock>) -> Result<Self, BridgeError> {
        let link = Link::open(&config.result_backend, &config.tls)?;
        Ok(Self {
            keys: Arc::new(Keys::new(config, link.database())),
            keep_s: config.result_expires.as_secs(),
            clock,
            link,
        })
    }

    /// Whether it answers.
    pub(crate) async fn ping(&self) -> RedisResult<()> {
        self.link.ping().await
    }

    /// Stores and publishes a state, unless SUCCESS stands there. Says whether it did.
    pub(crate) async fn store(&self, meta: &Meta<'_>) -> RedisResult<bool> {
        let mut store = STORE.key(self.keys.result(meta.id));
        store.arg(meta.json(self.clock.now())).arg(self.keep_s);
        self.link.call(&store).await
    }

    /// The JSON that stands for a task.
    pub(crate) async fn get(&self, id: &str) -> RedisResult<Option<String>> {
        self.read(self.keys.result(id)).await
    }

    /// One part of a chord's header is done.
    pub(crate) async fn chord_part(
        &self,
        group: &str,
        id: &str,
        index: Option<u64>,
        part: &str,
    ) -> RedisResult<ChordPart> {
        let place = index.map_or_else(|| "+inf".to_owned(), |index| index.to_string());
        let member = match index {
            Some(index) => format!("{id}:{index}"),
            None => format!("{id}:None"),
        };
        let mut count = CHORD_PART.key(self.keys.chord_parts(group));
        count
            .key(self.keys.chord_added(group))
            .key(self.keys.chord_size(group))
            .key(self.keys.chord_seen(group))
            .key(self.keys.chord_claim(group))
            .arg(&member)
            .arg(place)
            .arg(part)
            .arg(self.keep_s)
            .arg(format!("lovage:{member}"));
        let parts: Vec<String> = self.link.call(&count).await?;
        Ok(if parts.is_empty() {
            ChordPart::Waiting
        } else {
            ChordPart::Complete(parts)
        })
    }

    /// How many parts a chord's header has.
    pub(crate) async fn chord_size(&self, group: &str, size: u64) -> RedisResult<()> {
        let mut set = redis::pipe();
        let key = self.keys.chord_size(group);
        match self.keep_s {
            0 => set.set(key, size),
            keep => set.set_ex(key, size, keep),
        }
        .ignore();
        self.link.send(&set).await
    }

    /// The chord's body was sent, or failed: its keys go.
    pub(crate) async fn chord_done(&self, group: &str) -> RedisResult<()> {
        let mut done = redis::pipe();
        done.atomic();
        for key in [
            self.keys.chord_parts(group),
            self.keys.chord_added(group),
            self.keys.chord_size(group),
            self.keys.chord_seen(group),
        ] {
            done.del(key).ignore();
        }
        done.set_ex(self.keys.chord_claim(group), "done", DONE_S)
            .ignore();
        self.link.send(&done).await
    }

    /// The saved tree of a group's results, where its producer saved one.
    pub(crate) async fn saved_group(&self, group: &str) -> RedisResult<Option<String>> {
        self.read(self.keys.group(group)).await
    }

    async fn read(&self, key: String) -> RedisResult<Option<String>> {
        let mut get = redis::pipe();
        get.get(key);
        let (value,): (Option<String>,) = self.link.send(&get).await?;
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use lovage_tests::clock::ManualClock;
    use lovage_tests::redis::RedisServer;

    use super::*;

    async fn backend() -> Option<(RedisServer, Backend)> {
        if !RedisServer::available() {
            return None;
        }
        let server = RedisServer::start().await;
        let config = CeleryConfig::new(server.url());
        let backend = Backend::open(&config, Arc::new(ManualClock::default())).unwrap();
        Some((server, backend))
    }

    fn complete(parts: &[&str]) -> ChordPart {
        ChordPart::Complete(parts.iter().map(|part| (*part).to_owned()).collect())
    }

    #[tokio::test]
    async fn the_last_part_gets_all_in_order_once() {
        let Some((server, backend)) = backend().await else {
            return;
        };
        let part = async |id: &str, index, json: &str| {
            backend.chord_part("g", id, index, json).await.unwrap()
        };
        assert_eq!(
            part("c", Some(2), "C").await,
            ChordPart::Waiting,
            "no size yet"
        );
        backend.chord_size("g", 3).await.unwrap();
        assert_eq!(part("a", Some(0), "A").await, ChordPart::Waiting);
        assert_eq!(
            part("a", Some(0), "A").await,
            ChordPart::Waiting,
            "counted once"
        );
        assert_eq!(part("b", Some(1), "B").await, complete(&["A", "B", "C"]));
        assert_eq!(
            part("c", Some(2), "C").await,
            ChordPart::Waiting,
            "another has the claim"
        );
        let left = server.command(&["TTL", "celery-taskset-meta-g.j"]).await;
        assert!(left.unwrap().parse::<i64>().unwrap() > 86_000);
        backend.chord_done("g").await.unwrap();
        assert_eq!(
            part("b", Some(1), "B").await,
            ChordPart::Waiting,
            "the body was sent"
        );
        let keys = server.command(&["KEYS", "*"]).await.unwrap();
        assert_eq!(keys, "celery-taskset-meta-g.c");
    }

    #[tokio::test]
    async fn a_part_whose_bridge_died_before_the_body_was_sent_has_its_claim_again() {
        let Some((_server, backend)) = backend().await else {
            return;
        };
        backend.chord_size("g", 1).await.unwrap();
        for _ in 0..2 {
            let part = backend.chord_part("g", "a", None, "A").await.unwrap();
            assert_eq!(part, complete(&["A"]));
        }
    }

    #[tokio::test]
    async fn parts_that_were_added_are_waited_for() {
        let Some((server, backend)) = backend().await else {
            return;
        };
        backend.chord_size("g", 1).await.unwrap();
        server
            .command(&["SET", "celery-taskset-meta-g.t", "1"])
            .await
            .unwrap();
        let first = backend.chord_part("g", "a", Some(0), "A").await.unwrap();
        assert_eq!(first, ChordPart::Waiting);
        let second = backend.chord_part("g", "b", Some(1), "B").await.unwrap();
        assert_eq!(second, complete(&["A", "B"]));
    }

    #[tokio::test]
    async fn a_success_stands_however_it_was_written() {
        let Some((server, backend)) = backend().await else {
            return;
        };
        let meta = Meta {
            id: "1",
            state: crate::result::State::Started,
            result: lovage_core::payload::Payload::null(),
            traceback: None,
            children: Vec::new(),
            group: None,
            parent: None,
            extended: None,
        };
        let key = "celery-task-meta-1";
        for stands in [
            r#"{"status": "SUCCESS", "result": 1}"#,
            r#"{"status":"SUCCESS"}"#,
            r#"{"result": 1, "status": "SUCCESS"}"#,
        ] {
            server.command(&["SET", key, stands]).await.unwrap();
            assert!(!backend.store(&meta).await.unwrap(), "{stands}");
            assert_eq!(backend.get("1").await.unwrap().as_deref(), Some(stands));
        }
        for yields in [
            r#"{"status": "FAILURE", "result": {"status": "SUCCESS"}}"#,
            "no json",
        ] {
            server.command(&["SET", key, yields]).await.unwrap();
            assert!(backend.store(&meta).await.unwrap(), "{yields}");
        }
    }
}
