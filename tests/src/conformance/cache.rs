//! What a cache promises: one maker at a time, values kept for their time and
//! no longer, bounds, honest counts.

use std::any::Any;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use lovage_core::cache::{Cache, CacheKey, CacheStats, Hold, Shelf, ShelfCounts, Taken};
use lovage_core::error::BrokerError;
use lovage_core::limits;

use crate::clock::ManualClock;
use crate::harness::{MOMENT, SOON};

/// Bytes that the cache under test may hold.
pub const CACHE_BYTES: u64 = 8 << 20;

const LEASE: Duration = Duration::from_secs(10);
const KEEP: Duration = Duration::from_secs(600);
const AT_ONCE: Duration = Duration::ZERO;

type Reopen = Box<dyn Fn() -> BoxFuture<'static, Arc<dyn Cache>> + Send + Sync>;

/// A fresh, empty cache under test, of at most [`CACHE_BYTES`].
pub struct CacheHarness {
    cache: Arc<dyn Cache>,
    clock: ManualClock,
    reopen: Option<Reopen>,
    guard: Box<dyn Any + Send + Sync>,
}

impl CacheHarness {
    /// A cache that reads `clock`.
    pub fn new(cache: Arc<dyn Cache>, clock: ManualClock) -> Self {
        Self {
            cache,
            clock,
            reopen: None,
            guard: Box::new(()),
        }
    }

    /// With a way to open the same store a second time, as another process would.
    pub fn reopening<F, R>(mut self, reopen: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Arc<dyn Cache>> + Send + 'static,
    {
        self.reopen = Some(Box::new(move || Box::pin(reopen())));
        self
    }

    /// With something that must live as long as the cache is used.
    pub fn keeping(mut self, guard: impl Any + Send + Sync) -> Self {
        self.guard = Box::new((self.guard, guard));
        self
    }

    async fn other(&self) -> Arc<dyn Cache> {
        match &self.reopen {
            Some(reopen) => reopen().await,
            None => self.cache.clone(),
        }
    }

    async fn take(&self, key: &CacheKey) -> Taken {
        self.cache.take(key, LEASE, AT_ONCE).await.unwrap()
    }

    async fn hold(&self, key: &CacheKey) -> Hold {
        match self.take(key).await {
            Taken::Yours(hold) => hold,
            other => panic!("not free: {other:?}"),
        }
    }

    async fn put(&self, key: &CacheKey, value: &[u8], keep: Duration) {
        let hold = self.hold(key).await;
        assert!(self.cache.put(&hold, value, keep).await.unwrap());
    }

    async fn counts(&self) -> CacheStats {
        self.cache.counts().await.unwrap()
    }
}

/// Makes one `#[tokio::test]` per promise of a cache.
///
/// Takes a factory, as [`broker_conformance!`](crate::broker_conformance) does,
/// of a [`CacheHarness`](crate::conformance::cache::CacheHarness) or an `Option` of one.
#[macro_export]
macro_rules! cache_conformance {
    ($factory:expr) => {
        $crate::cache_conformance! { @cases $factory;
            the_first_to_ask_makes_the_value
            many_who_ask_at_once_share_one_value
            who_waits_gets_what_another_process_makes
            a_maker_that_gives_up_wakes_one_to_follow
            a_maker_that_dies_frees_the_key
            who_waits_for_a_dead_maker_follows_it
            a_maker_that_renews_keeps_the_key
            a_lost_hold_puts_nothing
            a_value_is_kept_for_its_time
            a_forgotten_value_is_made_again
            keys_and_shelves_are_apart
            any_bytes_come_back_as_they_were
            a_value_is_bounded
            all_values_together_are_bounded
            what_is_past_its_time_makes_room
            every_way_of_asking_is_counted
        }
    };
    (@cases $factory:expr; $($case:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let harness: Option<$crate::conformance::cache::CacheHarness> =
                    ($factory)().await.into();
                if let Some(harness) = harness {
                    $crate::conformance::cache::$case(harness).await;
                }
            }
        )*
    };
}

