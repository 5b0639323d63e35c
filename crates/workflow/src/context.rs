//! What a handler holds while it runs an attempt.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use lovage_core::clock::Clock;
use lovage_core::event::{self, NewEvent};
use lovage_core::job::Progress;
use lovage_core::payload::Payload;
use lovage_core::status::Join;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::children::{ChildResult, NewChild};
use crate::error::Failure;
use crate::journal::Journal;
use crate::replay::Replay;
use crate::step::Step;

/// What a handler may know of its job.
#[derive(Debug, Clone)]
pub struct JobInfo {
    /// Job id.
    pub id: String,
    /// When it was enqueued.
    pub created_at: Timestamp,
    /// Kind.
    pub kind: String,
    /// Number of this attempt, from 1.
    pub attempt: u32,
    /// Attempts before the job has failed.
    pub attempts_max: u32,
    /// Input as enqueued.
    pub input: Payload,
    /// Conversation the job belongs to.
    pub session: Option<String>,
    /// Whose it is.
    pub tenant: String,
}

/// One attempt, as its handler sees it. Cloning shares it.
#[derive(Clone)]
pub struct Context {
    shared: Arc<Shared>,
}

struct Shared {
    job: JobInfo,
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
    replay: OnceCell<Mutex<Replay>>,
}

impl Context {
    /// A context for one attempt; `stop` is cancelled when the attempt is to end.
    pub fn new(
        job: JobInfo,
        journal: Arc<dyn Journal>,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                job,
                journal,
                clock,
                stop,
                replay: OnceCell::new(),
            }),
        }
    }

    /// The same attempt at the time of another clock. Steps it has met are met anew.
    pub(crate) fn with_clock(&self, clock: Arc<dyn Clock>) -> Self {
        Self::new(
            self.shared.job.clone(),
            self.shared.journal.clone(),
            clock,
            self.shared.stop.clone(),
        )
    }

    /// The job.
    pub fn job(&self) -> &JobInfo {
        &self.shared.job
    }

    /// The time. Never put it into a step's input: it differs between attempts.
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// The job's input.
    ///
    /// # Errors
    /// Gives up with `input` when it has another shape.
    pub fn input<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        self.shared
            .job
            .input
            .read()
            .map_err(|error| Failure::give_up("input", format!("the input does not fit: {error}")))
    }

    /// A result.
    ///
    /// # Errors
    /// Gives up with `result` when the value has no JSON form.
    pub fn done(&self, result: &impl Serialize) -> Result<Payload, Failure> {
        Payload::of(result).map_err(|error| {
            Failure::give_up("result", format!("the result has no JSON form: {error}"))
        })
    }

    /// Cancelled when the attempt is to stop: cancel asked, lease lost, or shutdown.
    pub fn stop(&self) -> &CancellationToken {
        &self.shared.stop
    }

    /// Tells watchers something of this kind of job.
    ///
    /// # Errors
    /// As [`Journal::emit`].
    pub async fn emit(
        &self,
        kind: &str,
        step: Option<&str>,
        data: &impl Serialize,
    ) -> Result<(), Failure> {
        let event = new_event(kind, step, data)?;
        Ok(self.shared.journal.emit(vec![event]).await?)
    }

    /// Tells watchers several things in one write: type and data each.
    ///
    /// # Errors
    /// As [`Journal::emit`].
    pub async fn emit_all<D: Serialize>(
        &self,
        step: &str,
        events: &[(&str, D)],
    ) -> Result<(), Failure> {
        let events = events
            .iter()
            .map(|(kind, data)| new_event(kind, Some(step), data));
        let events = events.collect::<Result<Vec<_>, _>>()?;
        if events.is_empty() {
            Ok(())
        } else {
            Ok(self.shared.journal.emit(events).await?)
        }
    }

    /// Says where the work stands.
    ///
    /// # Errors
    /// As [`Journal::emit`].
    pub async fn progress(&self, progress: &Progress) -> Result<(), Failure> {
        self.emit(event::kind::PROGRESS, Some(&progress.step), progress)
            .await
    }

    pub(crate) fn journal(&self) -> &dyn Journal {
        self.shared.journal.as_ref()
    }

    /// The stored steps, loaded once per attempt and only when a step is met.
    pub(crate) async fn replay(&self) -> Result<&Mutex<Replay>, Failure> {
        let load = async { Ok(Mutex::new(Replay::new(self.shared.journal.load().await?))) };
        self.shared.replay.get_or_try_init(|| load).await
    }
}

pub(crate) fn new_event(
    kind: &str,
    step: Option<&str>,
    data: &impl Serialize,
) -> Result<NewEvent, Failure> {
    let data = Payload::of(data).map_err(|error| {
        Failure::give_up("event", format!("an event has no JSON form: {error}"))
    })?;
    Ok(NewEvent {
        kind: kind.to_owned(),
        step: step.map(str::to_owned),
        data,
    })
}

/// One attempt, as a blocking handler sees it.
pub struct BlockingContext {
    context: Context,
    runtime: tokio::runtime::Handle,
}

impl BlockingContext {
    /// As [`Context::with_clock`].
    pub(crate) fn with_clock(&self, clock: Arc<dyn Clock>) -> Self {
        Self::new(self.context.with_clock(clock), self.runtime.clone())
    }

    /// A context whose waits block the calling thread.
    pub fn new(context: Context, runtime: tokio::runtime::Handle) -> Self {
        Self { context, runtime }
    }

    /// The job.
    pub fn job(&self) -> &JobInfo {
        self.context.job()
    }

    /// As [`Context::input`].
    ///
    /// # Errors
    /// As [`Context::input`].
    pub fn input<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        self.context.input()
    }

    /// As [`Context::done`].
    ///
    /// # Errors
    /// As [`Context::done`].
    pub fn done(&self, result: &impl Serialize) -> Result<Payload, Failure> {
        self.context.done(result)
    }

    /// Whether the attempt is to stop. What it returns after that is not stored.
    pub fn is_stopped(&self) -> bool {
        self.context.stop().is_cancelled()
    }

    /// As [`Context::progress`], blocking this thread.
    ///
    /// # Errors
    /// As [`Context::progress`].
    pub fn progress(&self, progress: &Progress) -> Result<(), Failure> {
        self.runtime.block_on(self.context.progress(progress))
    }

    /// As [`Context::children`], blocking this thread.
    ///
    /// # Errors
    /// As [`Context::children`].
    pub fn children(
        &self,
        group: &str,
        children: Vec<NewChild>,
        join: Join,
    ) -> Result<Vec<ChildResult>, Failure> {
        self.runtime
            .block_on(self.context.children(group, children, join))
    }

    /// As [`Context::signal`], blocking this thread.
    ///
    /// # Errors
    /// As [`Context::signal`].
    pub fn signal<T: DeserializeOwned>(
        &self,
        name: &str,
        at_most: Duration,
    ) -> Result<Option<T>, Failure> {
        self.runtime.block_on(self.context.signal(name, at_most))
    }

    /// As [`Context::step`], blocking this thread.
    ///
    /// # Errors
    /// As [`Context::step`].
    pub fn step<T>(
        &self,
        name: &str,
        input: &impl Serialize,
        run: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<T, Failure>
    where
        T: Serialize + DeserializeOwned,
    {
        // The closure runs outside `block_on`, so that it may use this context too.
        let opened = match self.runtime.block_on(self.context.open_step(name, input))? {
            Step::Stored(value) => return Ok(value),
            Step::Open(opened) => opened,
        };
        let value = run()?;
        self.runtime
            .block_on(self.context.close_step(opened, &value))?;
        Ok(value)
    }
}
