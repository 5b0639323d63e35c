//! What happens to tasks, for those who listen.

use std::sync::Arc;
use std::time::Duration;

use lovage_core::payload::Payload;
use tokio::sync::broadcast;

use crate::exception::Exception;
use crate::message::Task;

/// Notices kept for a listener that is slow; it misses the oldest beyond them.
const KEPT: usize = 1_024;

/// Something that happened to a task.
#[derive(Debug, Clone)]
pub(crate) struct Notice {
    pub(crate) task: Arc<Task>,
    pub(crate) what: What,
}

/// What happened.
#[derive(Debug, Clone)]
pub(crate) enum What {
    /// Its message was taken.
    Received,
    /// A worker began an attempt.
    Started,
    /// It has a result, after so long an attempt.
    Succeeded { result: Payload, runtime: Duration },
    /// It failed for good.
    Failed(Exception),
    /// An attempt failed, others follow.
    Retried(Exception),
    /// It was revoked, stopped while it ran, or not started in time.
    Revoked { terminated: bool, expired: bool },
}

/// Tells notices to whoever listens; nobody has to.
#[derive(Clone)]
pub(crate) struct Notices(broadcast::Sender<Notice>);

impl Notices {
    pub(crate) fn new() -> Self {
        Self(broadcast::channel(KEPT).0)
    }

    /// What happens from now on.
    pub(crate) fn listen(&self) -> broadcast::Receiver<Notice> {
        self.0.subscribe()
    }

    /// Tells what happened to a task.
    pub(crate) fn tell(&self, task: &Arc<Task>, what: What) {
        if self.0.receiver_count() > 0 {
            let task = task.clone();
            // The last listener may have left just now.
            let _ = self.0.send(Notice { task, what });
        }
    }
}