fn key(number: u8) -> CacheKey {
    CacheKey {
        shelf: Shelf::Llm,
        digest: [number; 32],
    }
}

/// Waits for the value in a task of its own; returns once it does.
async fn waiter(cache: Arc<dyn Cache>, key: CacheKey) -> tokio::task::JoinHandle<Taken> {
    let waiting = tokio::spawn(async move { cache.take(&key, LEASE, SOON * 4).await.unwrap() });
    tokio::time::sleep(MOMENT * 2).await;
    assert!(!waiting.is_finished(), "did not wait");
    waiting
}

async fn soon<T>(task: tokio::task::JoinHandle<T>) -> T {
    let ended = tokio::time::timeout(SOON, task).await;
    ended.expect("in time").unwrap()
}

/// Of two who ask, one makes the value and the other is told so.
pub async fn the_first_to_ask_makes_the_value(h: CacheHarness) {
    let hold = h.hold(&key(1)).await;
    assert_eq!(h.take(&key(1)).await, Taken::Busy);
    assert!(h.cache.put(&hold, b"one", KEEP).await.unwrap());
    assert_eq!(h.take(&key(1)).await, Taken::Value(b"one".to_vec()));
}

/// However many ask at once, through one process or two, one of them makes it.
pub async fn many_who_ask_at_once_share_one_value(h: CacheHarness) {
    let other = h.other().await;
    let asks = (0..20).map(|number| {
        let cache = if number % 2 == 0 { &h.cache } else { &other };
        async move {
            match cache.take(&key(2), LEASE, SOON * 4).await.unwrap() {
                Taken::Value(value) => (value, false),
                Taken::Yours(hold) => {
                    tokio::time::sleep(MOMENT).await;
                    assert!(cache.put(&hold, b"shared", KEEP).await.unwrap());
                    (b"shared".to_vec(), true)
                }
                Taken::Busy => panic!("waited for one and was told of another"),
            }
        }
    });
    let got = join_all(asks).await;
    assert!(got.iter().all(|(value, _)| value == b"shared"));
    assert_eq!(got.iter().filter(|(_, made)| *made).count(), 1);
    let counts = h.counts().await.shelves[0].1;
    assert_eq!((counts.misses, counts.hits + counts.shared), (1, 19));
    assert!(counts.shared > 0);
}

/// Somebody who waits is woken by a put through another process.
pub async fn who_waits_gets_what_another_process_makes(h: CacheHarness) {
    let hold = h.hold(&key(3)).await;
    let waiting = waiter(h.other().await, key(3)).await;
    assert!(h.cache.put(&hold, b"made", KEEP).await.unwrap());
    assert_eq!(soon(waiting).await, Taken::Value(b"made".to_vec()));
}

/// Failures are not shared: one who waited goes on in place of the maker, and
/// the rest, who waited for the first and not for the second, need not wait again.
pub async fn a_maker_that_gives_up_wakes_one_to_follow(h: CacheHarness) {
    let hold = h.hold(&key(4)).await;
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(waiter(h.cache.clone(), key(4)).await);
    }
    h.cache.abandon(&hold).await.unwrap();
    let mut told = Vec::new();
    for waiter in waiting {
        told.push(soon(waiter).await);
    }
    let following = told.iter().filter(|told| matches!(told, Taken::Yours(_)));
    assert_eq!(following.count(), 1, "{told:?}");
    let others = told.iter().filter(|told| **told == Taken::Busy);
    assert_eq!(others.count(), 2, "{told:?}");
}

/// A maker that says nothing for a lease is dead: the next to ask makes it.
pub async fn a_maker_that_dies_frees_the_key(h: CacheHarness) {
    h.hold(&key(5)).await;
    h.clock.advance(LEASE - Duration::from_millis(1));
    assert_eq!(h.take(&key(5)).await, Taken::Busy);
    h.clock.advance(Duration::from_millis(1));
    h.put(&key(5), b"second", KEEP).await;
}

