//! A server that is away is asked again until it answers.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};

use lovage_core::error::chain;
use lovage_core::retry::Backoff;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Pauses between two tries.
const PAUSES: Backoff = Backoff {
    base_ms: 100,
    cap_ms: 5_000,
};

/// Patience with one server. All who wait for it tell of it once.
pub(crate) struct Patience {
    server: &'static str,
    away: AtomicBool,
    stop: CancellationToken,
}

impl Patience {
    /// With `server`, until `stop`.
    pub(crate) fn new(server: &'static str, stop: CancellationToken) -> Self {
        Self {
            server,
            away: AtomicBool::new(false),
            stop,
        }
    }

    /// Asks until there is an answer; none when the bridge stops before.
    pub(crate) async fn insist<T, E: Error, F: Future<Output = Result<T, E>>>(
        &self,
        mut ask: impl FnMut() -> F,
    ) -> Option<T> {
        let mut tries = 0;
        loop {
            match ask().await {
                Ok(answer) => {
                    self.answered();
                    return Some(answer);
                }
                Err(error) => self.failed(&error),
            }
            tries += 1;
            if !self.pause(tries).await {
                return None;
            }
        }
    }

    /// Waits before the try after `tries` failed ones; says whether there is to be one.
    pub(crate) async fn pause(&self, tries: u32) -> bool {
        tokio::select! {
            () = sleep(PAUSES.wait(tries, chance())) => true,
            () = self.stop.cancelled() => false,
        }
    }

    fn answered(&self) {
        if self.away.swap(false, Ordering::Relaxed) {
            tracing::info!("{} answers again", self.server);
        }
    }

    fn failed(&self, error: &dyn Error) {
        if !self.away.swap(true, Ordering::Relaxed) {
            tracing::warn!(error = chain(error), "{} is asked again", self.server);
        }
    }
}

/// A random share in 0..1: those who wait do not come back all at once.
fn chance() -> f64 {
    f64::from(Uuid::new_v4().as_bytes()[0]) / 256.0
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn asks_until_there_is_an_answer() {
        let patience = Patience::new("a server", CancellationToken::new());
        let mut asked = 0;
        let answer = patience.insist(|| {
            asked += 1;
            let answer = if asked < 4 {
                Err(io::Error::from(io::ErrorKind::ConnectionRefused))
            } else {
                Ok(asked)
            };
            async move { answer }
        });
        assert_eq!(answer.await, Some(4));
    }

    #[tokio::test(start_paused = true)]
    async fn gives_up_when_the_bridge_stops() {
        let stop = CancellationToken::new();
        let patience = Patience::new("a server", stop.clone());
        let away = || async { Err::<(), _>(io::Error::from(io::ErrorKind::ConnectionRefused)) };
        stop.cancel();
        assert_eq!(patience.insist(away).await, None);
    }
}
