-- Put in front of every script that moves jobs between states.
-- KEYS[1] prefix of all keys of the queue (they share its hash tag, so one slot)
-- ARGV[1] clock.lua
local Q = KEYS[1]

-- A lane's score is its band (9 - priority) and its virtual time inside it.
local BAND = 1e14
-- Virtual time of one job of weight 1 (`lovage_core::queue::Weight::UNIT`).
local UNIT = 10000
local EVENTS_MAX = 10000
-- A finished job is known this long after its time to live (`lovage_core::limits`).
local TOMBSTONE_MS = 3600000
local KEEP_MS, KEEP_DEAD_MS = 86400000, 604800000

-- The body of a record, or of the first part of one, and where it ends.
local function body_of(record)
  local head = string.find(record, '\n', 1, true)
  local bytes = string.match(string.sub(record, 1, head), '^%S+ %a %d %d+ %d+ %S+ (%d+) ')
  local last = head + tonumber(bytes)
  return string.sub(record, head + 1, last), last
end

-- When a finished job is forgotten, in ms, by its record or the first part of it.
local function gone_at(record)
  local letter = string.match(record, '^%S+ (%u)')
  if not letter then
    return nil
  end
  local head = body_of(record)
  local until_ms = tonumber(string.match(head, '"ku":(%d+)'))
  if not until_ms then
    local field, usual = '"ke":(%d+)', KEEP_MS
    if letter == 'F' then
      field, usual = '"kd":(%d+)', KEEP_DEAD_MS
    end
    until_ms = tonumber(string.match(head, '"f":(%d+)') or now) + tonumber(string.match(head, field) or usual)
  end
  return until_ms + TOMBSTONE_MS
end

-- The value of a key with a window says when it ends; the server cleans up this much later.
local SLACK_MS = 60000

local counts, ended, news = {}, {}, {}

local function count(field, by)
  local fields = counts[Q]
  if not fields then
    fields = {}
    counts[Q] = fields
  end
  fields[field] = (fields[field] or 0) + by
end

-- Wakes one sleeping worker; a claim that leaves work behind wakes the next.
local function wake_one()
  if redis.call('EXISTS', Q .. 'k') == 0 then
    redis.call('RPUSH', Q .. 'k', 1)
  end
end

-- A lane that gets its first job starts where its band stands now, or where it
-- left off: nobody gains by having been away, nobody by coming back.
local function open_lane(lane)
  local priority = string.sub(lane, 1, 1)
  local at = (9 - tonumber(priority)) * BAND
  local band = redis.call('HGET', Q .. 'n', 'clock' .. priority)
  local own = redis.call('HGET', Q .. 'v', lane)
  at = math.max(at, tonumber(band or 0), tonumber(own or 0))
  redis.call('ZADD', Q .. 'lanes', at, lane)
  redis.call('HDEL', Q .. 'v', lane)
end

