-- Moves messages into the ledger: first the entries of bridges that are no
-- longer heard of, then new messages, the most urgent first.
-- KEYS: ledger, its times, lists of Celery in the order to look at them.
-- ARGV: messages wanted, bytes wanted, silence in ms after which a bridge is
-- dead, a name for the new entries, and for each list the queue it is of.
-- Returns for each: entry, queue, message, whether it was held before.
--
-- The first write takes something away (ZREM, RPOP): a full server refuses
-- only scripts whose first write needs room, and has to be emptied somehow.
local ledger, seen = KEYS[1], KEYS[2]
local want, bytes = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local taken = {}

local function keep(entry, value, queue, raw, again)
  if not again then redis.call('HSET', ledger, entry, value) end
  redis.call('ZADD', seen, now, entry)
  bytes = bytes - #raw
  taken[#taken + 1] = {entry, queue, raw, again and 1 or 0}
end

local silent = redis.call('ZRANGEBYSCORE', seen, '-inf', now - tonumber(ARGV[3]), 'LIMIT', 0, want)
for _, entry in ipairs(silent) do
  if bytes <= 0 then break end
  redis.call('ZREM', seen, entry)
  local value = redis.call('HGET', ledger, entry)
  if value then
    local stop = string.find(value, '\0', 1, true)
    keep(entry, value, string.sub(value, 1, stop - 1), string.sub(value, stop + 1), true)
  end
end

for place = 3, #KEYS do
  local queue = ARGV[place + 2]
  while #taken < want and bytes > 0 do
    local raw = redis.call('RPOP', KEYS[place])
    if not raw then break end
    keep(ARGV[4] .. ':' .. #taken, queue .. '\0' .. raw, queue, raw, false)
  end
end
return taken
