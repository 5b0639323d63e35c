//! From a job's events to what its producer sees.

use std::time::Duration;

use lovage_core::attempt::JobError;
use lovage_core::event::{Event, kind};
use lovage_core::id::JobId;
use lovage_core::job::Job;
use lovage_core::limits;
use lovage_core::payload::Payload;
use lovage_core::status::{Status, WaitReason};
use serde::{Deserialize, Serialize};

use crate::entry::{Entry, Halt, failed};
use crate::exception::Exception;
use crate::finish::End;
use crate::job::time_limit;
use crate::message::Task;
use crate::notice::What;
use crate::open::Stage;
use crate::result::{Extended, Meta, State};

/// Longest wait for news of one job.
const WAIT: Duration = Duration::from_secs(30);
/// Code of an attempt that took too long.
const TIMEOUT: &str = "timeout";
/// Code of a job that was not started in time.
const EXPIRED: &str = "expired";

/// What a handler says of a state of its own.
#[derive(Deserialize)]
struct Custom {
    state: String,
    #[serde(default = "Payload::null")]
    meta: Payload,
}

/// Where the work stands, to handlers and to producers alike.
#[derive(Deserialize, Serialize)]
struct Progress {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    step: String,
    current: u64,
    total: u64,
}

#[derive(Deserialize)]
struct Attempt {
    attempt: u32,
}

#[derive(Deserialize)]
struct Waits {
    reason: String,
    error: Option<JobError>,
}

impl Entry {
    /// Reflects what happens to a job until it is over; none when no such job is there.
    pub(crate) async fn follow(&mut self, call: &Task, id: JobId) -> Result<Option<Job>, Halt> {
        let mut after = 0;
        loop {
            let parts = self.parts.clone();
            let asked = parts.store.insist(|| {
                parts
                    .broker
                    .events(&id, after, limits::EVENT_PAGE_MAX, WAIT)
            });
            let page = tokio::select! {
                page = asked => page.ok_or(Halt::Stopped)?,
                () = parts.stop.cancelled() => return Err(Halt::Stopped),
            };
            let Some(page) = page else {
                return Ok(None);
            };
            // What another bridge has told already, over again, would hide the end.
            let is_past = self.again && page.ended;
            for event in page.events {
                after = event.seq;
                if !is_past {
                    self.reflect(call, &event).await?;
                }
            }
            if page.ended {
                let asked = parts.store.insist(|| parts.broker.get(&id));
                return asked.await.ok_or(Halt::Stopped);
            }
        }
    }

    async fn reflect(&mut self, call: &Task, event: &Event) -> Result<(), Halt> {
        match event.kind.as_str() {
            kind::ATTEMPT_STARTED => self.started(event).await,
            kind::WAITING => self.waits(call, event).await,
            kind::REQUEUED => {
                self.hold.stands(Stage::Waiting);
                Ok(())
            }
            kind::PROGRESS => match event.data.read::<Progress>() {
                Ok(progress) => self.custom("PROGRESS".to_owned(), json(&progress)).await,
                Err(_) => Ok(()),
            },
            "state" => match event.data.read::<Custom>() {
                Ok(custom) => self.custom(custom.state, custom.meta).await,
                Err(_) => Ok(()),
            },
            _ => Ok(()),
        }
    }

