//! The scripts, each compiled with what it needs in front of it.
//!
//! Scripts with `allow-oom` also run when the server is full: they give
//! memory back or need next to none, so that running jobs can still end.

use std::sync::LazyLock;

use redis::Script;

macro_rules! script {
    ($($name:ident = $shebang:literal $($file:literal)+;)+) => {
        $(pub(crate) static $name: LazyLock<Script> = LazyLock::new(|| {
            Script::new(concat!($shebang, "\n", $(include_str!($file)),+))
        });)+
    };
}

script! {
    ENQUEUE = "#!lua" "lua/prelude.lua" "lua/store.lua" "lua/enqueue.lua";
    SPAWN = "#!lua" "lua/prelude.lua" "lua/store.lua" "lua/spawn.lua";
    SIGNAL = "#!lua" "lua/prelude.lua" "lua/signal.lua";
    LIMIT = "#!lua flags=allow-oom" "lua/prelude.lua" "lua/limit.lua";
    NEWER = "#!lua flags=allow-oom" "lua/prelude.lua" "lua/newer.lua";
    JOIN = "#!lua flags=allow-oom" "lua/prelude.lua" "lua/join.lua";
    REGISTER = "#!lua flags=allow-oom" "lua/prelude.lua" "lua/register.lua";
    CLAIM = "#!lua flags=allow-oom" "lua/prelude.lua" "lua/claim.lua";
    EXTEND = "#!lua flags=allow-oom" "lua/prelude.lua" "lua/extend.lua";
    EMIT = "#!lua" "lua/prelude.lua" "lua/emit.lua";
    SETTLE = "#!lua flags=allow-oom" "lua/prelude.lua" "lua/settle.lua";
    CANCEL = "#!lua flags=allow-oom" "lua/prelude.lua" "lua/cancel.lua";
    REPLACE = "#!lua flags=allow-oom" "lua/prelude.lua" "lua/replace.lua";
    SWEEP = "#!lua flags=allow-oom" "lua/prelude.lua" "lua/sweep.lua";
    FORGET = "#!lua flags=allow-oom" "lua/prelude.lua" "lua/forget.lua";
    PAUSE = "#!lua flags=allow-oom" "lua/prelude.lua" "lua/pause.lua";
    TOKEN = "#!lua flags=allow-oom" "lua/prelude.lua" "lua/token.lua";
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
        assert!(include_str!("lua/enqueue.lua").contains(&tombstone));
        // Lua counts from 1, GETRANGE and SETRANGE from 0.
        assert_eq!(record::STATE_OFFSET, 3);
        assert!(prelude.contains("string.sub(record, 4, 4)"));
        assert!(include_str!("lua/claim.lua").contains("'SETRANGE', Q .. 'j:' .. id, 3, 'q'"));
        let unit = format!("UNIT = {}\n", lovage_core::queue::Weight::UNIT);
        assert!(prelude.contains(&unit));
    }
}
