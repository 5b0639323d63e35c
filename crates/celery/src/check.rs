//! A look at a broker: its queues, their lengths, a sample of task names.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;

use crate::bridge::BridgeError;
use crate::config::CeleryConfig;
use crate::message::Task;
use crate::transport::{RedisResult, Transport};

/// Messages of one list looked at, those that are next to go out.
const SAMPLE: isize = 50;
/// Keys looked at in one call.
const SCAN: usize = 1_000;
/// Calls that look for queues; a very full server is looked at in part.
const SCANS_MAX: usize = 2_000;

/// What a broker has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Its queues, by name; those of the settings even when nobody has used them.
    pub queues: Vec<CheckedQueue>,
    /// Tasks of the messages looked at, and all that are mapped, by name.
    pub tasks: Vec<CheckedTask>,
    /// Messages looked at that are no tasks.
    pub unreadable: u64,
    /// Messages that bridges hold.
    pub held: u64,
    /// Messages that were no tasks, kept for a person.
    pub dead: u64,
}

/// A queue of Celery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedQueue {
    /// Its name.
    pub name: String,
    /// Whether the settings take its messages.
    pub taken: bool,
    /// Priorities that have a list of their own, the most urgent first, and how
    /// many messages wait there.
    pub lengths: Vec<(u8, u64)>,
}

/// A task of Celery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedTask {
    /// Its name.
    pub name: String,
    /// Messages of it among those looked at.
    pub seen: u64,
    /// The kind of job it is here; none when it is not mapped.
    pub kind: Option<String>,
}

/// Looks at the broker of `config`, and changes nothing.
///
/// # Errors
/// A setting that cannot be used, or a server that does not answer.
pub async fn check(config: &CeleryConfig) -> Result<Checked, BridgeError> {
    let transport = Transport::open(config)?;
    let mut names = queues(&transport).await?;
    names.extend(config.queues.iter().cloned());
    let mut seen: BTreeMap<String, u64> =
        config.tasks.keys().map(|name| (name.clone(), 0)).collect();
    let (mut queues, mut unreadable) = (Vec::new(), 0);
    for name in names {
        let mut lengths = Vec::new();
        for &step in &transport.keys().steps {
            let list = transport.keys().queue(&name, step);
            let (length, messages) = look(&transport, &list).await?;
            lengths.push((step, length));
            for message in messages {
                match Task::decode(&message, &TimeZone::UTC) {
                    Ok(task) => *seen.entry(task.name).or_default() += 1,
                    Err(_) => unreadable += 1,
                }
            }
        }
        queues.push(CheckedQueue {
            taken: config.queues.contains(&name),
            name,
            lengths,
        });
    }
    let tasks = seen.into_iter().map(|(name, seen)| CheckedTask {
        kind: config.tasks.get(&name).map(|mapping| mapping.kind.clone()),
        name,
        seen,
    });
    let (held, dead) = kept(&transport).await?;
    Ok(Checked {
        queues,
        tasks: tasks.collect(),
        unreadable,
        held,
        dead,
    })
}

/// How many messages a list has, and those that are next to go out.
async fn look(transport: &Transport, list: &str) -> RedisResult<(u64, Vec<Vec<u8>>)> {
    let mut ask = redis::pipe();
    ask.llen(list).lrange(list, -SAMPLE, -1);
    transport.link.send(&ask).await
}

async fn kept(transport: &Transport) -> RedisResult<(u64, u64)> {
    let mut ask = redis::pipe();
    ask.hlen(transport.keys().ledger())
        .llen(transport.keys().dead());
    transport.link.send(&ask).await
}

/// The queues that were declared, but for those of remote control and events.
async fn queues(transport: &Transport) -> RedisResult<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let pattern = escaped(&transport.keys().bindings("")) + "*";
    let mut cursor = 0_u64;
    for _ in 0..SCANS_MAX {
        let mut scan = redis::pipe();
        scan.cmd("SCAN")
            .arg(cursor)
            .arg("MATCH")
            .arg(&pattern)
            .arg("COUNT")
            .arg(SCAN)
            .arg("TYPE")
            .arg("set");
        let ((next, tables),): ((u64, Vec<String>),) = transport.link.send(&scan).await?;
        for table in tables {
            names.extend(bound(transport, &table).await?);
        }
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    Ok(names)
}

/// The queues in one table of bindings.
async fn bound(transport: &Transport, table: &str) -> RedisResult<Vec<String>> {
    let mut ask = redis::pipe();
    ask.smembers(table);
    let (members,): (Vec<String>,) = transport.link.send(&ask).await?;
    let queues = members.iter().filter_map(|member| {
        let queue = member.rsplit(&transport.keys().sep).next()?;
        let own = queue.ends_with("celery.pidbox") || queue.starts_with("celeryev");
        (!own && !queue.is_empty()).then(|| queue.to_owned())
    });
    Ok(queues.collect())
}

/// A text that a pattern of Redis takes as it is.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '\\' | '^' | '-') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}
