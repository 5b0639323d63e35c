//! Every key, in one place.
//!
//! All keys of a queue begin with `<prefix>:{<queue>}:`; the hash tag puts them
//! into one slot, so that a script may touch any of them. After the prefix:
//!
//! | key | type | holds |
//! |---|---|---|
//! | `j:<id>` | string | the record (`lovage_core::record`) |
//! | `l:<priority>:<tenant>` | list | ids queued in a lane; claim takes left, enqueue adds right, reclaim adds left |
//! | `lanes` | zset | lanes with jobs, by band and virtual time |
//! | `v` | hash | where lanes without jobs left off |
//! | `o` | hash | lane → jobs that ever left it at the left: keeps positions of a listing |
//! | `z` | set | ids cancelled in their lane and not yet taken out of it |
//! | `d` | zset | `id:priority:tenant` of scheduled and waiting jobs, by due ms |
//! | `a` | hash | id → token of every running job |
//! | `t` | hash | id → attempts used, of every unfinished job that has a state hash |
//! | `w` | zset | worker → deadline ms; -1: declared lost |
//! | `c` | zset | running jobs asked to stop, by ms |
//! | `x:<worker>` | list | ids its worker is to stop |
//! | `s:<id>` | hash | `seq`, `progress`, `kept` and checkpoints of a job that has some; `settled`: the token of the last settle, `-` where the store ended the attempt, `-:<ms>` of a redrive: what its claims are later than; `ends`: when its earlier ends are forgotten; `parent` of a child, or several; `parked`: what a waiting job waits for besides its time |
//! | `ch:<id>` | hash | child → state letter or `-` while it is not over; `left`, `failed`: how many; `g:<group>`: spawned |
//! | `cl:<id>` | list | `child group` of its children, in order |
//! | `parents` | zset | jobs that wait for children, by when they are looked after |
//! | `ex` | zset | ids by `expires_at`; those that were started in time are passed over |
//! | `weights` | hash | tenant → virtual time of one of its jobs |
//! | `e:<id>` | stream | its events, entry `<seq>-0` |
//! | `u:<tenant>:<key>` | string | `id until_ms` of the holder of a unique key; 0: until it is final |
//! | `i:<tenant>:<key>` | string | `id until_ms fingerprint` of an idempotency key |
//! | `fin` | stream | finished ids in batches: `g` ms when forgotten, `i` ids |
//! | `g` | zset | entries of `fin` by `g` |
//! | `dead` | zset | failed ids, newest first |
//! | `ix:s:<session>`, `ix:t:<tag>` | zset | ids, newest first |
//! | `n` | hash | counters, pause, limits, clocks of the bands, the last sweep |
//! | `k` | list | the wake token, at most one |
//! | `mark` | string | written for replicas to be waited for |
//! | `news` | channel | ids of jobs that have something new |
//!
//! All keys of the cache begin with `<prefix>:{~cache}:`, which is no queue's name:
//!
//! | key | type | holds |
//! |---|---|---|
//! | `e:<shelf>:<digest>` | string | `h <until ms> <token>` while the value is being made, then `v <until ms> <value>` |
//! | `t` | zset | values by until ms |
//! | `b` | hash | value → its bytes |
//! | `n` | hash | `<shelf>:hits`, `:shared`, `:misses`; `bytes` of all values |
//! | `news` | channel | `<shelf>:<digest>` of what is no longer being made |
//!
//! The keys of an account and model that calls are admitted for begin with
//! `<prefix>:{limit:<name>}:`, which no queue's do:
//!
//! | key | type | holds |
//! |---|---|---|
//! | `b` | hash | `lovage_core::limiter::State`: numbers, totals, limits of the settings (`s_`) and set by a person (`o_`) |
//! | `l` | zset | calls in flight, by when they run out |
//! | `h` | zset | processes that ask, by when they asked last |
//!
//! `<prefix>:queues` is the set of all queues, `<prefix>:limits` of all accounts
//! and models, `<prefix>:schema` the version of all this, `<prefix>:ping` a probe.

use std::fmt::Display;

use lovage_core::id::{JobId, Priority, QueueName, Tenant, WorkerId};
use lovage_core::job::Job;
use lovage_core::limiter::LimitName;

/// Names keys under one prefix.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    prefix: String,
}

impl Keys {
    pub(crate) fn new(prefix: String) -> Self {
        Self { prefix }
    }

    /// What every key of a queue begins with.
    pub(crate) fn queue(&self, queue: &QueueName) -> String {
        format!("{}:{{{queue}}}:", self.prefix)
    }

    /// What every key of the cache begins with.
    pub(crate) fn cache(&self) -> String {
        format!("{}:{{~cache}}:", self.prefix)
    }

    pub(crate) fn queues(&self) -> String {
        format!("{}:queues", self.prefix)
    }

    pub(crate) fn schema(&self) -> String {
        format!("{}:schema", self.prefix)
    }

    pub(crate) fn ping(&self) -> String {
        format!("{}:ping", self.prefix)
    }

    pub(crate) fn record(&self, queue: &QueueName, id: JobId) -> String {
        self.of(queue, "j", id)
    }

    pub(crate) fn state(&self, queue: &QueueName, id: JobId) -> String {
        self.of(queue, "s", id)
    }

    pub(crate) fn events(&self, queue: &QueueName, id: JobId) -> String {
        self.of(queue, "e", id)
    }