    async fn started(&mut self, event: &Event) -> Result<(), Halt> {
        #[derive(Serialize)]
        struct Started<'a> {
            pid: u32,
            hostname: &'a str,
        }
        if let Ok(Attempt { attempt }) = event.data.read() {
            self.retries = self.task.retries + attempt.saturating_sub(1);
        }
        self.hold.stands(Stage::Running(event.at));
        self.hide().await?;
        self.tell(What::Started);
        if !self.parts.config.track_started {
            return Ok(());
        }
        let started = json(&Started {
            pid: std::process::id(),
            hostname: &self.parts.config.name,
        });
        self.show_state(State::Started, started, None).await
    }

    async fn waits(&mut self, call: &Task, event: &Event) -> Result<(), Halt> {
        self.hold.stands(Stage::Waiting);
        let Ok(Waits {
            reason,
            error: Some(error),
        }) = event.data.read()
        else {
            return Ok(());
        };
        if reason != WaitReason::Backoff.as_str() {
            return Ok(());
        }
        if is_over_limit(call, &error) {
            // To Celery a task that exceeds its limit has failed.
            return self.cancel(event.job).await;
        }
        let exception = Exception::of(&error);
        let traceback = exception.traceback();
        self.show_state(State::Retry, json(&exception), Some(traceback))
            .await?;
        self.tell(What::Retried(exception));
        Ok(())
    }

    /// A state of the handler's own; those of the end are not its to say.
    async fn custom(&self, state: String, meta: Payload) -> Result<(), Halt> {
        match state.as_str() {
            "SUCCESS" | "FAILURE" | "REVOKED" => Ok(()),
            _ => self.show_state(State::Custom(state), meta, None).await,
        }
    }

    async fn show_state(
        &self,
        state: State,
        result: Payload,
        traceback: Option<String>,
    ) -> Result<(), Halt> {
        let (parts, task) = (&self.parts, &self.task);
        if task.ignore_result {
            return Ok(());
        }
        let extended = parts.config.result_extended.then(|| Extended {
            task,
            worker: &parts.config.name,
            retries: self.retries,
        });
        let meta = Meta {
            id: &task.id,
            state,
            result,
            traceback,
            children: Vec::new(),
            group: task.group.as_deref(),
            parent: task.parent_id.as_deref(),
            extended,
        };
        let results = &parts.canvas.backend;
        let stored = parts.results.insist(|| results.store(&meta)).await;
        stored.map(drop).ok_or(Halt::Stopped)
    }

    /// What a job that is over means for its task.
    pub(crate) fn verdict(&mut self, call: &Task, job: Job) -> Result<Payload, Halt> {
        self.retries = self.task.retries + job.attempt.saturating_sub(1);
        match job.status {
            Status::Succeeded => Ok(job.result.unwrap_or_else(Payload::null)),
            Status::Cancelled => Err(cancelled(call, &job)),
            _ => {
                let error = job.error.unwrap_or_else(|| {
                    JobError::permanent("failed", "the job failed and does not say why")
                });
                Err(failed(if is_over_limit(call, &error) {
                    over_limit(call)
                } else {
                    Exception::of(&error)
                }))
            }
        }
    }
}

fn cancelled(call: &Task, job: &Job) -> Halt {
    let last = job.history.last();
    if last.is_some_and(|attempt| is_over_limit(call, &attempt.error)) {
        return failed(over_limit(call));
    }
    let is_late = job
        .error
        .as_ref()
        .is_some_and(|error| error.code == EXPIRED);
    Halt::Ended(End::Revoked(match job.started_at {
        _ if is_late => "expired",
        Some(_) => "terminated",
        None => "revoked",
    }))
}

/// Whether an attempt ended because of a limit that the task brought.
fn is_over_limit(call: &Task, error: &JobError) -> bool {
    error.code == TIMEOUT && time_limit(call).is_some()
}

/// What Celery raises for the limit that was exceeded.
fn over_limit(call: &Task) -> Exception {
    let (hard, soft) = call.time_limit;
    let of_hard =
        hard.filter(|hard| *hard > 0.0 && soft.is_none_or(|soft| soft <= 0.0 || *hard <= soft));
    let (class, message) = match of_hard {
        Some(seconds) => ("TimeLimitExceeded", vec![number(seconds)]),
        None => ("SoftTimeLimitExceeded", Vec::new()),
    };
    Exception {
        exc_type: class.to_owned(),
        exc_message: message,
        exc_module: "billiard.exceptions".to_owned(),
    }
}

/// Seconds as they were sent: whole ones mostly.
fn number(seconds: f64) -> Payload {
    if seconds.fract() == 0.0 && seconds < 1e15 {
        json(&(seconds as u64))
    } else {
        json(&seconds)
    }
}

fn json(value: &impl Serialize) -> Payload {
    Payload::of(value).expect("texts, numbers and exceptions have a JSON form")
}
