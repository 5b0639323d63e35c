-- Promotes due jobs, then gives the most urgent ones to a worker.
-- ARGV[2] worker   ARGV[3] jobs wanted   ARGV[4] due jobs promoted at most
-- Returns now, ms until the next due job or -1, and id, token, record of each
--   job; now is -1 when the worker is unknown.
local worker, want = ARGV[2], tonumber(ARGV[3])
local STALE_MAX, LANES_MAX, MEMORY_MAX = 1024, 64, 1000

local deadline = redis.call('ZSCORE', Q .. 'w', worker)
if not deadline or tonumber(deadline) < 0 then
  return {-1, -1, {}}
end

local function job_keys(ids)
  local keys = {}
  for i, id in ipairs(ids) do
    keys[i] = Q .. 'j:' .. id
  end
  return keys
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
      if not lanes[lane] then
        lanes[lane] = {}
        table.insert(order, lane)
      end
      table.insert(lanes[lane], id)
    end
  end
  for _, lane in ipairs(order) do
    push(lane, lanes[lane], false)
  end
  if #due > 0 then
    redis.call('ZREM', Q .. 'd', unpack(due))
  end
end

-- Shares `jobs` among lanes of one band: each to the lane that is behind.
local function share(clocks, jobs)
  local shares = {}
  for i = 1, #clocks do
    shares[i] = 0
  end
  if #clocks == 1 then
    shares[1] = jobs
    return shares
  end
  for _ = 1, jobs do
    local least = 1
    for i = 2, #clocks do
      if clocks[i] + shares[i] < clocks[least] + shares[least] then
        least = i
      end
    end
    shares[least] = shares[least] + 1
  end
  return shares
end

local clocks_served = {}
local function pop(lane, clock, jobs)
  local ids = redis.call('LPOP', Q .. 'l:' .. lane, jobs) or {}
  local after = clock + #ids
  if #ids < jobs or redis.call('EXISTS', Q .. 'l:' .. lane) == 0 then
    redis.call('ZREM', Q .. 'lanes', lane)
    redis.call('HSET', Q .. 'v', lane, after)
    redis.call('HDEL', Q .. 'o', lane)
  else
    redis.call('ZADD', Q .. 'lanes', after, lane)
    redis.call('HINCRBY', Q .. 'o', lane, #ids)
  end
  if #ids > 0 then
    local priority = string.sub(lane, 1, 1)
    clocks_served[priority] = math.max(clocks_served[priority] or 0, after - 1)
  end
  return ids
end

local given, held = {}, {}
local gaps = redis.call('SCARD', Q .. 'z') > 0
local function give(ids)
  local records = redis.call('MGET', unpack(job_keys(ids)))
  for i, id in ipairs(ids) do
    local stale = gaps and redis.call('SREM', Q .. 'z', id) == 1
    if not stale then
      count('queued', -1)
      local record = records[i]
      if record and string.sub(record, 4, 4) == 'q' then
        local token = string.format('%s:%d:%.0f', worker, tonumber(string.sub(record, 8, 12)) + 1, now)
        table.insert(given, id)
        table.insert(given, token)
        table.insert(given, record)
        table.insert(held, id)
        table.insert(held, token)
      end
    end
  end
end

local function take()
  local popped = 0
  while #held / 2 < want and popped < want + STALE_MAX do
    local first = redis.call('ZRANGE', Q .. 'lanes', 0, 0, 'WITHSCORES')
    if not first[1] then
      break
    end
    local band = math.floor(tonumber(first[2]) / BAND) * BAND
    local row = redis.call('ZRANGEBYSCORE', Q .. 'lanes', string.format('%.0f', band),
      string.format('(%.0f', band + BAND), 'WITHSCORES', 'LIMIT', 0, LANES_MAX)
    local clocks = {}
    for i = 2, #row, 2 do
      clocks[i / 2] = tonumber(row[i])
    end
    for i, jobs in ipairs(share(clocks, want - #held / 2)) do
      if jobs > 0 then
        local ids = pop(row[i * 2 - 1], clocks[i], jobs)
        popped = popped + #ids
        if #ids > 0 then
          give(ids)
        end
      end
    end
  end
end

-- Where the bands stand. Without any lane there is nothing to be fair about.
local function keep_clocks()
  if redis.call('EXISTS', Q .. 'lanes') == 0 then
    redis.call('DEL', Q .. 'v')
    for priority = 0, 9 do
      redis.call('HDEL', Q .. 'n', 'clock' .. priority)
    end
    return
  end
  for priority, clock in pairs(clocks_served) do
    redis.call('HSET', Q .. 'n', 'clock' .. priority, string.format('%.0f', clock))
  end
  if redis.call('HLEN', Q .. 'v') > MEMORY_MAX then
    redis.call('DEL', Q .. 'v')
  end
  wake_one()
end

if redis.call('HEXISTS', Q .. 'n', 'paused') == 1 then
  return {now, -1, {}}
end
promote()
take()
if #held > 0 then
  redis.call('HSET', Q .. 'a', unpack(held))
end
keep_clocks()
flush()
local due = redis.call('ZRANGE', Q .. 'd', 0, 0, 'WITHSCORES')
return {now, due[2] and math.max(tonumber(due[2]) - now, 0) or -1, given}
