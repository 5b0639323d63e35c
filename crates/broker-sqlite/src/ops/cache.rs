//! Values made once and shared for a time.

use std::time::Duration;

use lovage_core::bound;
use lovage_core::cache::{CacheKey, CacheStats, Hold, Shelf, ShelfCounts, Taken};
use lovage_core::clock;
use lovage_core::error::BrokerError;
use lovage_core::limits;
use rusqlite::{Connection, params};
use tokio::time::Instant;

use crate::SqliteBroker;
use crate::statement::{execute, first, sql};
use crate::wake::Topic;
use crate::writer::Write;

/// What a look at a key found.
enum Look {
    Taken(Taken),
    /// Held under this token, for so long.
    Held([u8; 16], Duration),
}

/// The value of a key, or the right to make it; waits for one maker at most.
pub(crate) async fn take(
    broker: &SqliteBroker,
    key: &CacheKey,
    lease: Duration,
    wait: Duration,
) -> Result<Taken, BrokerError> {
    let key = *key;
    let deadline = Instant::now() + wait.min(limits::CACHE_WAIT_MAX);
    let look = |waited| {
        broker
            .writer
            .run(move |write| look(write, key, lease, waited))
    };
    let token = match look(false).await? {
        Look::Taken(taken) => return Ok(taken),
        Look::Held(..) if wait.is_zero() => return Ok(Taken::Busy),
        Look::Held(token, _) => token,
    };
    let listener = broker.writer.listen(vec![Topic::Cached(key)]);
    loop {
        let left = match look(true).await? {
            Look::Taken(taken) => return Ok(taken),
            Look::Held(other, _) if other != token => return Ok(Taken::Busy),
            Look::Held(_, left) => left,
        };
        if Instant::now() >= deadline {
            return Ok(Taken::Busy);
        }
        // Rung or not, looking again tells.
        listener
            .rung_before(deadline.min(Instant::now() + left))
            .await;
    }
}

fn look(
    write: &mut Write<'_>,
    key: CacheKey,
    lease: Duration,
    waited: bool,
) -> Result<Look, BrokerError> {
    let (name, now) = (key.to_string(), write.now.as_millisecond());
    let found = first(write, sql!("cache_find"), [&name], |row| {
        let token: Option<[u8; 16]> = row.get("token")?;
        let until: i64 = row.get("until_ms")?;
        Ok((token, until, row.get::<_, Option<Vec<u8>>>("value")?))
    })?;
    match found {
        Some((None, until, Some(value))) if until > now => {
            count(write, key.shelf, u8::from(!waited), u8::from(waited), 0)?;
            Ok(Look::Taken(Taken::Value(value)))
        }
        Some((Some(token), until, _)) if until > now => {
            let left = u64::try_from(until - now).unwrap_or(0);
            write.keep_nothing();
            Ok(Look::Held(token, Duration::from_millis(left)))
        }
        _ => {
            execute(write, sql!("cache_drop"), [&name])?;
            let hold = Hold::new(key, write.now);
            let until = clock::after(write.now, lease).as_millisecond();
            execute(
                write,
                sql!("cache_hold"),
                params![name, hold.token.into_bytes(), until],
            )?;
            count(write, key.shelf, 0, 0, 1)?;
            Ok(Look::Taken(Taken::Yours(hold)))
        }
    }
}

fn count(
    conn: &Connection,
    shelf: Shelf,
    hits: u8,
    shared: u8,
    misses: u8,
) -> Result<(), BrokerError> {
    let counted = params![shelf.as_str(), hits, shared, misses];
    execute(conn, sql!("cache_count"), counted).map(drop)
}

/// Lets a hold last for a lease from now.
pub(crate) fn renew(
    write: &mut Write<'_>,
    hold: &Hold,
    lease: Duration,
) -> Result<bool, BrokerError> {
    let until = clock::after(write.now, lease).as_millisecond();
    let moved = params![hold.key.to_string(), hold.token.into_bytes(), until];
    Ok(execute(write, sql!("cache_renew"), moved)? == 1)
}

/// Keeps a value, if its hold stands and there is room.
pub(crate) fn put(
    write: &mut Write<'_>,
    hold: &Hold,
    value: &[u8],
    keep: Duration,
    bytes_max: u64,
) -> Result<bool, BrokerError> {
    bound::cached(value)?;
    // The hold first: who lost it makes room for nobody.
    if !renew(write, hold, keep)? {
        return Ok(false);
    }
    if !make_room(write, value.len() as u64, bytes_max)? {
        abandon(write, hold)?;
        return Ok(false);
    }
    let until = clock::after(write.now, keep).as_millisecond();
    let kept = params![hold.key.to_string(), hold.token.into_bytes(), until, value];
    execute(write, sql!("cache_put"), kept)?;
    write.ring(Topic::Cached(hold.key));
    Ok(true)
}

/// Drops what is past its time, then what ends soonest, until `size` more bytes fit.
fn make_room(write: &mut Write<'_>, size: u64, bytes_max: u64) -> Result<bool, BrokerError> {
    let Some(room) = bytes_max.checked_sub(size) else {
        return Ok(false);
    };
    forget_past(write)?;
    for _ in 0..limits::CACHE_DROPS_MAX {
        if held(write)?.1 <= room {
            return Ok(true);
        }
        execute(write, sql!("cache_soonest"), [])?;
    }
    Ok(held(write)?.1 <= room)
}

/// Drops values and holds past their time, a bounded number.
pub(crate) fn forget_past(write: &Write<'_>) -> Result<(), BrokerError> {
    let past = params![write.now.as_millisecond(), limits::CACHE_DROPS_MAX];
    execute(write, sql!("cache_forget"), past).map(drop)
}

/// Ends a hold without a value.
pub(crate) fn abandon(write: &mut Write<'_>, hold: &Hold) -> Result<(), BrokerError> {
    let held = params![hold.key.to_string(), hold.token.into_bytes()];
    if execute(write, sql!("cache_free"), held)? == 1 {
        write.ring(Topic::Cached(hold.key));
    }
    Ok(())
}

/// Drops a value.
pub(crate) fn forget(write: &mut Write<'_>, key: &CacheKey) -> Result<(), BrokerError> {
    execute(write, sql!("cache_drop_value"), [key.to_string()]).map(drop)
}

/// What the cache holds and did.
pub(crate) fn counts(conn: &Connection) -> Result<CacheStats, BrokerError> {
    let shelves = Shelf::ALL.iter().map(|shelf| {
        let counts = first(conn, sql!("cache_counts"), [shelf.as_str()], |row| {
            Ok(ShelfCounts {
                hits: row.get("hits")?,
                shared: row.get("shared")?,
                misses: row.get("misses")?,
            })
        });
        Ok((*shelf, counts?.unwrap_or_default()))
    });
    let shelves = shelves.collect::<Result<_, BrokerError>>()?;
    let (values, bytes) = held(conn)?;
    Ok(CacheStats {
        shelves,
        values,
        bytes,
    })
}

/// Values kept, and their bytes.
fn held(conn: &Connection) -> Result<(u64, u64), BrokerError> {
    let size = first(conn, sql!("cache_size"), [], |row| {
        Ok((row.get("kept")?, row.get("bytes")?))
    })?;
    Ok(size.unwrap_or_default())
}
