//! Where the store is and how it behaves.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lovage_core::clock::{Clock, SystemClock};
use lovage_core::limits;

/// What an acknowledged write survives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Synchronous {
    /// The end of any process. A power cut may take the last writes, never the file.
    #[default]
    Normal,
    /// A power cut too; one `fsync` per commit.
    Full,
}

/// How to open a store.
#[derive(Clone)]
pub struct SqliteConfig {
    /// The file; made when it is not there. Two more files stand beside it while it is open.
    pub path: PathBuf,
    /// How long a worker that does not extend keeps its jobs.
    pub lease: Duration,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// What an acknowledged write survives.
    pub synchronous: Synchronous,
    /// How long a call waits while another process holds the file.
    pub busy_timeout: Duration,
    /// Size of the file at which the store is full, in bytes; without it the disk decides.
    pub size_max: Option<u64>,
    /// Bytes that all values of the cache may take together.
    pub cache_bytes_max: u64,
}

impl SqliteConfig {
    /// The store at `path`, with the engine's lease, the machine's clock and
    /// 5 s of patience with other processes, as large as the disk allows.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            lease: limits::LEASE,
            clock: Arc::new(SystemClock),
            synchronous: Synchronous::Normal,
            busy_timeout: Duration::from_secs(5),
            size_max: None,
            cache_bytes_max: limits::CACHE_BYTES_MAX,
        }
    }
}

impl fmt::Debug for SqliteConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteConfig")
            .field("path", &self.path)
            .field("lease", &self.lease)
            .field("synchronous", &self.synchronous)
            .field("busy_timeout", &self.busy_timeout)
            .field("size_max", &self.size_max)
            .field("cache_bytes_max", &self.cache_bytes_max)
            .finish_non_exhaustive()
    }
}
