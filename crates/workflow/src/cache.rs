//! Values that cost something to make, made once and shared for a time by
//! every worker on a store.

pub use lovage_core::cache::{Cache, CacheKey, CacheStats, Hold, Shelf, ShelfCounts, Taken};
pub use lovage_core::limits::{
    CACHE_VALUE_BYTES_MAX as VALUE_BYTES_MAX, CACHE_WAIT_MAX as WAIT_MAX,
};
