//! The scripts, each compiled with what it needs in front of it.
//!
//! Scripts with `allow-oom` also run when the server is full: they give
//! memory back or need next to none, so that running jobs can still end.

use std::sync::LazyLock;

use redis::aio::ConnectionLike;
use redis::{Cmd, ErrorKind, FromRedisValue, RedisResult, ServerErrorKind, ToRedisArgs};

macro_rules! script {
    ($($name:ident = $shebang:literal $($file:literal)+;)+) => {
        $(pub(crate) static $name: LazyLock<Script> = LazyLock::new(|| {
            Script(redis::Script::new(concat!($shebang, "\n", $(include_str!($file)),+)))
        });)+
    };
}

/// A script, known to a server by its hash.
pub(crate) struct Script(redis::Script);

/// A script with its keys and arguments, which are written once: the driver's
/// own invocation keeps each apart and copies them all for every send.
pub(crate) struct Call {
    script: &'static Script,
    command: Cmd,
}

impl Script {
    /// A call about one queue: its prefix is the key.
    pub(crate) fn on(&'static self, key: String) -> Call {
        self.on_all(&[key])
    }

    /// A call about several keys.
    pub(crate) fn on_all(&'static self, keys: &[String]) -> Call {
        let mut command = redis::cmd("EVALSHA");
        command.arg(self.0.get_hash()).arg(keys.len()).arg(keys);
        Call {
            script: self,
            command,
        }
    }
}

impl Call {
    /// Adds an argument, or several.
    pub(crate) fn arg(&mut self, arg: impl ToRedisArgs) -> &mut Self {
        self.command.arg(arg);
        self
    }

    /// Runs the script by its hash, and loads it first where the server does not know it.
    pub(crate) async fn run<T: FromRedisValue>(
        &self,
        line: &mut impl ConnectionLike,
    ) -> RedisResult<T> {
        match self.command.query_async(line).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.script.0.load_async(line).await?;
                self.command.query_async(line).await
            }
            answer => answer,
        }
    }
}

script! {
    ENQUEUE = "#!lua" "lua/clock.lua" "lua/prelude.lua" "lua/store.lua" "lua/enqueue.lua";
    SPAWN = "#!lua" "lua/clock.lua" "lua/prelude.lua" "lua/store.lua" "lua/spawn.lua";
    SIGNAL = "#!lua" "lua/clock.lua" "lua/prelude.lua" "lua/signal.lua";
    LIMIT = "#!lua flags=allow-oom" "lua/clock.lua" "lua/prelude.lua" "lua/limit.lua";
    NEWER = "#!lua flags=allow-oom" "lua/clock.lua" "lua/prelude.lua" "lua/newer.lua";
    RECOUNT = "#!lua flags=allow-oom" "lua/clock.lua" "lua/prelude.lua" "lua/recount.lua";
    JOIN = "#!lua flags=allow-oom" "lua/clock.lua" "lua/prelude.lua" "lua/join.lua";
    REGISTER = "#!lua flags=allow-oom" "lua/clock.lua" "lua/prelude.lua" "lua/register.lua";
    CLAIM = "#!lua flags=allow-oom" "lua/clock.lua" "lua/prelude.lua" "lua/claim.lua";
    EXTEND = "#!lua flags=allow-oom" "lua/clock.lua" "lua/prelude.lua" "lua/extend.lua";
    EMIT = "#!lua" "lua/clock.lua" "lua/prelude.lua" "lua/emit.lua";
    SETTLE = "#!lua flags=allow-oom" "lua/clock.lua" "lua/prelude.lua" "lua/settle.lua";
    CANCEL = "#!lua flags=allow-oom" "lua/clock.lua" "lua/prelude.lua" "lua/cancel.lua";
    REPLACE = "#!lua flags=allow-oom" "lua/clock.lua" "lua/prelude.lua" "lua/replace.lua";
    SWEEP = "#!lua flags=allow-oom" "lua/clock.lua" "lua/prelude.lua" "lua/sweep.lua";
    FORGET = "#!lua flags=allow-oom" "lua/clock.lua" "lua/prelude.lua" "lua/forget.lua";
    PAUSE = "#!lua flags=allow-oom" "lua/clock.lua" "lua/prelude.lua" "lua/pause.lua";
    TOKEN = "#!lua flags=allow-oom" "lua/clock.lua" "lua/prelude.lua" "lua/token.lua";
    CACHE_TAKE = "#!lua flags=allow-oom" "lua/clock.lua" "lua/cache.lua" "lua/cache_take.lua";
    CACHE_RENEW = "#!lua flags=allow-oom" "lua/clock.lua" "lua/cache.lua" "lua/cache_renew.lua";
    CACHE_PUT = "#!lua" "lua/clock.lua" "lua/cache.lua" "lua/cache_put.lua";
    CACHE_FREE = "#!lua flags=allow-oom" "lua/clock.lua" "lua/cache.lua" "lua/cache_free.lua";
    LIMITER_ACQUIRE = "#!lua flags=allow-oom" "lua/clock.lua" "lua/limiter.lua" "lua/limiter_acquire.lua";
    LIMITER_SETTLE = "#!lua flags=allow-oom" "lua/clock.lua" "lua/limiter.lua" "lua/limiter_settle.lua";
    LIMITER_OBSERVE = "#!lua flags=allow-oom" "lua/clock.lua" "lua/limiter.lua" "lua/limiter_observe.lua";
    LIMITER_SET = "#!lua flags=allow-oom" "lua/clock.lua" "lua/limiter.lua" "lua/limiter_set.lua";
    READ = "#!lua flags=no-writes" "lua/read.lua";
    AFTER = "#!lua flags=no-writes" "lua/after.lua";
    LANE = "#!lua flags=no-writes" "lua/lane.lua";
}

