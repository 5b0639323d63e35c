//! Values that cost something to make, made once and shared for a time by
//! every process on a store.
//!
//! Who asks first for a key that has no value gets the right to make it, a
//! [`Hold`]; who asks meanwhile waits for it. A hold has a lease: a maker that
//! dies keeps nobody waiting for longer than that. Nothing here is promised to
//! last: a store may drop a value at any time, and whoever finds none makes it.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use crate::error::BrokerError;
use crate::id::uuid_at;

/// A part of the cache, counted for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shelf {
    /// Answers of language models.
    Llm,
    /// Pages and feeds.
    Page,
}

impl Shelf {
    /// Every shelf.
    pub const ALL: [Shelf; 2] = [Shelf::Llm, Shelf::Page];

    /// Its name in keys and in what is shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Shelf::Llm => "llm",
            Shelf::Page => "page",
        }
    }
}

impl fmt::Display for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a value is found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CacheKey {
    /// Where it is counted.
    pub shelf: Shelf,
    /// A digest of everything the value depends on; SHA-256 fits.
    pub digest: [u8; 32],
}

impl fmt::Display for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.shelf)?;
        self.digest
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The right to make the value of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// The value's key.
    pub key: CacheKey,
    /// Tells this hold from every other; never reused.
    pub token: Uuid,
}

impl Hold {
    /// A hold with a new token.
    pub fn new(key: CacheKey, now: Timestamp) -> Self {
        Self {
            key,
            token: uuid_at(now),
        }
    }
}

/// What became of asking for a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// Here it is.
    Value(Vec<u8>),
    /// There is none: make it, then [`Cache::put`] it or [`Cache::abandon`] the hold.
    Yours(Hold),
    /// Somebody else makes it and is not ready, or the one waited for gave up
    /// and the next one makes it: who cannot wait makes one of its own.
    Busy,
}

/// How often a shelf was asked, since the store is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ShelfCounts {
    /// Asked for a value that was there.
    pub hits: u64,
    /// Waited for a value that somebody else made, and got it.
    pub shared: u64,
    /// There was none: the asker made it.
    pub misses: u64,
}

/// What the cache holds and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Each of [`Shelf::ALL`], in its order.
    pub shelves: Vec<(Shelf, ShelfCounts)>,
    /// Values kept now; some may be past their time and not yet dropped.
    pub values: u64,
    /// Their size, in bytes.
    pub bytes: u64,
}

/// A store of values by key. One conformance suite holds for all of them.
///
/// An error means that the cache is of no use now, never that the work is:
/// whoever gets one makes the value itself.
#[async_trait]
pub trait Cache: Send + Sync + 'static {
    /// The value of `key`, or the right to make it for as long as `lease`.
    ///
    /// While somebody makes it, this waits for that one, up to `wait`; no polling.
    async fn take(
        &self,
        key: &CacheKey,
        lease: Duration,
        wait: Duration,
    ) -> Result<Taken, BrokerError>;

    /// Lets a hold last for `lease` from now; `false` when it was lost.
    async fn renew(&self, hold: &Hold, lease: Duration) -> Result<bool, BrokerError>;

    /// Keeps the value for `keep`, ends the hold and wakes who waits. `false`
    /// when nothing was kept: the hold was lost, or there is no room.
    ///
    /// # Errors
    /// [`BrokerError::TooLarge`] beyond [`crate::limits::CACHE_VALUE_BYTES_MAX`].
    async fn put(&self, hold: &Hold, value: &[u8], keep: Duration) -> Result<bool, BrokerError>;

    /// Ends a hold without a value, and wakes who waits.
    async fn abandon(&self, hold: &Hold) -> Result<(), BrokerError>;

    /// Drops the value of `key`, if it has one: it is of no use.
    async fn forget(&self, key: &CacheKey) -> Result<(), BrokerError>;

    /// What the cache holds and did.
    async fn counts(&self) -> Result<CacheStats, BrokerError>;
}
