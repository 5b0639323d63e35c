//! Every key and channel of Celery that the bridge touches, and its own two.

/// Names of one broker and one result backend.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    /// `global_keyprefix` of the broker.
    pub(crate) prefix: String,
    /// `global_keyprefix` of the result backend, with its underscore.
    pub(crate) result_prefix: String,
    /// Database number of the broker.
    pub(crate) database: i64,
    /// Between a queue and its priority.
    pub(crate) sep: String,
    /// Priorities that have a list of their own, ascending from 0.
    pub(crate) steps: Vec<u8>,
}
