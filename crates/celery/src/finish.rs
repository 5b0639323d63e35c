//! What follows from the end of a task, in the order in which Celery does it.

use lovage_core::payload::Payload;

use crate::exception::Exception;
use crate::message::Task;
use crate::transport::RedisResult;

/// How a task ended.
#[derive(Debug, Clone)]
pub(crate) enum End {
    /// With a result.
    Success(Payload),
    /// With an exception.
    Failure(Exception),
    /// Stopped, expired or revoked: the reason is `revoked`, `expired` or `terminated`.
    Revoked(&'static str),
}

/// Writes and sends all that follows. Repeated after a crash it overwrites
/// nothing: a success stands, follow-up tasks have the same ids again.
pub(crate) async fn finish(
    canvas: &crate::canvas::Canvas,
    task: &Task,
    end: &End,
    retries: u32,
) -> RedisResult<()> {
    let _ = (canvas, task, end, retries);
    todo!("canvas")
}
