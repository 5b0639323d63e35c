//! One file per verb: what it does, inside one transaction.

pub(crate) mod cache;
pub(crate) mod cancel;
pub(crate) mod checkpoint;
pub(crate) mod children;
pub(crate) mod claim;
pub(crate) mod emit;
pub(crate) mod enqueue;
pub(crate) mod events;
pub(crate) mod extend;
pub(crate) mod limit;
pub(crate) mod limiter;
pub(crate) mod promote;
pub(crate) mod prune;
pub(crate) mod query;
pub(crate) mod reclaim;
pub(crate) mod redrive;
pub(crate) mod settle;
pub(crate) mod signal;
pub(crate) mod spawn;
