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

    /// Times up to this one, in ms, no longer count.
    fn oldest(&self) -> i64 {
        let keep = i64::try_from(KEEP.as_millis()).unwrap_or(i64::MAX);
        self.clock.now().as_millisecond().saturating_sub(keep)
    }
}
