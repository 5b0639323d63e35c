//! One makes a value, others who want the same one share it.
//!
//! The cache helps and never hinders: where it fails, everyone makes a value
//! of their own.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use lovage_workflow::cache::{Cache, CacheKey, Hold, Taken, VALUE_BYTES_MAX, WAIT_MAX};
use tokio::time::{MissedTickBehavior, interval};

/// A maker that says nothing for this long is taken for dead.
const LEASE: Duration = Duration::from_secs(6);
/// How often a maker says that it is alive: two times may be lost.
const RENEW: Duration = Duration::from_secs(2);

/// What is worth keeping of an outcome: its bytes, and for how long.
pub(crate) type Worth = Option<(Vec<u8>, Duration)>;

/// A value, and whether somebody else had made it.
pub(crate) struct Got<T> {
    pub(crate) value: T,
    pub(crate) cached: bool,
}

/// The value of `key`: kept, made by somebody else just now, or made by `make`.
///
/// `read` reads what was kept; what it cannot read is made anew. `worth` says
/// what of a made one is to be kept. Failures are not shared: who waited for a
/// maker that failed makes the value itself. Dropping the future drops what is
/// being made, and lets the next one make it.
pub(crate) async fn get<T, E>(
    cache: &Arc<dyn Cache>,
    key: CacheKey,
    read: impl Fn(&[u8]) -> Option<T>,
    worth: impl FnOnce(&T) -> Worth,
    make: impl Future<Output = Result<T, E>>,
) -> Result<Got<T>, E> {
    let own = |value| Got {
        value,
        cached: false,
    };
    match cache.take(&key, LEASE, WAIT_MAX).await {
        Ok(Taken::Value(bytes)) => {
            if let Some(value) = read(&bytes) {
                return Ok(Got {
                    value,
                    cached: true,
                });
            }
            // Of another version, or damaged: of no use to anybody.
            logged(cache.forget(&key).await);
            make.await.map(own)
        }
        Ok(Taken::Yours(hold)) => {
            let mut held = Held::new(cache, hold);
            let made = held.alive(make).await;
            let worth = made.as_ref().ok().and_then(worth);
            held.end(worth).await;
            made.map(own)
        }
        Ok(Taken::Busy) => make.await.map(own),
        Err(error) => {
            tracing::warn!(%key, %error, "the cache cannot be asked");
            make.await.map(own)
        }
    }
}

/// A hold that does not outlive its maker.
struct Held<'a> {
    cache: &'a Arc<dyn Cache>,
    hold: Hold,
    ended: bool,
}

impl<'a> Held<'a> {
    fn new(cache: &'a Arc<dyn Cache>, hold: Hold) -> Self {
        Self {
            cache,
            hold,
            ended: false,
        }
    }

    /// Runs `make` to its end and says meanwhile that its maker lives.
    async fn alive<T>(&self, make: impl Future<Output = T>) -> T {
        let mut make = pin!(make);
        let mut tick = interval(RENEW);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tick.reset();
        loop {
            tokio::select! {
                biased;
                made = &mut make => return made,
                _ = tick.tick() => {}
            }
            // Beside the work, not before it: a store that blinks holds up nothing.
            tokio::select! {
                biased;
                made = &mut make => return made,
                renewed = self.cache.renew(&self.hold, LEASE) => logged(renewed),
            }
        }
    }

    async fn end(&mut self, worth: Worth) {
        match worth {
            Some((value, keep)) if value.len() <= VALUE_BYTES_MAX && !keep.is_zero() => {
                logged(self.cache.put(&self.hold, &value, keep).await);
            }
            _ => logged(self.cache.abandon(&self.hold).await),
        }
        self.ended = true;
    }
}

impl Drop for Held<'_> {
    /// A maker that was stopped tells the next one, who need not wait for the
    /// lease to end. It has no time left to wait for that; where there is no
    /// loop any more to say it on, the lease says it.
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (cache, hold) = (self.cache.clone(), self.hold);
            runtime.spawn(async move { logged(cache.abandon(&hold).await) });
        }
    }
}

fn logged<T, E: std::fmt::Display>(outcome: Result<T, E>) {
    if let Err(error) = outcome {
        tracing::warn!(%error, "the cache cannot be told");
    }
}
