-- Promotes due jobs, then gives the most urgent ones to a worker, within the queue's limits.
-- ARGV[2] worker   ARGV[3] jobs wanted   ARGV[4] due jobs promoted at most
-- Returns now, ms until a claim may give more or -1, ids of the jobs, the places
--   (from 0), numbers and times of attempts of jobs that have a state hash, and
--   the records where they are few; now is -1 when the worker is unknown.
--
-- Many records are read by a plain MGET afterwards: every string that enters a
-- script is hashed whole, which costs more than the round trip.
local worker, want = ARGV[2], tonumber(ARGV[3])
local STALE_MAX, LANES_MAX, MEMORY_MAX, FEW = 1024, 64, 1000, 8

local deadline = redis.call('ZSCORE', Q .. 'w', worker)
if not deadline or tonumber(deadline) < 0 then
  return {-1, -1, {}, {}, {}}
end
local settings = redis.call('HMGET', Q .. 'n', 'paused', 'concurrency', 'interval', 'burst', 'next')
if settings[1] then
  return {now, -1, {}, {}, {}}
end

-- When the next job is due, in ms, where there is one.
local function first_due()
  return tonumber(redis.call('ZRANGE', Q .. 'd', 0, 0, 'WITHSCORES')[2] or math.huge)
end

local function promote()
  local due = redis.call('ZRANGEBYSCORE', Q .. 'd', '-inf', now, 'LIMIT', 0, ARGV[4])
  local lanes, order = {}, {}
  for _, member in ipairs(due) do
    local id, lane = string.sub(member, 1, 36), string.sub(member, 38)
    local letter = redis.call('GETRANGE', Q .. 'j:' .. id, 3, 3)
    if letter == 's' or letter == 'w' then
      redis.call('SETRANGE', Q .. 'j:' .. id, 3, 'q')
      count(letter == 's' and 'scheduled' or 'waiting', -1)
      if letter == 'w' and redis.call('HDEL', Q .. 's:' .. id, 'parked') == 1 then
        redis.call('ZREM', Q .. 'parents', id)
      end
      if not lanes[lane] then
        lanes[lane] = {}
        order[#order + 1] = lane
      end
      table.insert(lanes[lane], id)
    end
  end
  for _, lane in ipairs(order) do
    push(lane, lanes[lane], false)
  end
  redis.call('ZREM', Q .. 'd', unpack(due))
end

-- How many jobs the limits allow now, and µs until the rate allows the next
-- (`lovage_core::queue::Rate`).
local interval, burst = tonumber(settings[3] or 0), tonumber(settings[4] or 0)
local now_us = now * 1000
local expected = math.max(tonumber(settings[5] or 0), now_us)
local function room()
  local free = math.huge
  if settings[2] then
    free = math.max(tonumber(settings[2]) - redis.call('HLEN', Q .. 'a'), 0)
  end
  if interval > 0 then
    free = math.min(free, math.floor(math.max(now_us + burst * interval - expected, 0) / interval))
  end
  return free
end

-- Virtual time that one job of each lane of a row takes.
local rare = redis.call('EXISTS', Q .. 'weights', Q .. 'z', Q .. 't') > 0
local weighted = rare and redis.call('EXISTS', Q .. 'weights') == 1
local function steps_of(row)
  local steps, tenants = {}, {}
  for i = 1, #row, 2 do
    steps[#steps + 1] = UNIT
    tenants[#tenants + 1] = string.sub(row[i], 3)
  end
  if weighted then
    for i, step in ipairs(redis.call('HMGET', Q .. 'weights', unpack(tenants))) do
      steps[i] = tonumber(step or UNIT)
    end
  end
  return steps
end

-- Shares `jobs` among lanes of one band: each to the lane that is behind.
local function share(clocks, steps, jobs)
  local shares, at = {}, {}
  for i = 1, #clocks do
    shares[i] = 0
    at[i] = clocks[i]
  end
  if #clocks == 1 then
    shares[1] = jobs
    return shares
  end
  for _ = 1, jobs do
    local least = 1
    for i = 2, #at do
      if at[i] < at[least] then
        least = i
      end
    end
    shares[least] = shares[least] + 1
    at[least] = at[least] + steps[least]
  end
  return shares
end

local clocks_served, emptied, lanes_left = {}, false, false
local function pop(lane, clock, step, jobs)
  local ids = redis.call('LPOP', Q .. 'l:' .. lane, jobs) or {}
  local after = string.format('%.0f', clock + #ids * step)
  if #ids < jobs or redis.call('EXISTS', Q .. 'l:' .. lane) == 0 then
    redis.call('ZREM', Q .. 'lanes', lane)
    redis.call('HSET', Q .. 'v', lane, after)
    redis.call('HDEL', Q .. 'o', lane)
    emptied = true
  else
    lanes_left = true
    redis.call('ZADD', Q .. 'lanes', after, lane)
    redis.call('HINCRBY', Q .. 'o', lane, #ids)
  end
  if #ids > 0 then
    local priority = string.sub(lane, 1, 1)
    clocks_served[priority] = math.max(clocks_served[priority] or 0, clock + (#ids - 1) * step)
  end
  return ids
end

local given, attempts, held = {}, {}, {}
local gaps = rare and redis.call('EXISTS', Q .. 'z') == 1
local owner = worker .. ':'
local function token_of(attempt, at)
  return string.format('%s%.0f:%.0f', owner, attempt, at)
end
local first_token = token_of(1, now)

-- When a job that was given before is claimed (`lovage_core::lease::claim_time`):
-- no token is given twice.
local function claimed_at(id)
  local settled = redis.call('HGET', Q .. 's:' .. id, 'settled')
  local before = tonumber(string.match(settled or '', ':(%d+)$') or 0)
  return math.max(now, before + 1)
end

local tried = rare and redis.call('EXISTS', Q .. 't') == 1
local function give(ids)
  local used = tried and redis.call('HMGET', Q .. 't', unpack(ids)) or {}
  local left = 0
  for i = 1, #ids do
    local id = ids[i]
    if not (gaps and redis.call('SREM', Q .. 'z', id) == 1) then
      local token = first_token
      if used[i] then
        local attempt, at = tonumber(used[i]) + 1, claimed_at(id)
        token = token_of(attempt, at)
        for _, number in ipairs({#given, attempt, at}) do
          attempts[#attempts + 1] = number
        end
      end
      left = left + 1
      given[#given + 1] = id
      held[#held + 1] = id
      held[#held + 1] = token
    end
  end
  count('queued', -left)
end

-- The lanes of the most urgent band, the one that is furthest behind first, and
-- their virtual times.
local function first_band()
  local row = redis.call('ZRANGE', Q .. 'lanes', 0, LANES_MAX - 1, 'WITHSCORES')
  local clocks = {}
  for i = 2, #row, 2 do
    local clock = tonumber(row[i])
    if i > 2 and math.floor(clock / BAND) ~= math.floor(clocks[1] / BAND) then
      for j = #row, i - 1, -1 do
        row[j] = nil
      end
      break
    end
    clocks[i / 2] = clock
  end
  return row, clocks
end

local function take()
  local popped = 0
  while #given < want and popped < want + STALE_MAX do
    local row, clocks = first_band()
    if #row == 0 then
      break
    end
    lanes_left = false
    local steps = steps_of(row)
    for i, jobs in ipairs(share(clocks, steps, want - #given)) do
      if jobs > 0 then
        local ids = pop(row[i * 2 - 1], clocks[i], steps[i], jobs)
        popped = popped + #ids
        if #ids > 0 then
          give(ids)
        end
      end
    end
  end
end

-- Where the bands stand. Without any lane there is nothing to be fair about.
-- Says whether lanes are left.
local function keep_clocks()
  if not lanes_left and redis.call('EXISTS', Q .. 'lanes') == 0 then
    redis.call('DEL', Q .. 'v')
    for priority = 0, 9 do
      redis.call('HDEL', Q .. 'n', 'clock' .. priority)
    end
    return false
  end
  for priority, clock in pairs(clocks_served) do
    redis.call('HSET', Q .. 'n', 'clock' .. priority, string.format('%.0f', clock))
  end
  if emptied and redis.call('HLEN', Q .. 'v') > MEMORY_MAX then
    redis.call('DEL', Q .. 'v')
  end
  return true
end

local due = first_due()
if due <= now then
  promote()
  due = first_due()
end
local free = room()
want = math.min(want, free)
take()
if #given > 0 then
  redis.call('HSET', Q .. 'a', unpack(held))
  free = free - #given
  if interval > 0 then
    expected = expected + #given * interval
    redis.call('HSET', Q .. 'n', 'next', string.format('%.0f', expected))
  end
end
if keep_clocks() and free > 0 then
  wake_one()
end
flush()
local next_due = due < math.huge and math.max(due - now, 0) or -1
local held_us = expected - (burst - 1) * interval - now_us
if interval > 0 and held_us > 0 and tonumber(redis.call('HGET', Q .. 'n', 'queued') or 0) > 0 then
  local wait = math.ceil(held_us / 1000)
  next_due = next_due < 0 and wait or math.min(next_due, wait)
end
local records = {}
if #given > 0 and #given <= FEW then
  for i = 1, #given do
    records[i] = Q .. 'j:' .. given[i]
  end
  records = redis.call('MGET', unpack(records))
end
return {now, next_due, given, attempts, records}
