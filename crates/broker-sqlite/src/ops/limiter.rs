//! Calls to a provider are admitted and settled.

use lovage_core::error::BrokerError;
use lovage_core::limiter::{
    Admission, Ask, CallSettle, LimitName, Limits, Remaining, Snapshot, State,
};
use rusqlite::{Connection, params};

use crate::statement::{all, execute, first, sql};
use crate::writer::Write;

/// Admits a call, or says how long to wait.
pub(crate) fn acquire(write: &mut Write<'_>, ask: &Ask) -> Result<Admission, BrokerError> {
    let mut state = load(write, &ask.name)?.unwrap_or_default();
    let admission = state.acquire(ask, write.now.as_millisecond());
    store(write, &ask.name, &state)?;
    Ok(admission)
}

/// Ends a call, once.
pub(crate) fn settle(write: &mut Write<'_>, settle: &CallSettle) -> Result<(), BrokerError> {
    let name = &settle.lease.name;
    let Some(mut state) = load(write, name)? else {
        return Ok(());
    };
    if state.settle(settle, write.now.as_millisecond()) {
        store(write, name, &state)?;
    }
    Ok(())
}

/// Takes note of what a provider says is left.
pub(crate) fn observe(
    write: &mut Write<'_>,
    name: &LimitName,
    remaining: Remaining,
) -> Result<(), BrokerError> {
    let Some(mut state) = load(write, name)? else {
        return Ok(());
    };
    state.observe(remaining);
    store(write, name, &state)
}

/// Sets the limits that go before those of the settings.
pub(crate) fn set_limits(
    write: &mut Write<'_>,
    name: &LimitName,
    overrides: Limits,
) -> Result<bool, BrokerError> {
    let Some(mut state) = load(write, name)? else {
        return Ok(false);
    };
    state.overrides = overrides;
    store(write, name, &state)?;
    Ok(true)
}

/// Every account and model, by name.
pub(crate) fn limits(conn: &Connection, now_ms: i64) -> Result<Vec<Snapshot>, BrokerError> {
    let stored = all(conn, sql!("limiters_read"), [], |row| {
        Ok((
            row.get::<_, String>("name")?,
            row.get::<_, String>("state")?,
        ))
    })?;
    let snapshot = |(name, state): (String, String)| {
        let name: LimitName = name
            .parse()
            .map_err(|error| BrokerError::Corrupt(format!("{error}")))?;
        Ok(read(&state)?.snapshot(name, now_ms))
    };
    stored.into_iter().map(snapshot).collect()
}

fn load(conn: &Connection, name: &LimitName) -> Result<Option<State>, BrokerError> {
    let stored = first(conn, sql!("limiter_read"), [name.as_str()], |row| {
        row.get::<_, String>("state")
    })?;
    stored.as_deref().map(read).transpose()
}

fn store(conn: &Connection, name: &LimitName, state: &State) -> Result<(), BrokerError> {
    let text = serde_json::to_string(state).expect("a state has a JSON form");
    execute(conn, sql!("limiter_write"), params![name.as_str(), text]).map(drop)
}

fn read(text: &str) -> Result<State, BrokerError> {
    serde_json::from_str(text)
        .map_err(|error| BrokerError::Corrupt(format!("a limiter's state: {error}")))
}
