//! The pauses between tries while the store does not answer.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

const FIRST: Duration = Duration::from_millis(50);
/// Short: a worker has to hear again soon after the store is back.
const LONGEST: Duration = Duration::from_secs(2);

/// Doubling pauses.
pub(crate) struct Pauses(Duration);

impl Pauses {
    pub(crate) fn new() -> Self {
        Self(FIRST)
    }

    /// Waits; says whether it was told to stop meanwhile.
    pub(crate) async fn wait(&mut self, stop: &CancellationToken) -> bool {
        let pause = self.0;
        self.0 = (pause * 2).min(LONGEST);
        tokio::time::timeout(pause, stop.cancelled()).await.is_ok()
    }
}
