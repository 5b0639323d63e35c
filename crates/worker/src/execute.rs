//! One attempt: find the handler, run it, say how it ended.

use std::sync::Arc;
use std::time::Duration;

use lovage_core::attempt::JobError;
use lovage_core::limits;
use lovage_core::outcome::Outcome;
use lovage_core::payload::Payload;
use lovage_workflow::{
    BlockingContext, BlockingHandler, Context, Failure, Handler, Handlers, JobInfo, Runner,
};
use tokio::sync::Semaphore;
use tracing::Instrument;

use crate::held::{Held, StopReason};
use crate::journal::LeaseJournal;
use crate::worker::Shared;

/// Runs attempts.
pub(crate) struct Executor {
    shared: Arc<Shared>,
    handlers: Handlers,
    threads: Arc<Semaphore>,
}

impl Executor {
    pub(crate) fn new(shared: Arc<Shared>, handlers: Handlers) -> Arc<Self> {
        let threads = Arc::new(Semaphore::new(shared.config.blocking_threads.max(1)));
        Arc::new(Self {
            shared,
            handlers,
            threads,
        })
    }

    /// Runs one attempt. Nothing when the lease was lost: then nothing is written.
    pub(crate) async fn execute(&self, held: Arc<Held>) -> Option<Outcome> {
        let job = &held.claimed.job;
        let span = tracing::info_span!("process", queue = %job.queue, job = %job.id, kind = %job.kind, attempt = job.attempt);
        let ended = self.attempt(held.clone()).instrument(span).await;
        outcome(ended, &held)
    }

    async fn attempt(&self, held: Arc<Held>) -> Result<Payload, Failure> {
        let kind = &held.claimed.job.kind;
        if held.stopped().is_cancelled() {
            return Err(Failure::Stopped);
        }
        let context = self.context(held.clone());
        match self.handlers.get(kind.as_str()).cloned() {
            Some(Runner::Async(handler)) => self.run_async(&held, handler, context).await,
            Some(Runner::Blocking(handler)) => self.run_blocking(&held, handler, context).await,
            None => Err(Failure::retry(
                "no_handler",
                format!("this worker has no handler for kind {kind}"),
            )),
        }
    }

    fn context(&self, held: Arc<Held>) -> Context {
        let job = &held.claimed.job;
        let info = JobInfo {
            id: job.id.to_string(),
            created_at: job.created_at,
            kind: job.kind.to_string(),
            attempt: job.attempt,
            attempts_max: job.attempts_max,
            input: job.input.clone(),
            session: job.session.clone(),
            tenant: job.tenant.to_string(),
        };
        let stop = held.stopped().clone();
        let journal = LeaseJournal::new(self.shared.clone(), held);
        Context::new(info, Arc::new(journal), self.shared.clock.clone(), stop)
    }

    /// Told to stop, a handler may tidy up for a moment, then it is dropped.
    async fn run_async(
        &self,
        held: &Held,
        handler: Arc<dyn Handler>,
        context: Context,
    ) -> Result<Payload, Failure> {
        let mut run = handler.run(context);
        tokio::select! {
            ended = &mut run => ended,
            () = told_to_stop(held) => {
                let tidied = tokio::time::timeout(self.shared.config.stop_grace, run).await;
                tidied.unwrap_or(Err(Failure::Stopped))
            }
        }
    }

    /// A thread cannot be stopped from outside: told to stop, the attempt ends
    /// and the thread keeps its place in the pool until its handler returns.
    async fn run_blocking(
        &self,
        held: &Held,
        handler: Arc<dyn BlockingHandler>,
        context: Context,
    ) -> Result<Payload, Failure> {
        let thread = tokio::select! {
            () = told_to_stop(held) => return Err(Failure::Stopped),
            thread = self.threads.clone().acquire_owned() => thread.map_err(|_| Failure::Stopped)?,
        };
        let context = BlockingContext::new(context, tokio::runtime::Handle::current());
        let run = tokio::task::spawn_blocking(move || {
            let ended = handler.run(context);
            drop(thread);
            ended
        });
        tokio::select! {
            // First: what a handler returns because it was told to stop is not stored.
            biased;
            () = told_to_stop(held) => Err(Failure::Stopped),
            ended = run => ended.unwrap_or_else(|gone| match gone.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(Failure::Stopped),
            }),
        }
    }
}

/// Waits until the attempt is to stop; tells it so itself when its time is over.
async fn told_to_stop(held: &Held) {
    let timeout = held.claimed.job.timeout.unwrap_or(Duration::MAX);
    let stopped = held.stopped().cancelled();
    if tokio::time::timeout(timeout, stopped).await.is_err() {
        held.stop(StopReason::Timeout);
    }
}

/// What an attempt's end means. One that was told to stop and did not finish
/// in spite of it ends as the reason says, whatever it made of being stopped.
fn outcome(ended: Result<Payload, Failure>, held: &Held) -> Option<Outcome> {
    let transient = |code: &str, message: String| Outcome::Retry {
        error: JobError::transient(code, message),
        after: None,
    };
    let outcome = match (ended, held.reason()) {
        (_, Some(StopReason::Lost)) => return None,
        (Ok(result), _) => done(result),
        (Err(Failure::GiveUp { code, message }), _) => {
            Outcome::GiveUp(JobError::permanent(&code, message))
        }
        (Err(_), Some(StopReason::Cancelled)) => Outcome::Cancelled,
        (Err(_), Some(StopReason::Timeout)) => transient("timeout", overtime(held)),
        (Err(_), Some(StopReason::Shutdown)) => Outcome::Release,
        (
            Err(Failure::Retry {
                code,
                message,
                after,
            }),
            None,
        ) => Outcome::Retry {
            error: JobError::transient(&code, message),
            after,
        },
        (Err(Failure::Park { reason, after }), None) => Outcome::Park { reason, after },
        (Err(Failure::Stopped), None) => {
            transient("stopped", "the handler stopped unasked".to_owned())
        }
    };
    Some(outcome)
}

fn done(result: Payload) -> Outcome {
    let (bytes, max) = (result.as_str().len(), limits::RESULT_BYTES_MAX);
    if bytes <= max {
        return Outcome::Done(result);
    }
    let message = format!("the result has {bytes} bytes, at most {max} are stored");
    Outcome::GiveUp(JobError::permanent("result_too_large", message))
}

fn overtime(held: &Held) -> String {
    let timeout = held.claimed.job.timeout.unwrap_or_default();
    format!("the attempt took longer than {} s", timeout.as_secs_f64())
}
