-- Sets when the bridge of some entries was last heard of; those that are over stay away.
-- KEYS: times of the ledger. ARGV: 1 for now, 0 for never; entries.
-- Taken out and put in again, a full server does not refuse it.
local at = 0
if ARGV[1] == '1' then
  local time = redis.call('TIME')
  at = time[1] * 1000 + math.floor(time[2] / 1000)
end
for place = 2, #ARGV do
  if redis.call('ZREM', KEYS[1], ARGV[place]) == 1 then
    redis.call('ZADD', KEYS[1], at, ARGV[place])
  end
end