/// Who waits looks again when the maker's lease is over, though nobody tells.
pub async fn who_waits_for_a_dead_maker_follows_it(h: CacheHarness) {
    let short = MOMENT * 4;
    let dead = h.cache.take(&key(6), short, AT_ONCE).await.unwrap();
    assert!(matches!(dead, Taken::Yours(_)));
    let waiting = waiter(h.cache.clone(), key(6)).await;
    h.clock.advance(short);
    assert!(matches!(soon(waiting).await, Taken::Yours(_)));
}

/// A maker that renews in time keeps its key, however long it takes.
pub async fn a_maker_that_renews_keeps_the_key(h: CacheHarness) {
    let hold = h.hold(&key(7)).await;
    for _ in 0..5 {
        h.clock.advance(LEASE / 2);
        assert!(h.cache.renew(&hold, LEASE).await.unwrap());
    }
    assert_eq!(h.take(&key(7)).await, Taken::Busy);
    assert!(h.cache.put(&hold, b"late", KEEP).await.unwrap());
    assert!(!h.cache.renew(&hold, LEASE).await.unwrap(), "it is over");
}

/// Who lost its hold to another changes nothing, by any call.
pub async fn a_lost_hold_puts_nothing(h: CacheHarness) {
    let lost = h.hold(&key(8)).await;
    h.clock.advance(LEASE);
    let hold = h.hold(&key(8)).await;
    assert!(!h.cache.put(&lost, b"lost", KEEP).await.unwrap());
    assert!(!h.cache.renew(&lost, LEASE).await.unwrap());
    h.cache.abandon(&lost).await.unwrap();
    assert_eq!(h.take(&key(8)).await, Taken::Busy);
    assert!(h.cache.put(&hold, b"kept", KEEP).await.unwrap());
    assert!(!h.cache.put(&lost, b"lost", KEEP).await.unwrap());
    assert_eq!(h.take(&key(8)).await, Taken::Value(b"kept".to_vec()));
}

/// A value is there until its time is over, and then made again.
pub async fn a_value_is_kept_for_its_time(h: CacheHarness) {
    h.put(&key(9), b"old", KEEP).await;
    h.clock.advance(KEEP - Duration::from_millis(1));
    assert_eq!(h.take(&key(9)).await, Taken::Value(b"old".to_vec()));
    h.clock.advance(Duration::from_millis(1));
    h.put(&key(9), b"new", KEEP).await;
    assert_eq!(h.take(&key(9)).await, Taken::Value(b"new".to_vec()));
    let stats = h.counts().await;
    assert_eq!((stats.values, stats.bytes), (1, 3));
}

/// What is of no use is dropped; a value that is being made is left alone.
pub async fn a_forgotten_value_is_made_again(h: CacheHarness) {
    h.put(&key(10), b"bad", KEEP).await;
    h.cache.forget(&key(10)).await.unwrap();
    assert_eq!(h.counts().await.bytes, 0);
    let hold = h.hold(&key(10)).await;
    h.cache.forget(&key(10)).await.unwrap();
    assert!(h.cache.put(&hold, b"good", KEEP).await.unwrap());
    assert_eq!(h.take(&key(10)).await, Taken::Value(b"good".to_vec()));
}

/// One key says nothing of another, nor does the same digest on another shelf.
pub async fn keys_and_shelves_are_apart(h: CacheHarness) {
    h.put(&key(11), b"one", KEEP).await;
    let page = CacheKey {
        shelf: Shelf::Page,
        ..key(11)
    };
    h.put(&page, b"page", KEEP).await;
    h.put(&key(12), b"two", KEEP).await;
    assert_eq!(h.take(&key(11)).await, Taken::Value(b"one".to_vec()));
    assert_eq!(h.take(&page).await, Taken::Value(b"page".to_vec()));
    assert_eq!(h.counts().await.values, 3);
}

