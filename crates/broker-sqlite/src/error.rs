//! What SQLite says, as what a caller can do about it.

use lovage_core::error::BrokerError;
use rusqlite::{Error, ErrorCode};

/// The driver's error by what the caller can do.
pub(crate) fn broker_error(error: Error) -> BrokerError {
    match &error {
        Error::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::DiskFull => BrokerError::Full(error.into()),
            ErrorCode::ReadOnly => BrokerError::ReadOnly(error.into()),
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::CannotOpen
            | ErrorCode::PermissionDenied
            | ErrorCode::SystemIoFailure
            | ErrorCode::FileLockingProtocolFailed => BrokerError::Unavailable(error.into()),
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
                BrokerError::Corrupt(error.to_string())
            }
            _ => BrokerError::Other(error.into()),
        },
        Error::FromSqlConversionFailure(..)
        | Error::IntegralValueOutOfRange(..)
        | Error::InvalidColumnType(..)
        | Error::Utf8Error(..) => BrokerError::Corrupt(error.to_string()),
        _ => BrokerError::Other(error.into()),
    }
}

/// The same failure once more, for each of those it concerns.
pub(crate) fn repeated(error: &Error) -> BrokerError {
    broker_error(match error {
        Error::SqliteFailure(failure, message) => Error::SqliteFailure(*failure, message.clone()),
        other => Error::ToSqlConversionFailure(other.to_string().into()),
    })
}

/// A part of the broker that is no longer there: it is being closed.
pub(crate) fn closed() -> BrokerError {
    BrokerError::Unavailable("the store is being closed".into())
}

#[cfg(test)]
mod tests {
    use rusqlite::{Connection, OpenFlags};

    use super::*;

    #[test]
    fn a_full_disk_is_full() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE t (x); PRAGMA max_page_count = 3")
            .unwrap();
        let error = conn
            .execute("INSERT INTO t VALUES (zeroblob(100000))", [])
            .unwrap_err();
        assert!(matches!(broker_error(error), BrokerError::Full(_)));
    }

    #[test]
    fn a_file_that_takes_no_writes_is_read_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("jobs.db");
        Connection::open(&path)
            .unwrap()
            .execute_batch("CREATE TABLE t (x)")
            .unwrap();
        let conn = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let error = conn.execute("INSERT INTO t VALUES (1)", []).unwrap_err();
        assert!(matches!(broker_error(error), BrokerError::ReadOnly(_)));
    }

    #[test]
    fn a_file_of_something_else_is_corrupt() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("jobs.db");
        std::fs::write(&path, [b'x'; 4096]).unwrap();
        let conn = Connection::open(&path).unwrap();
        let error = conn.execute("CREATE TABLE t (x)", []).unwrap_err();
        assert!(matches!(repeated(&error), BrokerError::Corrupt(_)));
    }
}
