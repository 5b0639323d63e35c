//! One entry of the ledger, from its message to all that its producer waits for.

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use lovage_core::broker::Enqueued;
use lovage_core::id::{JobId, QueueName};
use lovage_core::job::NewJob;
use lovage_core::payload::Payload;
use serde::Deserialize;

use crate::bridge::Parts;
use crate::canvas::map;
use crate::exception::Exception;
use crate::finish::{self, End, finish};
use crate::job;
use crate::json;
use crate::message::{Refused, Task};
use crate::notice::What;
use crate::open::{Hold, Stage};
use crate::result::{Meta, State};
use crate::transport::Held;

/// An entry whose message is a task.
pub(crate) struct Entry {
    pub(crate) parts: Arc<Parts>,
    pub(crate) hold: Hold,
    pub(crate) task: Arc<Task>,
    /// Its bridge before this one died.
    pub(crate) again: bool,
    /// Where its message is shown, while it waits for its time.
    pub(crate) shown: Option<String>,
    /// Attempts that failed, its producer's included.
    pub(crate) retries: u32,
    queue: QueueName,
}

/// Why there is no result.
pub(crate) enum Halt {
    /// The bridge stops: the entry is left to another one.
    Stopped,
    /// The task ended without one.
    Ended(End),
    /// Another task has the same id: its job is not this one's.
    Foreign,
}

/// Carries an entry to its end. When the bridge stops before, gives the entry
/// back: it is for another bridge.
pub(crate) async fn carry(parts: Arc<Parts>, hold: Hold, held: Held) -> Option<String> {
    let entry = held.entry.clone();
    match through(parts, hold, held).await {
        Some(()) => None,
        None => Some(entry),
    }
}

async fn through(parts: Arc<Parts>, hold: Hold, held: Held) -> Option<()> {
    let queue = held.queue.parse::<QueueName>();
    let decoded = Task::decode(&held.raw, &TimeZone::UTC);
    let (queue, task) = match (queue, decoded) {
        (Ok(queue), Ok(task)) => (queue, Arc::new(task)),
        (_, Err(refused)) => return bury(&parts, &held, refused).await,
        (Err(invalid), Ok(task)) => {
            let refused = Refused {
                id: Some(task.id),
                name: Some(task.name),
                reason: invalid.to_string(),
            };
            return bury(&parts, &held, refused).await;
        }
    };
    hold.decoded(task.clone(), job::id(&task.id));
    let mut entry = Entry {
        shown: shown(&task, &held),
        retries: task.retries,
        again: held.again,
        parts,
        hold,
        task,
        queue,
    };
    entry.begin(&held.raw).await;
    let ended = entry.work().await;
    entry.end(ended).await?;
    let Entry { parts, .. } = &entry;
    parts
        .celery
        .insist(|| parts.canvas.transport.done(&held.entry))
        .await
}

/// What cannot be a task is kept for a person, and its caller is told where one waits.
async fn bury(parts: &Parts, held: &Held, refused: Refused) -> Option<()> {
    tracing::warn!(
        task = refused.id,
        queue = held.queue,
        reason = refused.reason,
        "a message of Celery is no task: it goes to the dead list"
    );
    if let Some(id) = &refused.id {
        let exception = Exception::new("kombu.exceptions", "DecodeError", &refused.reason);
        let meta = Meta {
            id,
            state: State::Failure,
            traceback: Some(exception.traceback()),
            result: Payload::of(&exception).expect("an exception has a JSON form"),
            children: Vec::new(),
            group: None,
            parent: None,
            extended: None,
        };
        let results = &parts.canvas.backend;
        parts.results.insist(|| results.store(&meta)).await?;
    }
    let (transport, now) = (&parts.canvas.transport, parts.canvas.clock.now());
    parts
        .celery
        .insist(|| transport.bury(held, &refused.reason, now))
        .await
}

impl Entry {
    /// The message was taken.
    async fn begin(&self, raw: &[u8]) {
        if !self.again {
            self.tell(What::Received);
        }
        let waits = self
            .task
            .eta
            .is_some_and(|eta| eta > self.parts.canvas.clock.now());
        if let (true, Some(tag)) = (waits, &self.shown) {
            let transport = &self.parts.canvas.transport;
            // Tools look at it; nothing depends on it.
            if let Err(error) = transport.show(tag, &as_unacked(&self.task, raw)).await {
                tracing::debug!(%error, "a waiting message is not shown");
            }
        }
    }

    /// Takes a shown message away: its task started or ended.
    pub(crate) async fn hide(&mut self) -> Result<(), Halt> {
        if let Some(tag) = &self.shown {
            let transport = &self.parts.canvas.transport;
            let hidden = self.parts.celery.insist(|| transport.hide(tag)).await;
            hidden.ok_or(Halt::Stopped)?;
            self.shown = None;
        }
        Ok(())
    }

    /// Has the task's jobs done: one, or those of a map one after the other.
    async fn work(&mut self) -> Result<Payload, Halt> {
        if !self.again {
            self.admit().await?;
        }
        let task = self.task.clone();
        let Some(calls) = map::calls(&task) else {
            return self.run(&task).await;
        };
        let mut results = Vec::new();
        for call in calls.map_err(failed)? {
            if self.hold.is_revoked() {
                return Err(Halt::Ended(End::Revoked("terminated")));
            }
            results.push(self.run(&call).await?);
        }
        Ok(map::gather(&results))
    }

    /// Refuses what needs no job to be refused.
    async fn admit(&self) -> Result<(), Halt> {
        let (parts, task) = (&self.parts, &self.task);
        let now = parts.canvas.clock.now();
        if task.expires.is_some_and(|expires| expires <= now) {
            return Err(Halt::Ended(End::Revoked("expired")));
        }
        if self.was_revoked().await? {
            return Err(Halt::Ended(End::Revoked("revoked")));
        }
        finish::check(task, &parts.config, now).map_err(failed)
    }