    pub(crate) fn children(&self, queue: &QueueName, id: JobId) -> String {
        self.of(queue, "cl", id)
    }

    pub(crate) fn unique(&self, queue: &QueueName, name: &str) -> String {
        self.of(queue, "u", name)
    }

    pub(crate) fn family(&self, queue: &QueueName, id: JobId) -> String {
        self.of(queue, "ch", id)
    }

    pub(crate) fn lane(&self, queue: &QueueName, lane: &str) -> String {
        self.of(queue, "l", lane)
    }

    pub(crate) fn inbox(&self, queue: &QueueName, worker: &WorkerId) -> String {
        self.of(queue, "x", worker)
    }

    pub(crate) fn index(&self, queue: &QueueName, name: &str) -> String {
        self.of(queue, "ix", name)
    }

    pub(crate) fn lanes(&self, queue: &QueueName) -> String {
        self.queue(queue) + "lanes"
    }

    pub(crate) fn lane_offsets(&self, queue: &QueueName) -> String {
        self.queue(queue) + "o"
    }

    pub(crate) fn due(&self, queue: &QueueName) -> String {
        self.queue(queue) + "d"
    }

    pub(crate) fn cancels(&self, queue: &QueueName) -> String {
        self.queue(queue) + "c"
    }

    pub(crate) fn running(&self, queue: &QueueName) -> String {
        self.queue(queue) + "a"
    }

    pub(crate) fn workers(&self, queue: &QueueName) -> String {
        self.queue(queue) + "w"
    }

    pub(crate) fn expiring(&self, queue: &QueueName) -> String {
        self.queue(queue) + "ex"
    }

    pub(crate) fn finished(&self, queue: &QueueName) -> String {
        self.queue(queue) + "fin"
    }

    pub(crate) fn forgettable(&self, queue: &QueueName) -> String {
        self.queue(queue) + "g"
    }

    pub(crate) fn dead(&self, queue: &QueueName) -> String {
        self.queue(queue) + "dead"
    }

    pub(crate) fn counters(&self, queue: &QueueName) -> String {
        self.queue(queue) + "n"
    }

    pub(crate) fn wake_token(&self, queue: &QueueName) -> String {
        self.queue(queue) + "k"
    }

    pub(crate) fn limits(&self) -> String {
        format!("{}:limits", self.prefix)
    }

    /// What every key of an account and model begins with.
    pub(crate) fn limit(&self, name: &LimitName) -> String {
        format!("{}:{{limit:{name}}}:", self.prefix)
    }

    pub(crate) fn limit_state(&self, name: &LimitName) -> String {
        self.limit(name) + "b"
    }

    pub(crate) fn limit_leases(&self, name: &LimitName) -> String {
        self.limit(name) + "l"
    }

    pub(crate) fn limit_holders(&self, name: &LimitName) -> String {
        self.limit(name) + "h"
    }

    fn of(&self, queue: &QueueName, what: &str, name: impl Display) -> String {
        format!("{}:{{{queue}}}:{what}:{name}", self.prefix)
    }
}

/// The channel of the queue, or of the cache, whose keys begin so.
pub(crate) fn news(prefix: &str) -> String {
    format!("{prefix}news")
}

/// The mark of the queue whose keys begin so.
pub(crate) fn mark(queue: &[u8]) -> Vec<u8> {
    [queue, b"mark"].concat()
}

/// A key in the slot of another, which nobody ever writes.
pub(crate) fn missing(key: &[u8]) -> Vec<u8> {
    [key, b"~"].concat()
}

/// A lane's name.
pub(crate) fn lane(priority: Priority, tenant: &Tenant) -> String {
    format!("{}:{tenant}", priority.get())
}

/// A job's lane.
pub(crate) fn lane_of(job: &Job) -> String {
    lane(job.priority, &job.tenant)
}

/// The part of a unique or idempotency key after its kind.
pub(crate) fn scoped(tenant: &Tenant, key: &str) -> String {
    format!("{tenant}:{key}")
}

/// The unique key that a job gives back when it is final; none where it has a window.
pub(crate) fn freed_unique(job: &Job) -> String {
    match &job.unique {
        Some(unique) if unique.window.is_none() => scoped(&job.tenant, &unique.key),
        _ => String::new(),
    }
}

/// Index name of a session.
pub(crate) fn session(session: &str) -> String {
    format!("s:{session}")
}

/// Index name of a tag.
pub(crate) fn tag(tag: &str) -> String {
    format!("t:{tag}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_a_queue_has_its_hash_tag() {
        let keys = Keys::new("lovage".into());
        let queue: QueueName = "mail".parse().unwrap();
        assert_eq!(news(&keys.queue(&queue)), "lovage:{mail}:news");
        // The first braces count, so a session may hold any text.
        assert_eq!(
            keys.index(&queue, &session("}x{")),
            "lovage:{mail}:ix:s:}x{"
        );
        assert!(
            "~cache".parse::<QueueName>().is_err(),
            "no queue shares the cache's keys"
        );
        let limit = LimitName::new("openai", "a}b{c", "00");
        let state = keys.limit_state(&limit);
        assert_eq!(state, "lovage:{limit:openai/a-b-c#00}:b");
        assert!("limit:openai".parse::<QueueName>().is_err());
    }
}
