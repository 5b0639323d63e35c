-- Stores jobs, each accepted or refused alone, or all or none of them.
-- KEYS[1..] queue prefixes
-- ARGV[2] 1 = all or none   ARGV[3] number of jobs, then for each:
--   number of its queue in KEYS, id, lane, record, due ms or 0,
--   unique key or '', held until ms or 0 (until it is final),
--   idempotency key or '', kept until ms, fingerprint,
--   number of indexes, then their names
-- Returns for each a letter and an id: A accepted, R replayed, K key reused,
--   D duplicate, T id taken.
local cursor = 3
local function arg()
  cursor = cursor + 1
  return ARGV[cursor]
end

local function read_job()
  local job = {
    prefix = KEYS[tonumber(arg())], id = arg(), lane = arg(), record = arg(), due = tonumber(arg()),
    unique = arg(), held = arg(), key = arg(), kept = arg(), fingerprint = arg(), indexes = {},
  }
  for i = 1, tonumber(arg()) do
    job.indexes[i] = arg()
  end
  return job
end

-- What this call is about to store, so that its jobs see one another.
local pending = {}
local fresh = false
local function look(key)
  return pending[key] or redis.call('GET', key)
end

-- The body and input of a record.
local function parts(record)
  local head = string.find(record, '\n', 1, true)
  local body, input = string.match(string.sub(record, 1, head), '^%S+ %a %d %d+ %d+ %S+ (%d+) (%d+) ')
  local from = head + tonumber(body)
  return string.sub(record, head + 1, from), string.sub(record, from + 1, from + tonumber(input))
end

-- Whether a finished job is to be forgotten, though the server still has it.
local TOMBSTONE_MS = 3600000
local function is_gone(record)
  local until_ms = string.match(parts(record), '"ku":(%d+)')
  return until_ms and tonumber(until_ms) + TOMBSTONE_MS <= now
end

-- What makes two enqueues of one id the same: kind, input and idempotency key.
local KIND = '^{"k":"([^"]*)"'
local function same(job, stored)
  local body, input = parts(job.record)
  local stored_body, stored_input = parts(stored)
  local kind, stored_kind = string.match(body, KIND), string.match(stored_body, KIND)
  if kind ~= stored_kind or input ~= stored_input then
    return false
  end
  local kept = job.key ~= '' and look(Q .. 'i:' .. job.key)
  if not kept then
    return job.key == ''
  end
  local id, _, fingerprint = string.match(kept, '^(%S+) (%d+) (.*)$')
  return id == job.id and fingerprint == job.fingerprint
end

local function holds(id, held)
  if held == '0' then
    return pending[Q .. 'j:' .. id] or redis.call('EXISTS', Q .. 'j:' .. id) == 1
  end
  return tonumber(held) > now
end

-- The answer to a job, and whether to store it.
local function decide(job)
  local stored = pending[Q .. 'j:' .. job.id]
  if not stored and not fresh then
    stored = redis.call('GET', Q .. 'j:' .. job.id)
  end
  if stored and is_gone(stored) then
    redis.call('DEL', Q .. 's:' .. job.id, Q .. 'e:' .. job.id)
    redis.call('ZREM', Q .. 'dead', job.id)
  elseif stored then
    return same(job, stored) and 'A' or 'T', job.id, false
  end
  local kept = job.key ~= '' and look(Q .. 'i:' .. job.key)
  if kept then
    local id, till, fingerprint = string.match(kept, '^(%S+) (%d+) (.*)$')
    if tonumber(till) > now then
      return fingerprint == job.fingerprint and 'R' or 'K', id, false
    end
  end
  local holder = job.unique ~= '' and look(Q .. 'u:' .. job.unique)
  if holder then
    local id, held = string.match(holder, '^(%S+) (%d+)$')
    if id ~= job.id and holds(id, held) then
      return 'D', id, false
    end
  end
  return 'A', job.id, true
end

local function expect(job)
  pending[Q .. 'j:' .. job.id] = job.record
  if job.key ~= '' then
    pending[Q .. 'i:' .. job.key] = job.id .. ' ' .. job.kept .. ' ' .. job.fingerprint
  end
  if job.unique ~= '' then
    pending[Q .. 'u:' .. job.unique] = job.id .. ' ' .. job.held
  end
end

local function set_until(key, till)
  if till == '0' then
    redis.call('SET', key, pending[key])
  else
    redis.call('SET', key, pending[key], 'PX', math.max(tonumber(till) - now, 0) + SLACK_MS)
  end
end

-- Lists the job under its session and tags. Whoever adds also looks at four
-- entries, so that an index nobody reads does not grow for ever.
local INDEX_MS = 30 * 24 * 3600 * 1000
local function index(job)
  for _, name in ipairs(job.indexes) do
    local key = Q .. 'ix:' .. name
    redis.call('ZADD', key, -now, job.id)
    redis.call('PEXPIRE', key, INDEX_MS)
    for _, id in ipairs(redis.call('ZRANDMEMBER', key, 4)) do
      if id ~= job.id and not pending[Q .. 'j:' .. id] and redis.call('EXISTS', Q .. 'j:' .. id) == 0 then
        redis.call('ZREM', key, id)
      end
    end
  end
end

local jobs, keys = {}, {}
for i = 1, tonumber(ARGV[3]) do
  jobs[i] = read_job()
  keys[i] = jobs[i].prefix .. 'j:' .. jobs[i].id
end
fresh = #keys > 0 and redis.call('EXISTS', unpack(keys)) == 0

local answers, refused = {}, false
for _, job in ipairs(jobs) do
  Q = job.prefix
  local letter, id, store = decide(job)
  job.store = store
  refused = refused or (letter ~= 'A' and letter ~= 'R')
  table.insert(answers, letter)
  table.insert(answers, id)
  if store then
    expect(job)
  end
end
if refused and ARGV[2] == '1' then
  return answers
end

-- An id that was cancelled in this lane, forgotten and is used anew stands there once.
local function take_out(job)
  if redis.call('SISMEMBER', Q .. 'z', job.id) == 1
    and redis.call('LREM', Q .. 'l:' .. job.lane, 1, job.id) == 1 then
    redis.call('SREM', Q .. 'z', job.id)
  end
end

local records, lanes, order = {}, {}, {}
for _, job in ipairs(jobs) do
  Q = job.prefix
  if job.store then
    table.insert(records, Q .. 'j:' .. job.id)
    table.insert(records, job.record)
    if job.key ~= '' then
      set_until(Q .. 'i:' .. job.key, job.kept)
    end
    if job.unique ~= '' then
      set_until(Q .. 'u:' .. job.unique, job.held)
    end
    index(job)
    if job.due > 0 then
      delay(job.id, job.lane, job.due, 'scheduled')
    else
      local at = Q .. job.lane
      if not lanes[at] then
        local gaps = redis.call('EXISTS', Q .. 'z') == 1
        lanes[at] = {prefix = Q, lane = job.lane, ids = {}, gaps = gaps}
        table.insert(order, lanes[at])
      end
      if lanes[at].gaps then
        take_out(job)
      end
      table.insert(lanes[at].ids, job.id)
    end
  end
end
if #records > 0 then
  redis.call('MSET', unpack(records))
end
for _, lane in ipairs(order) do
  Q = lane.prefix
  push(lane.lane, lane.ids, false)
  wake_one()
end
flush()
return answers