#[cfg(test)]
mod tests {
    use lovage_core::{limits, record};

    #[test]
    fn scripts_know_the_same_bounds_and_places_as_the_core() {
        let prelude = include_str!("lua/prelude.lua");
        assert!(prelude.contains(&format!("EVENTS_MAX = {}\n", limits::EVENTS_MAX)));
        let tombstone = format!("TOMBSTONE_MS = {}\n", limits::TOMBSTONE.as_millis());
        assert!(prelude.contains(&tombstone));
        let (keep, dead) = (limits::KEEP.as_millis(), limits::KEEP_DEAD.as_millis());
        assert!(prelude.contains(&format!("KEEP_MS, KEEP_DEAD_MS = {keep}, {dead}\n")));
        let length = format!("LENGTH_MAX = {}\n", limits::QUEUE_LENGTH_MAX);
        assert!(include_str!("lua/enqueue.lua").contains(&length));
        // Lua counts from 1, GETRANGE and SETRANGE from 0.
        assert_eq!(record::STATE_OFFSET, 3);
        assert!(prelude.contains("string.sub(record, 4, 4)"));
        assert!(include_str!("lua/claim.lua").contains("'SETRANGE', Q .. 'j:' .. id, 3, 'q'"));
        let unit = format!("UNIT = {}\n", lovage_core::queue::Weight::UNIT);
        assert!(prelude.contains(&unit));
    }

    #[test]
    fn the_limiter_counts_as_the_core_does() {
        use lovage_core::limiter::state as core;
        let lua = include_str!("lua/limiter.lua");
        for line in [
            format!("SHARE, BURST = {}, {}\n", core::SHARE, core::BURST),
            format!(
                "DECREASE, FACTOR_MIN, INCREASE, GROW_AFTER = {}, {}, {}, {}\n",
                core::DECREASE,
                core::FACTOR_MIN,
                core::INCREASE,
                core::GROW_AFTER
            ),
            format!(
                "PLACE_WAIT_MS, FORGET_MS, HOLDER_MS, DAY_MS = {}, {}, {}, {}\n",
                core::PLACE_WAIT_MS,
                core::FORGET_MS,
                core::HOLDER_MS,
                core::DAY_MS
            ),
        ] {
            assert!(lua.contains(&line), "{line}");
        }
    }
}
