//! The store's file, and whether it is still there.

use std::io;
use std::path::{Path, PathBuf};

use lovage_core::error::BrokerError;

/// The file that was opened. SQLite goes on with one that was deleted or
/// replaced under it, and what it writes then is lost.
#[derive(Debug, Clone)]
pub(crate) struct StoreFile {
    path: PathBuf,
    identity: Identity,
}

impl StoreFile {
    /// The file at `path`, which was just opened.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`] when it is gone already.
    pub(crate) fn opened(path: PathBuf) -> Result<Self, BrokerError> {
        let identity = identity(&path).map_err(unavailable)?;
        Ok(Self { path, identity })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file at the path is still the one that was opened.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`] when it is not.
    pub(crate) fn check(&self) -> Result<(), BrokerError> {
        let found = identity(&self.path).map_err(unavailable)?;
        if found == self.identity {
            Ok(())
        } else {
            Err(unavailable(io::Error::other(
                "another file stands where the store was opened: restart to use it",
            )))
        }
    }
}

fn unavailable(error: io::Error) -> BrokerError {
    BrokerError::Unavailable(error.into())
}

/// Device and number, by which the system knows a file whatever its name.
#[cfg(unix)]
type Identity = (u64, u64);

#[cfg(unix)]
fn identity(path: &Path) -> io::Result<Identity> {
    use std::os::unix::fs::MetadataExt;
    let found = path.metadata()?;
    Ok((found.dev(), found.ino()))
}

/// Elsewhere an open file cannot be deleted.
#[cfg(not(unix))]
type Identity = ();

#[cfg(not(unix))]
fn identity(path: &Path) -> io::Result<Identity> {
    path.metadata().map(drop)
}
