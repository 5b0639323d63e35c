//! Good manners towards one host: few requests at once, some time between
//! them, and none at all after it has refused us.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};
use url::Url;

use super::limits::{CRAWL_DELAY_MAX, HOST_OFF, HOST_REQUESTS, HOSTS_MAX};

/// The hosts of one process. Shared by its jobs, as a host sees them together.
pub(crate) struct Hosts {
    gap: Duration,
    known: Mutex<HashMap<String, Arc<Host>>>,
}

struct Host {
    slots: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Clone, Copy)]
struct State {
    /// When the next request may start.
    next: Instant,
    /// Until when the host is left alone.
    off_until: Option<Instant>,
}

/// A host's turn; the next one may come when this is dropped.
pub(crate) struct Turn {
    _slot: OwnedSemaphorePermit,
}

/// The host refused us a short while ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the host refused an earlier request")]
pub(crate) struct Off;

impl Hosts {
    /// Hosts that are asked at most once per `gap`.
    pub(crate) fn new(gap: Duration) -> Self {
        Self {
            gap,
            known: Mutex::default(),
        }
    }

    /// Wait for a turn. `delay` is what the host's robots.txt asks for.
    ///
    /// Giving up the wait gives up the slot, but not the time reserved: the
    /// next one waits a gap longer than it had to.
    pub(crate) async fn turn(&self, url: &Url, delay: Option<Duration>) -> Result<Turn, Off> {
        let host = self.host(url);
        if host.is_off() {
            return Err(Off);
        }
        let slot = Arc::clone(&host.slots)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        let gap = delay.unwrap_or_default().min(CRAWL_DELAY_MAX).max(self.gap);
        sleep_until(host.reserve(gap)).await;
        // Another turn may have been refused while this one waited.
        if host.is_off() {
            return Err(Off);
        }
        Ok(Turn { _slot: slot })
    }

    /// A host refused: leave it alone for a while.
    pub(crate) fn refused(&self, url: &Url) {
        self.host(url).state().off_until = Some(Instant::now() + HOST_OFF);
    }

    fn host(&self, url: &Url) -> Arc<Host> {
        let name = url.host_str().unwrap_or_default();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= HOSTS_MAX && !known.contains_key(name) {
            known.clear();
        }
        let host = known.entry(name.to_owned()).or_insert_with(|| {
            Arc::new(Host {
                slots: Arc::new(Semaphore::new(HOST_REQUESTS)),
                state: Mutex::new(State {
                    next: Instant::now(),
                    off_until: None,
                }),
            })
        });
        Arc::clone(host)
    }
}

impl Host {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_off(&self) -> bool {
        self.state()
            .off_until
            .is_some_and(|end| Instant::now() < end)
    }

    /// The start of the next free time; the gap after it is taken.
    fn reserve(&self, gap: Duration) -> Instant {
        let mut state = self.state();
        let start = state.next.max(Instant::now());
        state.next = start + gap;
        start
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAP: Duration = Duration::from_millis(500);

    fn url() -> Url {
        Url::parse("https://n.example/a").unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn requests_to_a_host_keep_their_distance() {
        let hosts = Hosts::new(GAP);
        let begin = Instant::now();
        for _ in 0..3 {
            drop(hosts.turn(&url(), None).await);
        }
        assert_eq!(begin.elapsed().as_millis(), 1_000);
        drop(hosts.turn(&url(), Some(Duration::from_secs(60))).await);
        let before = Instant::now();
        drop(hosts.turn(&url(), None).await);
        assert_eq!(before.elapsed().as_secs(), CRAWL_DELAY_MAX.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_third_request_waits_for_one_to_end() {
        let hosts = Hosts::new(Duration::ZERO);
        let first = hosts.turn(&url(), None).await;
        let _second = hosts.turn(&url(), None).await;
        let waited = tokio::time::timeout(GAP, hosts.turn(&url(), None)).await;
        assert!(waited.is_err());
        drop(first);
        assert!(hosts.turn(&url(), None).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_refused_is_left_alone_for_a_while() {
        let hosts = Hosts::new(Duration::ZERO);
        drop(hosts.turn(&url(), None).await.unwrap());
        hosts.refused(&url());
        assert_eq!(hosts.turn(&url(), None).await.err(), Some(Off));
        tokio::time::advance(HOST_OFF).await;
        assert!(hosts.turn(&url(), None).await.is_ok());
    }
}
