//! Running the statements of `sql/`, each prepared once per connection.

use lovage_core::error::BrokerError;
use rusqlite::{Connection, Params, Row};

use crate::error::broker_error;

/// The text of a statement in `sql/`.
macro_rules! sql {
    ($name:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/src/sql/",
            $name,
            ".sql"
        ))
    };
}
pub(crate) use sql;

/// Runs a statement that gives no rows; says how many it changed.
pub(crate) fn execute(
    conn: &Connection,
    sql: &str,
    params: impl Params,
) -> Result<usize, BrokerError> {
    conn.prepare_cached(sql)
        .and_then(|mut statement| statement.execute(params))
        .map_err(broker_error)
}

/// The first row of a statement, if it gives any.
pub(crate) fn first<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>, BrokerError> {
    let first = || {
        let mut statement = conn.prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        rows.next()?.map(read).transpose()
    };
    first().map_err(broker_error)
}

/// Every row of a statement.
pub(crate) fn all<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, BrokerError> {
    conn.prepare_cached(sql)
        .and_then(|mut statement| statement.query_map(params, read)?.collect())
        .map_err(broker_error)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rusqlite::Connection;

    /// Tables that grow with the number of jobs.
    const LARGE: [&str; 8] = [
        "jobs",
        "records",
        "labels",
        "events",
        "checkpoints",
        "children",
        "keys",
        "cache",
    ];

    fn plan(conn: &Connection, sql: &str) -> Vec<String> {
        let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        for index in 1..=statement.parameter_count() {
            statement.raw_bind_parameter(index, 1).unwrap();
        }
        let mut rows = statement.raw_query();
        let mut details = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            details.push(row.get("detail").unwrap());
        }
        details
    }

    /// The statements call `jobs` j, `records` r, `checkpoints` and `children` c where they join.
    fn walks_a_large_table(step: &str) -> bool {
        let name = step
            .strip_prefix("SCAN ")
            .and_then(|rest| rest.split(' ').next());
        name.is_some_and(|name| LARGE.contains(&name) || ["j", "r", "c"].contains(&name))
    }

    #[test]
    fn no_statement_walks_a_table_that_grows() {
        let mut conn = Connection::open_in_memory().unwrap();
        crate::schema::migrate(&mut conn).unwrap();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sql");
        let mut looked_at = 0;
        for file in folder.read_dir().unwrap() {
            let path = file.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            if name.starts_with("schema_") {
                continue;
            }
            let steps = plan(&conn, &std::fs::read_to_string(&path).unwrap());
            for step in &steps {
                assert!(!walks_a_large_table(step), "{name}: {steps:?}");
                let sorts_much = step.contains("TEMP B-TREE") && name != "checkpoints_find";
                assert!(!sorts_much, "{name}: {steps:?}");
            }
            looked_at += 1;
        }
        assert!(looked_at > 40, "{looked_at} statements");
    }

    #[test]
    fn a_walk_is_noticed() {
        let mut conn = Connection::open_in_memory().unwrap();
        crate::schema::migrate(&mut conn).unwrap();
        let steps = plan(&conn, "SELECT * FROM jobs WHERE tenant = 'a'");
        assert!(walks_a_large_table(&steps[0]), "{steps:?}");
    }
}
