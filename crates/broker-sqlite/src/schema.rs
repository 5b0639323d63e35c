//! The tables, and how older files become current.

use lovage_core::error::BrokerError;
use rusqlite::{Connection, TransactionBehavior};

use crate::error::broker_error;
use crate::row;
use crate::statement::{execute, sql};

/// What makes schema `n` of schema `n - 1`, from schema 1 of an empty file.
const STEPS: &[Step] = &[
    Step {
        tables: sql!("schema_1"),
        fill: |_| Ok(()),
    },
    Step {
        tables: sql!("schema_2"),
        fill: fill_expires,
    },
    Step {
        tables: sql!("schema_3"),
        fill: |_| Ok(()),
    },
    Step {
        tables: sql!("schema_4"),
        fill: |_| Ok(()),
    },
];

struct Step {
    tables: &'static str,
    /// Fills what the tables alone cannot say.
    fill: fn(&Connection) -> Result<(), BrokerError>,
}

/// Before schema 2 only the record said when a job expires. One that cannot be
/// read is found by whoever comes to it.
fn fill_expires(conn: &Connection) -> Result<(), BrokerError> {
    let mut find = conn.prepare(sql!("unstarted_load")).map_err(broker_error)?;
    let mut rows = find.query([]).map_err(broker_error)?;
    while let Some(row) = rows.next().map_err(broker_error)? {
        let found = row::recorded(row).map_err(broker_error)?;
        let expires = row::read(&found).ok().as_ref().and_then(row::expires_ms);
        if let Some(expires) = expires {
            execute(conn, sql!("job_expires"), [found.0.row, expires])?;
        }
    }
    Ok(())
}

/// The schema this program writes.
pub(crate) const KNOWN: u32 = STEPS.len() as u32;

/// Looks at the file before anything in it is changed.
///
/// # Errors
/// [`BrokerError::NewerSchema`] for a file of a newer program,
/// [`BrokerError::Unfit`] for the database of another one.
pub(crate) fn check(conn: &Connection) -> Result<u32, BrokerError> {
    // In one statement: another process may be making the tables just now.
    let (version, tables): (i64, i64) = conn
        .query_row(
            "SELECT user_version, (SELECT count(*) FROM sqlite_schema) FROM pragma_user_version",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .map_err(broker_error)?;
    let found = u32::try_from(version).unwrap_or(0);
    if found > KNOWN {
        return Err(BrokerError::NewerSchema {
            found,
            known: KNOWN,
        });
    }
    if found == 0 && tables > 0 {
        return Err(BrokerError::Unfit(
            "the file is the database of another program: name another file".to_owned(),
        ));
    }
    Ok(found)
}

/// Brings the file to the schema of this program, in one transaction.
///
/// # Errors
/// As [`check`], and what the file says.
pub(crate) fn migrate(conn: &mut Connection) -> Result<(), BrokerError> {
    if check(conn)? == KNOWN {
        return Ok(());
    }
    let tx = conn
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(broker_error)?;
    // Another process may have migrated while this one waited for the file.
    let found = check(&tx)?;
    for step in &STEPS[found as usize..] {
        tx.execute_batch(step.tables).map_err(broker_error)?;
        (step.fill)(&tx)?;
    }
    tx.pragma_update(None, "user_version", KNOWN)
        .map_err(broker_error)?;
    tx.commit().map_err(broker_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrating_twice_is_the_same_as_once() {
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn).unwrap();
        migrate(&mut conn).unwrap();
        assert_eq!(check(&conn).unwrap(), KNOWN);
    }

    #[test]
    fn a_newer_schema_is_refused_and_left_alone() {
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn).unwrap();
        conn.pragma_update(None, "user_version", KNOWN + 1).unwrap();
        let error = migrate(&mut conn).unwrap_err();
        assert!(
            matches!(error, BrokerError::NewerSchema { found, known } if found == KNOWN + 1 && known == KNOWN)
        );
    }

    #[test]
    fn the_database_of_another_program_is_refused() {
        let mut conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE bookmarks (url TEXT)")
            .unwrap();
        assert!(matches!(migrate(&mut conn), Err(BrokerError::Unfit(_))));
    }
}
