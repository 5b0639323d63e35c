//! Every bound of the engine, related to one another. Units are in the names.

use std::time::Duration;

/// A worker that does not extend for this long loses all its jobs (L2).
pub const LEASE: Duration = Duration::from_secs(10);
/// How often a worker extends, and so learns of a cancel that no wake-up brought (K1).
pub const HEARTBEAT: Duration = Duration::from_secs(1);
/// How often expired leases are looked for.
pub const SWEEP: Duration = Duration::from_secs(2);
/// A claim loop that hears nothing looks again after this.
pub const WAKE_FALLBACK: Duration = Duration::from_secs(1);
/// How long a finished job is kept, unless its job says otherwise.
pub const KEEP: Duration = Duration::from_secs(24 * 3600);
/// How long a failed job stays in the dead list, unless its job says otherwise.
pub const KEEP_DEAD: Duration = Duration::from_secs(7 * 24 * 3600);
/// After its time to live, how long a job is still known to have been there (410, not 404).
pub const TOMBSTONE: Duration = Duration::from_secs(3600);
/// Window of an idempotency key.
pub const IDEMPOTENCY_WINDOW: Duration = Duration::from_secs(24 * 3600);
/// Longest time a job is parked, whatever it waits for.
pub const PARK_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long a child's result is kept at least: its parent may wait for slower siblings.
pub const KEEP_CHILD: Duration = Duration::from_secs(7 * 24 * 3600);
/// Longest wait of one long-poll.
pub const WAIT_MAX: Duration = Duration::from_secs(60);

/// Length of a kind, queue or tenant name, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// Length of a unique key, idempotency key, session or tag, in bytes.
pub const KEY_BYTES_MAX: usize = 200;
/// Tags of one job.
pub const TAGS_MAX: usize = 16;
/// Size of a job's input, in bytes.
pub const INPUT_BYTES_MAX: usize = 1 << 20;
/// Size of a job's result, in bytes.
pub const RESULT_BYTES_MAX: usize = 16 << 20;
/// Size of one checkpoint's value, in bytes.
pub const CHECKPOINT_BYTES_MAX: usize = 16 << 20;
/// Size of a signal's data, in bytes.
pub const SIGNAL_BYTES_MAX: usize = 1 << 20;
/// Size of one value of the cache, in bytes: a page of the largest size and its head.
pub const CACHE_VALUE_BYTES_MAX: usize = 4 << 20;
/// All values of the cache together, in bytes, unless its settings say otherwise.
pub const CACHE_BYTES_MAX: u64 = 64 << 20;
/// Values that one call drops to make room for another.
pub const CACHE_DROPS_MAX: usize = 128;
/// Longest wait for a value that somebody else makes.
pub const CACHE_WAIT_MAX: Duration = Duration::from_secs(600);
/// Children of one job, whenever it spawned them.
pub const CHILDREN_MAX: usize = 1_000;
/// Inputs of one group of children together, in bytes.
pub const SPAWN_BYTES_MAX: usize = 16 << 20;
/// Tenants of one queue that have a weight of their own.
pub const WEIGHTS_MAX: usize = 1_000;
/// Expired jobs ended by one sweep of a queue.
pub const EXPIRED_JOBS_MAX: usize = 256;
/// Jobs that wait to be started in one queue, unless its limits say otherwise.
pub const QUEUE_LENGTH_MAX: u64 = 10_000_000;
/// Jobs in one enqueue call.
pub const ENQUEUE_BATCH_MAX: usize = 1_000;
/// Jobs in one claim or settle call. Lua's `unpack` fails near 8,000 values.
pub const BATCH_MAX: usize = 256;
/// Due jobs promoted by one claim.
pub const PROMOTE_MAX: usize = 256;
/// Expired workers looked at by one sweep.
pub const EXPIRED_WORKERS_MAX: usize = 16;
/// Events kept per job; older ones go first.
pub const EVENTS_MAX: usize = 10_000;
/// Events returned by one call.
pub const EVENT_PAGE_MAX: usize = 500;
/// Jobs returned by one listing call.
pub const LIST_PAGE_MAX: usize = 200;
/// Jobs looked at by one listing call, matching or not.
pub const LIST_SCAN_MAX: usize = 2_000;
/// Failed attempts remembered in a job.
pub const HISTORY_MAX: usize = 10;
/// Largest number of attempts a job may ask for.
pub const ATTEMPTS_MAX: u32 = 1_000;
/// Queues in one store.
pub const QUEUES_MAX: usize = 256;

// Two heartbeats may be lost before a live worker is declared dead.
const _: () = assert!(HEARTBEAT.as_millis() * 3 <= LEASE.as_millis());
// From kill to rerun where another worker sweeps: lease, then a sweep, within 15 s.
const _: () = assert!(LEASE.as_secs() + SWEEP.as_secs() + WAKE_FALLBACK.as_secs() <= 15);
const _: () = assert!(BATCH_MAX < 7_000 && PROMOTE_MAX < 7_000);
const _: () = assert!(LIST_PAGE_MAX <= LIST_SCAN_MAX);
