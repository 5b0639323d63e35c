//! Connections to the file: one that writes, a few that read.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lovage_core::error::BrokerError;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction};
use tokio::sync::Semaphore;

use crate::config::{SqliteConfig, Synchronous};
use crate::error::{broker_error, closed};
use crate::schema;

/// Statements kept prepared per connection; more than there are.
const PREPARED_MAX: usize = 128;
/// Pages kept in memory per connection, as SQLite counts: negative is KiB.
const CACHE_KIB: i64 = -8_192;
/// The log is cut back to this after a long read or a large write made it grow.
const LOG_BYTES_MAX: i64 = 64 << 20;
/// Tries to put a new file in write-ahead mode while others open it too.
const OPEN_TRIES_MAX: usize = 100;
/// Reads at the same time.
const READERS_MAX: usize = 3;

/// The connection that writes, on a file that is there and current afterwards.
pub(crate) fn writer(config: &SqliteConfig) -> Result<Connection, BrokerError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(&config.path, flags).map_err(broker_error)?;
    conn.busy_timeout(config.busy_timeout)
        .map_err(broker_error)?;
    schema::check(&conn)?;
    set_up(&conn, config).map_err(broker_error)?;
    schema::migrate(&mut conn)?;
    Ok(conn)
}

fn set_up(conn: &Connection, config: &SqliteConfig) -> rusqlite::Result<()> {
    write_ahead(conn)?;
    let synchronous = match config.synchronous {
        Synchronous::Normal => "normal",
        Synchronous::Full => "full",
    };
    conn.pragma_update(None, "synchronous", synchronous)?;
    conn.pragma_update(None, "foreign_keys", true)?;
    conn.pragma_update_and_check(None, "journal_size_limit", LOG_BYTES_MAX, |_| Ok(()))?;
    if let Some(bytes) = config.size_max {
        let page: u64 = conn.pragma_query_value(None, "page_size", |row| row.get(0))?;
        conn.pragma_update_and_check(None, "max_page_count", bytes / page, |_| Ok(()))?;
    }
    tune(conn)
}

/// Puts the file in write-ahead mode. That needs the file alone and, unlike a
/// transaction, does not wait for it: processes that open a new file together
/// get in one another's way.
fn write_ahead(conn: &Connection) -> rusqlite::Result<()> {
    let mut tries = 0;
    loop {
        let mode: String = conn.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
        if mode == "wal" {
            return Ok(());
        }
        let switched = conn.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()));
        tries += 1;
        match switched {
            Err(error) if tries == OPEN_TRIES_MAX || !is_busy(&error) => return Err(error),
            Err(_) => conn.execute_batch("BEGIN IMMEDIATE; COMMIT")?,
            Ok(()) => return Ok(()),
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy)
}

/// Connections that read, opened when first needed, beside the async loop.
pub(crate) struct Readers {
    config: SqliteConfig,
    idle: Arc<Mutex<Vec<Connection>>>,
    room: Arc<Semaphore>,
}

impl Readers {
    pub(crate) fn new(config: SqliteConfig) -> Self {
        Self {
            config,
            idle: Arc::default(),
            room: Arc::new(Semaphore::new(READERS_MAX)),
        }
    }

    /// Runs `read` on one state of the store, whatever is written meanwhile.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Transaction<'_>) -> Result<T, BrokerError> + Send + 'static,
    ) -> Result<T, BrokerError> {
        let room = self.room.clone().acquire_owned().await;
        let room = room.map_err(|_| closed())?;
        let (idle, path, busy) = (
            self.idle.clone(),
            self.config.path.clone(),
            self.config.busy_timeout,
        );
        let done = tokio::task::spawn_blocking(move || {
            // Held here, so that a caller that goes away does not let one more in.
            let _room = room;
            let unused = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut conn = match unused {
                Some(conn) => conn,
                None => reader(&path, busy).map_err(broker_error)?,
            };
            let value = conn
                .transaction()
                .map_err(broker_error)
                .and_then(|tx| read(&tx));
            idle.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(conn);
            value
        });
        done.await
            .unwrap_or_else(|error| Err(BrokerError::Other(error.into())))
    }
}

fn reader(path: &std::path::Path, busy_timeout: Duration) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(busy_timeout)?;
    conn.pragma_update(None, "query_only", true)?;
    tune(&conn)?;
    Ok(conn)
}

fn tune(conn: &Connection) -> rusqlite::Result<()> {
    conn.pragma_update(None, "cache_size", CACHE_KIB)?;
    // Savepoints and triggers keep what they may undo in memory, not in a file.
    conn.pragma_update(None, "temp_store", "memory")?;
    // A plan must not depend on the values bound: it would be made anew for each.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.set_prepared_statement_cache_capacity(PREPARED_MAX);
    Ok(())
}
