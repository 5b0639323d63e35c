-- Put in front of every script of the cache.
-- KEYS[1] prefix of all keys of the cache (they share its hash tag, so one slot)
-- ARGV[1] clock.lua   ARGV[2] name: shelf and digest
local Q = KEYS[1]
local name = ARGV[2]

-- The value of an entry says when it ends; the server cleans up this much later.
local SLACK_MS = 60000

-- An entry is `h <until ms> <token>` while it is held, then `v <until ms> <value>`.
-- Returns its letter, when it ends and what it holds; nothing where there is none.
local function read()
  local entry = redis.call('GET', Q .. 'e:' .. name)
  if not entry then
    return nil
  end
  local letter, until_ms, at = string.match(entry, '^(%a) (%d+) ()')
  return letter, tonumber(until_ms), string.sub(entry, at)
end

local function write(letter, keep_ms, rest)
  local head = string.format('%s %.0f ', letter, now + keep_ms)
  redis.call('SET', Q .. 'e:' .. name, head .. rest, 'PX', keep_ms + SLACK_MS)
end

-- Whether this token holds the key.
local function holds(token)
  local letter, _, holder = read()
  return letter == 'h' and holder == token
end

-- Drops a value and gives its bytes back.
local function drop(dropped)
  redis.call('DEL', Q .. 'e:' .. dropped)
  redis.call('ZREM', Q .. 't', dropped)
  local bytes = redis.call('HGET', Q .. 'b', dropped)
  if bytes then
    redis.call('HDEL', Q .. 'b', dropped)
    redis.call('HINCRBY', Q .. 'n', 'bytes', -tonumber(bytes))
  end
end