local function push(lane, ids, front)
  local length = redis.call(front and 'LPUSH' or 'RPUSH', Q .. 'l:' .. lane, unpack(ids))
  if front then
    redis.call('HINCRBY', Q .. 'o', lane, -#ids)
  end
  if length == #ids then
    open_lane(lane)
  end
  count('queued', #ids)
end

-- Parks a job until `due`. A new earliest time wakes a worker, which learns it from its claim.
local function delay(id, lane, due, state)
  local member = id .. ':' .. lane
  redis.call('ZADD', Q .. 'd', due, member)
  count(state, 1)
  if redis.call('ZRANGE', Q .. 'd', 0, 0)[1] == member then
    wake_one()
  end
end

-- Notes that an unfinished job has a state hash, and the attempts it used. The
-- common job has neither: nobody looks for them.
local function note(id, attempts)
  redis.call(attempts and 'HSET' or 'HSETNX', Q .. 't', id, attempts or 0)
end

-- Appends an event; `step` is '' or '=' and the step.
local function append(id, at, kind, step, data)
  local seq = redis.call('HINCRBY', Q .. 's:' .. id, 'seq', 1)
  if seq == 1 then
    note(id)
  end
  local entry = string.format('%.0f-0', seq)
  local stream = Q .. 'e:' .. id
  if step == '' then
    redis.call('XADD', stream, 'MAXLEN', '=', EVENTS_MAX, entry, 't', at, 'k', kind, 'd', data)
  else
    redis.call('XADD', stream, 'MAXLEN', '=', EVENTS_MAX, entry, 't', at, 'k', kind, 'd', data,
      's', string.sub(step, 2))
  end
end

-- What a parked job waits for, besides its time: `parked` in its state hash is
-- `c lane` (all children), `f lane` (children or the first failure) or `s lane name` (a signal).
local function joined(parked, left, failed)
  return left == 0 or (string.sub(parked, 1, 1) == 'f' and failed > 0)
end

-- Queues a parked job ahead of its lane: what it waits for is there.
local function unpark(id, parked)
  local lane = string.match(parked, '^%a (%S+)')
  redis.call('HDEL', Q .. 's:' .. id, 'parked')
  redis.call('ZREM', Q .. 'parents', id)
  if redis.call('ZREM', Q .. 'd', id .. ':' .. lane) == 1 then
    redis.call('SETRANGE', Q .. 'j:' .. id, 3, 'q')
    count('waiting', -1)
    push(lane, {id}, true)
    wake_one()
    table.insert(news, id)
  end
end

-- Notes that a child is over; the parent goes on when it waits for no other.
local function child_over(parent, id, letter)
  local family = Q .. 'ch:' .. parent
  if redis.call('HGET', family, id) ~= '-' then
    return
  end
  redis.call('HSET', family, id, letter)
  local left = redis.call('HINCRBY', family, 'left', -1)
  local failed = redis.call('HINCRBY', family, 'failed', letter == 'S' and 0 or 1)
  local parked = redis.call('HGET', Q .. 's:' .. parent, 'parked')
  if parked and string.sub(parked, 1, 1) ~= 's' and joined(parked, left, failed) then
    unpark(parent, parked)
  end
end

-- Writes a final record, which a sweep forgets at `gone`, a text in ms, and settles
-- what hangs on it. A job without a state hash had one attempt at most: its record
-- tells whose settle ended it. Others keep the token, or '-' when no settle did.
local function finish(id, record, gone, unique, settled, stateless)
  local letter = string.sub(record, 4, 4)
  local ends, parent = '', false
  redis.call('SET', Q .. 'j:' .. id, record)
  if not stateless and redis.call('EXISTS', Q .. 's:' .. id) == 1 then
    redis.call('HSET', Q .. 's:' .. id, 'settled', settled)
    redis.call('HDEL', Q .. 't', id)
    local kept = redis.call('HMGET', Q .. 's:' .. id, 'ends', 'parent')
    ends, parent = kept[1] or '', kept[2]
  end
  if unique ~= '' then
    local holder = redis.call('GET', Q .. 'u:' .. unique)
    if holder and string.sub(holder, 1, 36) == id then
      redis.call('DEL', Q .. 'u:' .. unique)
    end
  end
  count(letter, 1)
  if letter == 'F' then
    redis.call('ZADD', Q .. 'dead', -now, id)
  end
  -- A job redriven and finished again in the same millisecond is listed already.
  if ends == '' or not string.find(ends, gone .. ' ', 1, true) then
    local at = ended[gone]
    if not at then
      at = {}
      ended[gone] = at
    end
    at[#at + 1] = id
  end
  for one in string.gmatch(parent or '', '%S+') do
    child_over(one, id, letter)
  end
end

-- Writes what the calls above gathered: counters, the list of finished jobs, the news.
local function flush()
  for prefix, fields in pairs(counts) do
    for field, by in pairs(fields) do
      if by ~= 0 then
        redis.call('HINCRBY', prefix .. 'n', field, by)
      end
    end
  end
  for gone, ids in pairs(ended) do
    local entry = redis.call('XADD', Q .. 'fin', '*', 'g', gone, 'i', table.concat(ids, ' '))
    redis.call('ZADD', Q .. 'g', gone, entry)
  end
  if #news > 0 then
    redis.call('PUBLISH', Q .. 'news', table.concat(news, ' '))
  end
end
