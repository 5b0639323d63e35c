//! A service's turns: a pause between two requests, and none at all while it
//! has asked to be left alone.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::SearchError;
use crate::news::limits::{SERVICE_OFF_MAX, TURN_WAIT_MAX};

/// The turns of everybody who asks one service. A process has one per service,
/// whatever doors it is asked through: the service sees them together.
pub struct Turns {
    pause: Duration,
    state: Mutex<State>,
}

struct State {
    /// When the next request may start.
    next: Instant,
    off_until: Option<Instant>,
}

impl Turns {
    /// Turns that are a `pause` apart.
    pub fn new(pause: Duration) -> Self {
        let state = State {
            next: Instant::now(),
            off_until: None,
        };
        Self {
            pause,
            state: Mutex::new(state),
        }
    }

    /// Waits for the next turn; gives up at once when it is too far off.
    pub(super) async fn take(&self) -> Result<(), SearchError> {
        let turn = self.reserve()?;
        sleep_until(turn).await;
        // Whoever had the turn before may have been sent away meanwhile.
        self.is_on(Instant::now())
    }

    /// No more requests for so long.
    pub(super) fn leave_alone(&self, time: Duration) {
        let until = Instant::now() + time.min(SERVICE_OFF_MAX);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.off_until = state.off_until.max(Some(until));
    }

    fn reserve(&self) -> Result<Instant, SearchError> {
        let now = Instant::now();
        self.is_on(now)?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = state.next.max(now);
        if turn - now > TURN_WAIT_MAX {
            return Err(SearchError::Busy(seconds(turn - now)));
        }
        state.next = turn + self.pause;
        Ok(turn)
    }

    fn is_on(&self, now: Instant) -> Result<(), SearchError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.off_until.filter(|until| *until > now) {
            Some(until) => Err(SearchError::Off(seconds(until - now))),
            None => Ok(()),
        }
    }
}

/// Rounded up: "another 0 s" would say that it may be asked.
fn seconds(time: Duration) -> u64 {
    time.as_millis().div_ceil(1_000) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn turns_are_a_pause_apart_and_not_waited_for_too_long() {
        let turns = Turns::new(Duration::from_secs(5));
        let begin = Instant::now();
        turns.take().await.unwrap();
        assert_eq!(begin.elapsed(), Duration::ZERO);
        turns.take().await.unwrap();
        assert_eq!(begin.elapsed(), Duration::from_secs(5));
        let (one, other) = tokio::join!(turns.take(), turns.take());
        assert_eq!((one, other), (Ok(()), Err(SearchError::Busy(10))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_asked_for_it_is_left_alone_for_that_time() {
        let turns = Turns::new(Duration::ZERO);
        turns.leave_alone(Duration::from_secs(30));
        turns.leave_alone(Duration::from_secs(3));
        assert_eq!(turns.take().await, Err(SearchError::Off(30)));
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(turns.take().await, Ok(()));
        turns.leave_alone(Duration::MAX);
        let most = SERVICE_OFF_MAX.as_secs();
        assert_eq!(turns.take().await, Err(SearchError::Off(most)));
    }
}
