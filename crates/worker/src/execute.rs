//! One attempt: find the handler, run it, say how it ended.

use std::sync::Arc;

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
        outcome(ended, held.reason())
    }

    async fn attempt(&self, held: Arc<Held>) -> Result<Payload, Failure> {
        let job = &held.claimed.job;
        let Some(runner) = self.handlers.get(job.kind.as_str()).cloned() else {
            return Err(Failure::retry(
                "no_handler",
                format!("this worker has no handler for kind {}", job.kind),
            ));
        };
        let context = self.context(held.clone());
        let run = async {
            match runner {
                Runner::Async(handler) => self.run_async(&held, handler, context).await,
                Runner::Blocking(handler) => self.run_blocking(&held, handler, context).await,
            }
        };
        let Some(timeout) = job.timeout else {
            return run.await;
        };
        tokio::time::timeout(timeout, run)
            .await
            .unwrap_or_else(|_| {
                Err(Failure::retry(
                    "timeout",
                    format!("the attempt took longer than {} s", timeout.as_secs_f64()),
                ))
            })
    }

    fn context(&self, held: Arc<Held>) -> Context {
        let job = &held.claimed.job;
        let info = JobInfo {
            id: job.id.to_string(),
            kind: job.kind.to_string(),
            attempt: job.attempt,
            attempts_max: job.attempts_max,
            input: job.input.clone(),
            session: job.session.clone(),
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
        let mut run = std::pin::pin!(handler.run(context));
        tokio::select! {
            ended = &mut run => ended,
            () = held.stopped().cancelled() => {
                tokio::time::timeout(self.shared.config.stop_grace, run).await.unwrap_or(Err(Failure::Stopped))
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
            () = held.stopped().cancelled() => return Err(Failure::Stopped),
            thread = self.threads.clone().acquire_owned() => thread.map_err(|_| Failure::Stopped)?,
        };
        let context = BlockingContext::new(context, tokio::runtime::Handle::current());
        let run = tokio::task::spawn_blocking(move || {
            let ended = handler.run(context);
            drop(thread);
            ended
        });
        tokio::select! {
            ended = run => ended.unwrap_or_else(|panic| Err(Failure::retry("panic", format!("the handler panicked: {panic}")))),
            () = held.stopped().cancelled() => Err(Failure::Stopped),
        }
    }
}

fn outcome(ended: Result<Payload, Failure>, reason: Option<StopReason>) -> Option<Outcome> {
    if reason == Some(StopReason::Lost) {
        return None;
    }
    Some(match ended {
        Ok(result) if result.as_str().len() > limits::RESULT_BYTES_MAX => {
            Outcome::GiveUp(JobError::permanent(
                "result_too_large",
                format!(
                    "the result has {} bytes, at most {} are stored",
                    result.as_str().len(),
                    limits::RESULT_BYTES_MAX
                ),
            ))
        }
        Ok(result) => Outcome::Done(result),
        Err(Failure::Retry {
            code,
            message,
            after,
        }) => Outcome::Retry {
            error: JobError::transient(&code, message),
            after,
        },
        Err(Failure::GiveUp { code, message }) => {
            Outcome::GiveUp(JobError::permanent(&code, message))
        }
        Err(Failure::Park { reason, after }) => Outcome::Park { reason, after },
        Err(Failure::Stopped) => match reason {
            Some(StopReason::Shutdown) => Outcome::Release,
            Some(StopReason::Cancelled) => Outcome::Cancelled,
            Some(StopReason::Lost) => return None,
            None => Outcome::Retry {
                error: JobError::transient("stopped", "the handler stopped unasked"),
                after: None,
            },
        },
    })
}
