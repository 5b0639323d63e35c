//! Durable steps that keep how long they took.

use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use lovage_workflow::{Context, Failure, Progress};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::types::Timing;

/// A step's value, and what the result says of its time.
pub(crate) struct Done<T> {
    pub(crate) value: T,
    pub(crate) timing: Timing,
}

/// When a step ran, and for how long.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Took {
    pub(super) started_at: Timestamp,
    pub(super) ms: u64,
    /// Number of the attempt that finished it.
    pub(super) attempt: u32,
}

impl Took {
    /// From then to now.
    pub(super) fn since(started_at: Timestamp, context: &Context) -> Self {
        let ms = context.now().as_millisecond() - started_at.as_millisecond();
        Self {
            started_at,
            ms: u64::try_from(ms).unwrap_or(0),
            attempt: context.job().attempt,
        }
    }
}

/// A step's value with the time it took.
#[derive(Serialize, Deserialize)]
struct Timed<T> {
    value: T,
    #[serde(flatten)]
    took: Took,
}

/// A durable step of the name in `progress` that also keeps when it began, how
/// long it took and in which attempt.
///
/// # Errors
/// As [`Context::step`].
pub(crate) async fn step<T, F>(
    context: &Context,
    progress: Progress,
    input: &impl Serialize,
    work: impl FnOnce() -> F,
) -> Result<Done<T>, Failure>
where
    T: Serialize + DeserializeOwned,
    F: Future<Output = Result<T, Failure>>,
{
    let ran = AtomicBool::new(false);
    let run = || {
        ran.store(true, Ordering::Relaxed);
        timed(context, &progress, work())
    };
    let done: Timed<T> = context.step(&progress.step, input, run).await?;
    let timing = Timing {
        step: progress.step.clone(),
        started_at: done.took.started_at,
        ms: done.took.ms,
        items: None,
        failed: None,
        queue_ms: None,
        attempts: done.took.attempt,
        cached: !ran.into_inner(),
    };
    Ok(Done {
        value: done.value,
        timing,
    })
}

async fn timed<T>(
    context: &Context,
    progress: &Progress,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<Timed<T>, Failure> {
    let started_at = context.now();
    // So that the job itself says what it is at, not its events alone. Side by
    // side: work that is paid for does not wait for a store that blinks.
    let (told, value) = futures_util::join!(context.progress(progress), work);
    let value = value?;
    told?;
    Ok(Timed {
        value,
        took: Took::since(started_at, context),
    })
}
