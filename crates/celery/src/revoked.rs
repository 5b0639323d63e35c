//! Tasks that were revoked before their message came, for all bridges of a broker.

use std::sync::Arc;
use std::time::Duration;

use lovage_core::clock::Clock;
use lovage_core::payload::Payload;
use serde_json::Value;

use crate::link::Link;
use crate::message::Task;
use crate::transport::{RedisResult, Transport};

/// How long a revocation holds, as with Celery.
const KEEP: Duration = Duration::from_secs(3 * 3_600);
/// Revocations kept, as with Celery; the oldest go first.
const MAX: isize = 50_000;
/// Ids shown to those who ask.
const SHOWN_MAX: isize = 1_000;

/// The revocations. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Revoked {
    link: Link,
    key: String,
    clock: Arc<dyn Clock>,
}

/// What is revoked: one task, or all with a stamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target(String);

impl Target {
    /// The task of this id.
    pub(crate) fn task(id: &str) -> Self {
        Self(id.to_owned())
    }

    /// All tasks with one of these values, a list or a single one, of a stamp.
    pub(crate) fn stamps(name: &str, values: &Payload) -> Vec<Self> {
        let values = match values.read() {
            Ok(Value::Array(values)) => values,
            Ok(value) => vec![value],
            Err(_) => Vec::new(),
        };
        // No id of a task has such a form.
        let stamps = values
            .iter()
            .map(|value| Self(format!("\0{name}\0{value}")));
        stamps.collect()
    }

    /// All that may revoke this task.
    pub(crate) fn of(task: &Task) -> Vec<Self> {
        let stamps = task.stamps.iter();
        let stamps = stamps.flat_map(|(name, values)| Self::stamps(name, values));
        std::iter::once(Self::task(&task.id))
            .chain(stamps)
            .collect()
    }
}

impl Revoked {
    pub(crate) fn new(transport: &Transport, clock: Arc<dyn Clock>) -> Self {
        Self {
            link: transport.link.clone(),
            key: transport.keys().revoked(),
            clock,
        }
    }

    /// Remembers revocations.
    pub(crate) async fn add(&self, targets: &[Target]) -> RedisResult<()> {
        let now = self.clock.now().as_millisecond();
        let mut add = redis::pipe();
        for Target(member) in targets {
            add.zadd(&self.key, member, now).ignore();
        }
        add.zrembyscore(&self.key, "-inf", self.oldest()).ignore();
        add.zremrangebyrank(&self.key, 0, -1 - MAX).ignore();
        self.link.send(&add).await
    }

    /// Whether a task was revoked.
    pub(crate) async fn has(&self, task: &Task) -> RedisResult<bool> {
        let mut ask = redis::pipe();
        for Target(member) in Target::of(task) {
            ask.zscore(&self.key, member);
        }
        let at: Vec<Option<f64>> = self.link.send(&ask).await?;
        let oldest = self.oldest() as f64;
        Ok(at.into_iter().flatten().any(|at| at > oldest))
    }

    /// The newest ids, to be shown.
    pub(crate) async fn ids(&self) -> RedisResult<Vec<String>> {
        let mut ask = redis::pipe();
        ask.zrevrange(&self.key, 0, SHOWN_MAX - 1);
        let (members,): (Vec<String>,) = self.link.send(&ask).await?;
        Ok(members
            .into_iter()
            .filter(|one| !one.starts_with('\0'))
            .collect())
    }

    /// Times up to this one, in ms, no longer count.
    fn oldest(&self) -> i64 {
        let keep = i64::try_from(KEEP.as_millis()).unwrap_or(i64::MAX);
        self.clock.now().as_millisecond().saturating_sub(keep)
    }
}

#[cfg(test)]
mod tests {
    use lovage_tests::clock::ManualClock;
    use lovage_tests::redis::RedisServer;

    use super::*;
    use crate::config::CeleryConfig;

    fn task(id: &str, stamps: &str) -> Task {
        let raw = format!(
            r#"{{"body":"[[],{{}},{{}}]","content-type":"application/json","content-encoding":"utf-8",
                "headers":{{"task":"t","id":"{id}","stamped_headers":["owner"],"stamps":{stamps}}},
                "properties":{{"body_encoding":"utf-8","delivery_tag":"1"}}}}"#
        );
        Task::decode(raw.as_bytes(), &jiff::tz::TimeZone::UTC).unwrap()
    }

    #[tokio::test]
    async fn ids_and_stamps_revoke_for_a_while() {
        if !RedisServer::available() {
            return;
        }
        let server = RedisServer::start().await;
        let transport = Transport::open(&CeleryConfig::new(server.url())).unwrap();
        let clock = ManualClock::default();
        let revoked = Revoked::new(&transport, Arc::new(clock.clone()));
        let values = Payload::parse(r#"["ann", 7]"#).unwrap();
        let mut targets = Target::stamps("owner", &values);
        targets.push(Target::task("1"));
        revoked.add(&targets).await.unwrap();
        for (id, stamps, is_revoked) in [
            ("1", "{}", true),
            ("2", "{}", false),
            ("2", r#"{"owner":"ann"}"#, true),
            ("2", r#"{"owner":["bob","ann"]}"#, true),
            ("2", r#"{"owner":"7"}"#, false),
            ("2", r#"{"owner":7}"#, true),
            ("2", r#"{"other":"ann"}"#, false),
        ] {
            let has = revoked.has(&task(id, stamps)).await.unwrap();
            assert_eq!(has, is_revoked, "{id} {stamps}");
        }
        clock.advance(KEEP);
        assert!(!revoked.has(&task("1", "{}")).await.unwrap());
        revoked.add(&[Target::task("3")]).await.unwrap();
        let kept = server
            .command(&["ZRANGE", "lovage.revoked", "0", "-1"])
            .await;
        assert_eq!(kept.unwrap(), "3", "the old ones are gone");
    }
}
