//! The kinds a system knows, and how each one's input is checked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::estimate::Estimator;
use crate::id::{JobId, Kind, QueueName};
use crate::job::NewJob;
use crate::limits;
use crate::payload::Payload;
use crate::retry::Backoff;

/// One thing that is wrong with an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputError {
    /// JSON Pointer into the input, such as `/topic`; empty for the input itself.
    pub pointer: String,
    /// What was expected and what came.
    pub message: String,
}

/// Checks an input; says everything that is wrong with it.
pub type Check = Arc<dyn Fn(&Value) -> Result<(), Vec<InputError>> + Send + Sync>;

/// What a kind expects and how its jobs are run by default.
#[derive(Clone)]
pub struct KindSpec {
    /// The kind.
    pub kind: Kind,
    /// One sentence for a person.
    pub about: &'static str,
    /// Queue of jobs that name none.
    pub queue: QueueName,
    /// Attempts of jobs that name none.
    pub attempts_max: u32,
    /// Longest run of one attempt, of jobs that name none.
    pub timeout: Option<Duration>,
    /// Wait between attempts.
    pub backoff: Backoff,
    /// Whether inputs of succeeded jobs are kept: see [`NewJob::keep_input`].
    pub keep_input: bool,
    /// Checks the input.
    pub check: Check,
    /// Says what a job will probably use of a model; none where nobody knows.
    pub estimate: Option<Estimator>,
}

impl std::fmt::Debug for KindSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KindSpec")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl KindSpec {
    /// A kind that takes any input, in the default queue, three attempts, no timeout.
    pub fn new(kind: Kind, about: &'static str) -> Self {
        Self {
            kind,
            about,
            queue: QueueName::default(),
            attempts_max: 3,
            timeout: None,
            backoff: Backoff::default(),
            keep_input: true,
            check: Arc::new(|_| Ok(())),
            estimate: None,
        }
    }

    /// A job of this kind with the kind's queue, attempts, timeout and back-off.
    pub fn job(&self, id: JobId, input: Payload) -> NewJob {
        NewJob {
            queue: self.queue.clone(),
            attempts_max: self.attempts_max,
            timeout: self.timeout,
            backoff: self.backoff,
            keep_input: self.keep_input,
            ..NewJob::new(id, self.kind.clone(), input)
        }
    }
}

/// Why an enqueue request cannot become a job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// No such kind.
    #[error("unknown kind {got}; known kinds are {known}")]
    UnknownKind {
        /// What came.
        got: String,
        /// What there is, comma-separated.
        known: String,
    },
    /// The input is larger than is stored.
    #[error("the input has {got} bytes, at most {max} are taken")]
    TooLarge {
        /// Its size.
        got: usize,
        /// The bound.
        max: usize,
    },
    /// The input does not fit the kind.
    #[error("the input does not fit its kind")]
    Input(Vec<InputError>),
}

/// The kinds a system knows.
#[derive(Debug, Clone, Default)]
pub struct Catalog(BTreeMap<String, KindSpec>);

impl Catalog {
    /// A catalogue of these kinds.
    pub fn new(kinds: impl IntoIterator<Item = KindSpec>) -> Self {
        Self(
            kinds
                .into_iter()
                .map(|spec| (spec.kind.to_string(), spec))
                .collect(),
        )
    }

    /// The kinds, by name.
    pub fn kinds(&self) -> impl Iterator<Item = &KindSpec> {
        self.0.values()
    }

    /// Checks a kind and its input (as sent, `bytes` long).
    ///
    /// # Errors
    /// Says what was expected and what came.
    pub fn check(
        &self,
        kind: &str,
        input: &Value,
        bytes: usize,
    ) -> Result<&KindSpec, CatalogError> {
        let spec = self.0.get(kind).ok_or_else(|| CatalogError::UnknownKind {
            got: format!("{:?}", kind.chars().take(80).collect::<String>()),
            known: self.0.keys().cloned().collect::<Vec<_>>().join(", "),
        })?;
        if bytes > limits::INPUT_BYTES_MAX {
            return Err(CatalogError::TooLarge {
                got: bytes,
                max: limits::INPUT_BYTES_MAX,
            });
        }
        (spec.check)(input).map_err(CatalogError::Input)?;
        Ok(spec)
    }
}
