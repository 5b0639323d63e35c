-- Moves an entry of the ledger to the dead list.
-- KEYS: ledger, its times, dead list. ARGV: entry, what is kept of it, entries kept.
-- Taken away first: a full server does not refuse it.
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('LPUSH', KEYS[3], ARGV[2])
redis.call('LTRIM', KEYS[3], 0, ARGV[3] - 1)
