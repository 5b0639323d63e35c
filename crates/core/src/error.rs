//! What can go wrong between a caller and a store, by what the caller can do.

/// A source error of a store's driver.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// An error and every cause behind it, in one line.
///
/// ```
/// use lovage_core::error::{BrokerError, chain};
/// let error = BrokerError::Unavailable("connection refused".into());
/// assert_eq!(chain(&error), "the store cannot be reached: connection refused");
/// ```
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some drivers repeat their cause in their own words.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// Why a broker could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// Try again later; it is not known whether the last call took effect.
    #[error("the store cannot be reached")]
    Unavailable(#[source] BoxError),
    /// The store takes no new data; running jobs can still settle.
    #[error("the store is full")]
    Full(#[source] BoxError),
    /// The store answers but refuses writes (a replica, or a read-only disk).
    #[error("the store is read-only")]
    ReadOnly(#[source] BoxError),
    /// The store was written by a newer version of this program.
    #[error("the store has schema {found}, this program knows up to {known}: use a newer lovage")]
    NewerSchema {
        /// What the store says.
        found: u32,
        /// What this program knows.
        known: u32,
    },
    /// The store is set up in a way that loses jobs; says which setting and what to set.
    #[error("{0}")]
    Unfit(String),
    /// The job is held under another token, or by nobody: drop it, write nothing (L3).
    #[error("the lease is no longer ours")]
    LeaseLost,
    /// The worker's lease ran out: register anew under a new id, drop what is held.
    #[error("the worker is not registered, or its lease ran out")]
    WorkerUnknown,
    /// A cursor that this store did not make.
    #[error("not a cursor of this listing")]
    BadCursor,
    /// Something stored cannot be read.
    #[error("a stored record cannot be read: {0}")]
    Corrupt(String),
    /// A value beyond its bound.
    #[error("{what} has {got} bytes, at most {max} are stored")]
    TooLarge {
        /// What was too large.
        what: &'static str,
        /// Its size.
        got: usize,
        /// The bound.
        max: usize,
    },
    /// More of something than its bound.
    #[error("{what}: {got}, at most {max} are taken")]
    TooMany {
        /// What was too many, in the plural.
        what: &'static str,
        /// How many.
        got: usize,
        /// The bound.
        max: usize,
    },
    /// A batch to be stored whole names queues that this store cannot change at
    /// once: send one batch per queue.
    #[error("a batch that is stored whole must name one queue on this store, got {queues}")]
    Divided {
        /// How many queues it names.
        queues: usize,
    },
    /// Anything else the driver says.
    #[error("the store failed")]
    Other(#[source] BoxError),
}

impl BrokerError {
    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(_) | Self::Full(_) | Self::ReadOnly(_)
        )
    }
}