/// Nothing, zeros, line ends and no UTF-8: a store looks into no value.
pub async fn any_bytes_come_back_as_they_were(h: CacheHarness) {
    let every: Vec<u8> = (0..=255).collect();
    for (number, value) in [&[][..], b"\0", b"v 1 ", b"a\r\nb", &every]
        .iter()
        .enumerate()
    {
        let key = key(100 + number as u8);
        h.put(&key, value, KEEP).await;
        assert_eq!(h.take(&key).await, Taken::Value(value.to_vec()));
    }
}

/// The largest value is kept; a larger one is refused, and its hold stays.
pub async fn a_value_is_bounded(h: CacheHarness) {
    let largest = vec![7; limits::CACHE_VALUE_BYTES_MAX];
    h.put(&key(13), &largest, KEEP).await;
    assert_eq!(h.take(&key(13)).await, Taken::Value(largest.clone()));
    let hold = h.hold(&key(14)).await;
    let refused = h.cache.put(&hold, &[largest, vec![7]].concat(), KEEP).await;
    assert!(matches!(refused, Err(BrokerError::TooLarge { .. })));
    assert_eq!(h.take(&key(14)).await, Taken::Busy);
}

/// Those that end soonest make room; the bound is never passed.
pub async fn all_values_together_are_bounded(h: CacheHarness) {
    let third = vec![1; (CACHE_BYTES / 3) as usize];
    for (number, keep) in [(20, KEEP * 2), (21, KEEP), (22, KEEP * 3)] {
        h.put(&key(number), &third, keep).await;
    }
    assert_eq!(h.counts().await.values, 3);
    h.put(&key(23), &third, KEEP * 4).await;
    let stats = h.counts().await;
    assert_eq!((stats.values, stats.bytes), (3, 3 * third.len() as u64));
    assert!(matches!(h.take(&key(21)).await, Taken::Yours(_)));
    for number in [20, 22, 23] {
        assert!(matches!(h.take(&key(number)).await, Taken::Value(_)));
    }
}

/// Values past their time take no room from others.
pub async fn what_is_past_its_time_makes_room(h: CacheHarness) {
    let third = vec![1; (CACHE_BYTES / 3) as usize];
    h.put(&key(30), &third, KEEP * 10).await;
    h.put(&key(31), &third, KEEP).await;
    h.put(&key(32), &third, KEEP).await;
    h.clock.advance(KEEP);
    h.put(&key(33), &third, KEEP * 20).await;
    let stats = h.counts().await;
    assert_eq!((stats.values, stats.bytes), (2, 2 * third.len() as u64));
    assert!(matches!(h.take(&key(30)).await, Taken::Value(_)));
}

/// Hits, shares and misses are told apart, by shelf, for all processes together.
pub async fn every_way_of_asking_is_counted(h: CacheHarness) {
    let hold = h.hold(&key(40)).await;
    let waiting = waiter(h.other().await, key(40)).await;
    assert!(h.cache.put(&hold, b"value", KEEP).await.unwrap());
    soon(waiting).await;
    h.take(&key(40)).await;
    h.take(&key(40)).await;
    let page = CacheKey {
        shelf: Shelf::Page,
        ..key(41)
    };
    h.hold(&page).await;
    let counts = |hits, shared, misses| ShelfCounts {
        hits,
        shared,
        misses,
    };
    let expected = CacheStats {
        shelves: vec![
            (Shelf::Llm, counts(2, 1, 1)),
            (Shelf::Page, counts(0, 0, 1)),
        ],
        values: 1,
        bytes: 5,
    };
    assert_eq!(h.counts().await, expected);
    assert_eq!(h.other().await.counts().await.unwrap(), expected);
}
