//! Values made once and shared for a time.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use lovage_core::bound;
use lovage_core::cache::{CacheKey, CacheStats, Hold, Shelf, ShelfCounts, Taken};
use lovage_core::error::BrokerError;
use lovage_core::limits;
use tokio::time::{Instant, timeout_at};

use crate::connect::Store;
use crate::error::corrupt;
use crate::news::News;
use crate::script::{self, Call, Script};
use crate::time::millis;

/// What a look at a key found.
enum Look {
    Taken(Taken),
    /// Held under this token, for so long.
    Held(Vec<u8>, Duration),
}

impl Store {
    /// The value of a key, or the right to make it; waits for one maker at most.
    pub(crate) async fn take(
        self: &Arc<Self>,
        news: &News<String>,
        key: &CacheKey,
        lease: Duration,
        wait: Duration,
    ) -> Result<Taken, BrokerError> {
        let deadline = Instant::now() + wait.min(limits::CACHE_WAIT_MAX);
        let token = match self.look(key, lease, false).await? {
            Look::Taken(taken) => return Ok(taken),
            Look::Held(..) if wait.is_zero() => return Ok(Taken::Busy),
            Look::Held(token, _) => token,
        };
        let waiter = news.waiter(self, &self.keys.cache(), key.to_string());
        loop {
            // Armed before looking: what happens between is not missed.
            let mut something = pin!(waiter.something());
            something.as_mut().enable();
            let left = match self.look(key, lease, true).await? {
                Look::Taken(taken) => return Ok(taken),
                Look::Held(other, _) if other != token => return Ok(Taken::Busy),
                Look::Held(_, left) => left,
            };
            if Instant::now() >= deadline {
                return Ok(Taken::Busy);
            }
            // Woken or not, looking again tells.
            let _ = timeout_at(deadline.min(Instant::now() + left), something).await;
        }
    }

    async fn look(
        &self,
        key: &CacheKey,
        lease: Duration,
        waited: bool,
    ) -> Result<Look, BrokerError> {
        let hold = Hold::new(*key, self.time.now());
        let mut call = self.about(&script::CACHE_TAKE, key);
        call.arg(key.shelf.as_str())
            .arg(hold.token.to_string())
            .arg(millis(lease).max(1))
            .arg(i32::from(waited));
        let found: Vec<Vec<u8>> = self.call(&call).await?;
        let mut found = found.into_iter();
        let mut next = || found.next().unwrap_or_default();
        match next().as_slice() {
            b"v" => Ok(Look::Taken(Taken::Value(next()))),
            b"y" => Ok(Look::Taken(Taken::Yours(hold))),
            b"b" => {
                let token = next();
                let left = String::from_utf8(next()).ok();
                let left = left.and_then(|left| left.parse().ok());
                let left = left.ok_or_else(|| corrupt(format!("the hold of {key}")))?;
                Ok(Look::Held(token, Duration::from_millis(left)))
            }
            other => Err(corrupt(format!("the entry {key}: {other:?}"))),
        }
    }

    pub(crate) async fn renew(&self, hold: &Hold, lease: Duration) -> Result<bool, BrokerError> {
        let mut call = self.about(&script::CACHE_RENEW, &hold.key);
        call.arg(hold.token.to_string()).arg(millis(lease).max(1));
        self.call(&call).await
    }

    pub(crate) async fn put(
        &self,
        hold: &Hold,
        value: &[u8],
        keep: Duration,
    ) -> Result<bool, BrokerError> {
        bound::cached(value)?;
        let mut call = self.about(&script::CACHE_PUT, &hold.key);
        call.arg(hold.token.to_string())
            .arg(value)
            .arg(millis(keep))
            .arg(self.cache_bytes_max)
            .arg(limits::CACHE_DROPS_MAX);
        self.call(&call).await
    }

    pub(crate) async fn abandon(&self, hold: &Hold) -> Result<(), BrokerError> {
        let mut call = self.about(&script::CACHE_FREE, &hold.key);
        call.arg(hold.token.to_string());
        self.call(&call).await
    }

    pub(crate) async fn forget(&self, key: &CacheKey) -> Result<(), BrokerError> {
        let mut call = self.about(&script::CACHE_FREE, key);
        call.arg("");
        self.call(&call).await
    }

    pub(crate) async fn counts(&self) -> Result<CacheStats, BrokerError> {
        let counted = ["hits", "shared", "misses"];
        let fields = Shelf::ALL
            .iter()
            .flat_map(|shelf| counted.map(|what| format!("{shelf}:{what}")));
        let fields: Vec<String> = fields.chain(["bytes".to_owned()]).collect();
        let mut ask = redis::pipe();
        ask.cmd("HMGET")
            .arg(self.keys.cache() + "n")
            .arg(fields)
            .zcard(self.keys.cache() + "t");
        let (numbers, values): (Vec<Option<u64>>, u64) = self.send(&ask).await?;
        let number = |at: usize| numbers.get(at).copied().flatten().unwrap_or(0);
        let of = |at: usize| ShelfCounts {
            hits: number(3 * at),
            shared: number(3 * at + 1),
            misses: number(3 * at + 2),
        };
        let shelves = Shelf::ALL.iter().enumerate();
        Ok(CacheStats {
            shelves: shelves.map(|(at, shelf)| (*shelf, of(at))).collect(),
            values,
            bytes: number(3 * Shelf::ALL.len()),
        })
    }

    /// A call about one key.
    fn about(&self, script: &'static Script, key: &CacheKey) -> Call {
        let mut call = script.on(self.keys.cache());
        call.arg(self.time.argument()).arg(key.to_string());
        call
    }
}