    async fn was_revoked(&self) -> Result<bool, Halt> {
        let parts = &self.parts;
        let asked = parts.celery.insist(|| parts.revoked.has(&self.task)).await;
        asked.ok_or(Halt::Stopped)
    }

    /// Has one job done and gives its result.
    async fn run(&mut self, call: &Task) -> Result<Payload, Halt> {
        let parts = self.parts.clone();
        let now = parts.canvas.clock.now();
        let new = job::of(call, &self.queue, &parts.config, &parts.catalog, now).map_err(failed)?;
        self.hold.is_done_by(new.id);
        loop {
            let fresh = self.enqueue(&new).await?;
            // Who revokes it looks for the job; one that came only now it did not find.
            let missed = self.hold.is_revoked() || (self.again && self.was_revoked().await?);
            if fresh && missed {
                self.cancel(new.id).await?;
            }
            if let Some(job) = self.follow(call, new.id).await? {
                return self.verdict(call, job);
            }
            // A store that lost its last second lost the job: the message is still here.
            tracing::warn!(job = %new.id, "a job of Celery is gone: it is enqueued again");
        }
    }

    /// Stores the job, however long that takes; says whether it was not there before.
    async fn enqueue(&self, new: &NewJob) -> Result<bool, Halt> {
        let (broker, store) = (&self.parts.broker, &self.parts.store);
        let mut tries = 0;
        loop {
            let asked = store.insist(|| broker.enqueue(vec![new.clone()], false));
            let answers = asked.await.ok_or(Halt::Stopped)?;
            match answers.first() {
                Some(Enqueued::Accepted(_)) => return Ok(true),
                Some(Enqueued::QueueFull) => {
                    tries += 1;
                    if !store.pause(tries).await {
                        return Err(Halt::Stopped);
                    }
                }
                _ if self.is_ours(new).await? => return Ok(false),
                _ => return Err(Halt::Foreign),
            }
        }
    }

    /// Whether the job of this id is the one that would have been stored.
    async fn is_ours(&self, new: &NewJob) -> Result<bool, Halt> {
        let parts = &self.parts;
        let asked = parts.store.insist(|| parts.broker.get(&new.id));
        let there = asked.await.ok_or(Halt::Stopped)?;
        // One that is gone by now is enqueued again when it is not found.
        Ok(there
            .is_none_or(|job| job.kind == new.kind && (!job.keep_input || job.input == new.input)))
    }

    /// Has the job ended before its time.
    pub(crate) async fn cancel(&self, id: JobId) -> Result<(), Halt> {
        let parts = &self.parts;
        let asked = parts.store.insist(|| parts.broker.cancel(&id));
        asked.await.map(drop).ok_or(Halt::Stopped)
    }

    /// Writes and sends all that follows; none when the bridge stops before.
    async fn end(&mut self, ended: Result<Payload, Halt>) -> Option<()> {
        let end = match ended {
            Ok(result) => Some(End::Success(result)),
            Err(Halt::Ended(end)) => Some(end),
            Err(Halt::Foreign) => {
                tracing::warn!(
                    task = self.task.id,
                    name = self.task.name,
                    "a task has the id of another one: it is dropped"
                );
                None
            }
            Err(Halt::Stopped) => return None,
        };
        if let Some(end) = end {
            let (parts, task) = (&self.parts, &self.task);
            let finished = parts
                .results
                .insist(|| finish(&parts.canvas, task, &end, self.retries))
                .await?;
            self.tell_end(finished);
        }
        self.hide().await.ok()
    }

    fn tell_end(&self, end: End) {
        self.hold.ended(&self.task.name);
        self.tell(match end {
            End::Success(result) => What::Succeeded {
                result,
                runtime: self.runtime(),
            },
            End::Failure(exception) => What::Failed(exception),
            End::Revoked(reason) => What::Revoked {
                terminated: reason == "terminated",
                expired: reason == "expired",
            },
        });
    }

    fn runtime(&self) -> Duration {
        match self.hold.stage() {
            Some(Stage::Running(since)) => {
                let now = self.parts.canvas.clock.now();
                Duration::try_from(now.duration_since(since)).unwrap_or_default()
            }
            _ => Duration::ZERO,
        }
    }

    pub(crate) fn tell(&self, what: What) {
        self.parts.notices.tell(&self.task, what);
    }
}

/// The task fails with this.
pub(crate) fn failed(exception: Exception) -> Halt {
    Halt::Ended(End::Failure(exception))
}

/// The tag under which a message that has to wait is shown.
fn shown(task: &Task, held: &Held) -> Option<String> {
    #[derive(Deserialize)]
    struct Tagged {
        properties: Tag,
    }
    #[derive(Deserialize)]
    struct Tag {
        delivery_tag: String,
    }
    task.eta?;
    let text = String::from_utf8_lossy(&held.raw);
    let tagged: Option<Tagged> = serde_json::from_str(&json::strict(&text)).ok();
    Some(tagged.map_or_else(
        || held.entry.clone(),
        |tagged| tagged.properties.delivery_tag,
    ))
}

/// The message as Celery's workers keep those that they hold.
fn as_unacked(task: &Task, raw: &[u8]) -> Vec<u8> {
    let route = serde_json::to_string(&(&task.exchange, &task.routing_key))
        .expect("texts have a JSON form");
    // `["exchange","key"]` behind the message, which stays as it is.
    [b"[", raw, b", ", &route.as_bytes()[1..]].concat()
}
