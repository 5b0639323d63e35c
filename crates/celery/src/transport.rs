//! Celery's broker: taking messages over, giving them back, sending new ones.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use redis::{Pipeline, Script};
use uuid::Uuid;

use crate::bridge::BridgeError;
use crate::config::CeleryConfig;
use crate::keys::Keys;
use crate::link::Link;
use crate::watch::Watch;

/// A failure of Celery's Redis.
pub(crate) type RedisResult<T> = redis::RedisResult<T>;

/// Messages taken in one call.
pub(crate) const TAKE_MAX: usize = 100;
/// Bytes after which a call takes no further message.
const TAKE_BYTES: usize = 8 << 20;
/// A bridge that was not heard of for so long is dead: others take over what it held.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How often a bridge is heard of.
pub(crate) const RENEW_EVERY: Duration = Duration::from_secs(5);
/// Messages kept that cannot be jobs; the oldest go first.
const DEAD_MAX: usize = 1_000;

// A live bridge may fail to be heard of several times in a row.
const _: () = assert!(RENEW_EVERY.as_millis() * 4 <= SILENCE_MAX.as_millis());

static TAKE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/take.lua")));
static BURY: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/bury.lua")));
static RENEW: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/renew.lua")));

/// A message that this bridge holds in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    /// Its place in the ledger, made by the bridge: delivery tags may be missing or repeat.
    pub(crate) entry: String,
    /// The envelope as it stood in the list.
    pub(crate) raw: Vec<u8>,
    /// The queue it came through.
    pub(crate) queue: String,
    /// It was held by a bridge before, which died.
    pub(crate) again: bool,
}

/// Celery's broker. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Transport {
    pub(crate) link: Link,
    keys: Arc<Keys>,
    watch: Arc<Watch>,
    /// Which queue comes first in the next call.
    turn: Arc<AtomicUsize>,
}

impl Transport {
    /// The broker of `config`, which is not asked yet.
    ///
    /// # Errors
    /// An address that cannot be read.
    pub(crate) fn open(config: &CeleryConfig) -> Result<Self, BridgeError> {
        let link = Link::open(&config.broker_url, &config.tls)?;
        Ok(Self {
            keys: Arc::new(Keys::new(config, link.database())),
            watch: Arc::new(Watch::new(link.clone())),
            turn: Arc::default(),
            link,
        })
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Whether it answers.
    pub(crate) async fn ping(&self) -> RedisResult<()> {
        self.link.ping().await
    }

    /// Declares queues, so that producers and tools know them.
    pub(crate) async fn declare(&self, queues: &[String]) -> RedisResult<()> {
        let mut declare = redis::pipe();
        for queue in queues {
            self.bind(&mut declare, queue);
        }
        self.link.send(&declare).await
    }

    /// Moves up to `want` messages of `queues` into the ledger in one script,
    /// the most urgent first; and entries of dead bridges. At most [`TAKE_MAX`].
    pub(crate) async fn take(&self, queues: &[String], want: usize) -> RedisResult<Vec<Held>> {
        let mut take = TAKE.key(self.keys.ledger());
        take.key(self.keys.ledger_seen())
            .arg(want.min(TAKE_MAX))
            .arg(TAKE_BYTES)
            .arg(millis(SILENCE_MAX))
            .arg(Uuid::new_v4().to_string());
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % queues.len().max(1);
        let (late, early) = queues.split_at(turn);
        for &step in &self.keys.steps {
            for queue in early.iter().chain(late) {
                take.key(self.keys.queue(queue, step)).arg(queue);
            }
        }
        let taken: Vec<(String, String, Vec<u8>, bool)> = self.link.call(&take).await?;
        let held = taken.into_iter().map(|(entry, queue, raw, again)| Held {
            entry,
            raw,
            queue,
            again,
        });
        Ok(held.collect())
    }

    /// Returns when something may be there to take, or after `timeout`.
    pub(crate) async fn wait(&self, queues: &[String], timeout: Duration) -> RedisResult<()> {
        let lists: Vec<String> = queues
            .iter()
            .flat_map(|queue| self.keys.lists(queue))
            .collect();
        self.watch.wait(&lists, timeout).await
    }

    /// Says that this bridge lives: others leave these entries alone for a while.
    pub(crate) async fn renew(&self, entries: &[String]) -> RedisResult<()> {
        self.set_seen(entries, true).await
    }

    /// Leaves entries to the bridge that takes next.
    pub(crate) async fn leave(&self, entries: &[String]) -> RedisResult<()> {
        self.set_seen(entries, false).await
    }

    async fn set_seen(&self, entries: &[String], now: bool) -> RedisResult<()> {
        for some in entries.chunks(TAKE_MAX) {
            let mut renew = RENEW.key(self.keys.ledger_seen());
            renew.arg(u8::from(now)).arg(some);
            self.link.call::<()>(&renew).await?;
        }
        Ok(())
    }

    /// The entry is over: all that its producer waits for is written.
    pub(crate) async fn done(&self, entry: &str) -> RedisResult<()> {
        let mut done = redis::pipe();
        done.atomic()
            .hdel(self.keys.ledger(), entry)
            .ignore()
            .zrem(self.keys.ledger_seen(), entry)
            .ignore();
        self.link.send(&done).await
    }

    /// The entry cannot be a job: its bytes go to the dead list.
    pub(crate) async fn bury(&self, held: &Held, reason: &str, at: Timestamp) -> RedisResult<()> {
        let mut bury = BURY.key(self.keys.ledger());
        bury.key(self.keys.ledger_seen())
            .key(self.keys.dead())
            .arg(&held.entry)
            .arg(dead(&held.queue, &held.raw, reason, at))
            .arg(DEAD_MAX);
        self.link.call(&bury).await
    }

    /// Puts a sealed message into a queue.
    pub(crate) async fn publish(
        &self,
        queue: &str,
        priority: u8,
        envelope: &str,
    ) -> RedisResult<()> {
        let mut publish = redis::pipe();
        publish.atomic();
        self.bind(&mut publish, queue);
        let list = self.keys.queue(queue, self.keys.step(priority));
        publish.lpush(list, envelope).ignore();
        self.link.send(&publish).await
    }

    /// Shows a message that waits for its time where Celery's tools look for such.
    /// Without a place in the index nobody takes it for abandoned.
    pub(crate) async fn show(&self, tag: &str, shown: &[u8]) -> RedisResult<()> {
        let mut show = redis::pipe();
        show.hset(self.keys.unacked(), tag, shown).ignore();
        self.link.send(&show).await
    }

    /// Takes a shown message away.
    pub(crate) async fn hide(&self, tag: &str) -> RedisResult<()> {
        let mut hide = redis::pipe();
        hide.hdel(self.keys.unacked(), tag).ignore();
        self.link.send(&hide).await
    }

    fn bind(&self, pipeline: &mut Pipeline, queue: &str) {
        let member = self.keys.binding(queue, "", queue);
        for table in [
            self.keys.bindings(queue),
            self.keys.permanent_bindings(queue),
        ] {
            pipeline.sadd(table, &member).ignore();
        }
    }
}

/// A message as the dead list has it.
pub(crate) fn dead(queue: &str, raw: &[u8], reason: &str, at: Timestamp) -> String {
    #[derive(serde::Serialize)]
    struct Dead<'a> {
        reason: &'a str,
        at: Timestamp,
        queue: &'a str,
        message: String,
    }
    let message = BASE64_STANDARD.encode(raw);
    let dead = Dead {
        reason,
        at,
        queue,
        message,
    };
    serde_json::to_string(&dead).expect("texts and a time have a JSON form")
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
