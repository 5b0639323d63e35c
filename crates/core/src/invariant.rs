//! The promises, by number. Conformance tests, simulation and documents name these.

/// A promise of the queue engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invariant {
    /// Its number, such as `L3`.
    pub id: &'static str,
    /// What holds.
    pub promise: &'static str,
}

/// Every promise, in the order of `crates/README.md`.
pub const ALL: &[Invariant] = &[
    inv(
        "E1",
        "an acknowledged enqueue survives the loss of its producer",
    ),
    inv(
        "E2",
        "the same idempotency key gives the same job; another body under it is refused",
    ),
    inv(
        "E3",
        "a unique key is held by one unfinished job of its queue",
    ),
    inv(
        "E4",
        "a job that was not started in time ends, whether or not anybody claims",
    ),
    inv("C1", "a job has at most one live token"),
    inv("C2", "inside a lane, first in is first out"),
    inv(
        "C3",
        "a higher priority is claimed first; lanes of one priority share by weight",
    ),
    inv("C4", "a paused queue gives nothing and loses nothing"),
    inv("C5", "a claim never gives more than was asked for"),
    inv(
        "C6",
        "a queue takes and gives no more than its limits allow, and all that they allow",
    ),
    inv(
        "L1",
        "a worker that extends in time keeps its jobs, however long they run",
    ),
    inv(
        "L2",
        "a worker that does not extend for a lease loses all its jobs",
    ),
    inv(
        "L3",
        "whoever lost a job cannot write anything about it, and is told so",
    ),
    inv(
        "S1",
        "a settle changes state, result, event, counters and unique key together or not at all",
    ),
    inv("S2", "settling twice under one token is the same as once"),
    inv(
        "S3",
        "a final job never changes, except by redrive and by the end of its time to live",
    ),
    inv(
        "S4",
        "a checkpoint is seen by every later attempt, and written once",
    ),
    inv(
        "K1",
        "a job nobody runs is cancelled at once; a running one is told within a second",
    ),
    inv(
        "K2",
        "a job that does not stop within a lease is cancelled anyway",
    ),
    inv("P1", "a waiting job holds no slot and survives restarts"),
    inv(
        "P2",
        "a parent is queued exactly once when its children are over; they keep their order",
    ),
    inv(
        "P3",
        "a signal reaches its job once, whether it comes before or after the job waits for it",
    ),
    inv(
        "V1",
        "a job's events have one strictly increasing sequence; a cursor misses none that are kept",
    ),
    inv(
        "Q1",
        "the live counts equal what a full scan finds when nothing moves",
    ),
    inv(
        "Q2",
        "a listing shows every job that stayed in its state exactly once",
    ),
    inv(
        "D1",
        "what cannot be read goes to the dead list and stops nothing else",
    ),
    inv(
        "R1",
        "after any crash all of the above hold again without a person",
    ),
];

const fn inv(id: &'static str, promise: &'static str) -> Invariant {
    Invariant { id, promise }
}
