//! Messages that Celery workers took and never acknowledged: they died.
//!
//! Celery's workers give them back among themselves; this does it where none
//! of them is left. A message goes to the list of its own priority, next to go out.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use jiff::Timestamp;
use lovage_core::payload::Payload;
use redis::Script;
use uuid::Uuid;

use crate::json;
use crate::transport::{RedisResult, Transport, dead};

/// Tags looked at together.
const PAGE: isize = 100;
/// Pages looked at by one sweep.
const PAGES_MAX: usize = 10;
/// How long a mutex holds that nobody lets go, as with Celery.
const MUTEX_MS: u64 = 300_000;

static RESTORE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/restore.lua")));
static RELEASE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/release.lua")));

/// What is done with an abandoned message.
enum Fate {
    /// It goes into a list, as this text.
    Back { list: String, text: String },
    /// It was sent through an exchange, whose queues its own workers know.
    Stays,
}

type Object = BTreeMap<String, Payload>;

/// Gives back what was taken longer than `visibility` ago, unless another
/// process is at it; says how many. A bounded number per call.
pub(crate) async fn restore(
    transport: &Transport,
    visibility: Duration,
    now: Timestamp,
) -> RedisResult<usize> {
    let token = Uuid::new_v4().to_string();
    let mutex = transport.keys().unacked_mutex();
    let mut lock = redis::pipe();
    lock.cmd("SET")
        .arg(&mutex)
        .arg(&token)
        .arg("NX")
        .arg("PX")
        .arg(MUTEX_MS);
    let (locked,): (Option<String>,) = transport.link.send(&lock).await?;
    if locked.is_none() {
        return Ok(0);
    }
    let restored = sweep(transport, visibility, now).await;
    let mut release = RELEASE.key(mutex);
    transport.link.call::<()>(release.arg(token)).await?;
    restored
}

async fn sweep(transport: &Transport, visibility: Duration, now: Timestamp) -> RedisResult<usize> {
    let latest = now.as_duration().as_secs_f64() - visibility.as_secs_f64();
    let (mut restored, mut left) = (0, 0);
    for _ in 0..PAGES_MAX {
        let mut ask = redis::pipe();
        ask.zrangebyscore_limit(transport.keys().unacked_index(), "-inf", latest, left, PAGE);
        let (tags,): (Vec<Vec<u8>>,) = transport.link.send(&ask).await?;
        if tags.is_empty() {
            break;
        }
        for tag in tags {
            match give_back(transport, &tag, latest, now).await? {
                true => restored += 1,
                false => left += 1,
            }
        }
    }
    Ok(restored)
}

async fn give_back(
    transport: &Transport,
    tag: &[u8],
    latest: f64,
    now: Timestamp,
) -> RedisResult<bool> {
    let keys = transport.keys();
    let mut ask = redis::pipe();
    ask.hget(keys.unacked(), tag);
    let (value,): (Option<Vec<u8>>,) = transport.link.send(&ask).await?;
    let Some(value) = value else {
        let mut clear = redis::pipe();
        clear.zrem(keys.unacked_index(), tag).ignore();
        transport.link.send::<()>(&clear).await?;
        return Ok(true);
    };
    let Fate::Back { list, text } = fate(transport, &value, now) else {
        return Ok(false);
    };
    let mut restore = RESTORE.key(keys.unacked());
    restore
        .key(keys.unacked_index())
        .key(list)
        .arg(tag)
        .arg(latest)
        .arg(text)
        .arg(value);
    transport.link.call(&restore).await
}

fn fate(transport: &Transport, value: &[u8], now: Timestamp) -> Fate {
    let text = String::from_utf8_lossy(value);
    let text = json::strict(&text);
    let keys = transport.keys();
    match read(&text) {
        Some((_, exchange, _)) if !exchange.is_empty() => Fate::Stays,
        Some((envelope, _, queue)) => {
            let (text, priority) = redelivered(&envelope);
            Fate::Back {
                list: keys.queue(&queue, keys.step(priority)),
                text: json::pythonic(&text).into_owned(),
            }
        }
        None => Fate::Back {
            list: keys.dead(),
            text: dead(
                "",
                value,
                "an unacknowledged message that cannot be read",
                now,
            ),
        },
    }
}

/// Envelope, exchange and routing key.
fn read(text: &str) -> Option<(Object, String, String)> {
    serde_json::from_str(text).ok()
}

/// The envelope with the marks that Celery gives a message which goes out again,
/// and its priority.
fn redelivered(envelope: &Object) -> (String, u8) {
    let mut envelope = envelope.clone();
    let inner = |object: &Object, name: &str| -> Object {
        let inner = object.get(name).and_then(|inner| inner.read().ok());
        inner.unwrap_or_default()
    };
    let yes = Payload::of(&true).expect("a truth value has a JSON form");
    let mut headers = inner(&envelope, "headers");
    headers.insert("redelivered".to_owned(), yes.clone());
    let mut properties = inner(&envelope, "properties");
    let priority = properties
        .get("priority")
        .and_then(|number| number.read().ok());
    let mut delivery = inner(&properties, "delivery_info");
    delivery.insert("redelivered".to_owned(), yes);
    put(&mut properties, "delivery_info", &delivery);
    put(&mut envelope, "headers", &headers);
    put(&mut envelope, "properties", &properties);
    let text = serde_json::to_string(&envelope).expect("payloads have a JSON form");
    (text, priority.unwrap_or(0))
}

fn put(into: &mut Object, name: &str, object: &Object) {
    let object = Payload::of(object).expect("payloads have a JSON form");
    into.insert(name.to_owned(), object);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_out_again_is_marked_and_otherwise_as_it_was() {
        let number = "1".repeat(40);
        let envelope = format!(
            r#"[{{"body":"b","headers":{{"id":"1","n":{number}}},"properties":{{"priority":6,"delivery_tag":"t"}}}},"","celery"]"#
        );
        let (envelope, exchange, queue) = read(&envelope).unwrap();
        assert_eq!((exchange.as_str(), queue.as_str()), ("", "celery"));
        let (text, priority) = redelivered(&envelope);
        assert_eq!(priority, 6);
        assert_eq!(
            text,
            format!(
                r#"{{"body":"b","headers":{{"id":"1","n":{number},"redelivered":true}},"properties":{{"delivery_info":{{"redelivered":true}},"delivery_tag":"t","priority":6}}}}"#
            )
        );
    }
}
