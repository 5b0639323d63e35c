-- Stores jobs, each accepted or refused alone, or all or none of them.
-- KEYS[1..n] queue prefixes
-- ARGV[2] 1 = all or none   ARGV[3] number of jobs, then for each:
--   id, record, lane, and '' for a plain job of KEYS[1] or a JSON array of
--   number of its queue in KEYS, due ms or 0, expires ms or 0,
--   unique key or '', held until ms or '0' (until it is final),
--   idempotency key or '', kept until ms, fingerprint, names of its indexes
-- Returns for each a letter and an id: A accepted, R replayed, K key reused,
--   D duplicate, T id taken, F queue full; one A without an id when all were accepted.
local WIDTH = 4
local PLAIN = {1, 0, 0, '', '0', '', '0', '', {}}

local function read_job(at)
  local more = ARGV[at + 3] == '' and PLAIN or cjson.decode(ARGV[at + 3])
  return {
    id = ARGV[at], record = ARGV[at + 1], lane = ARGV[at + 2], prefix = KEYS[more[1]],
    due = more[2], expires = more[3], unique = more[4], held = more[5],
    key = more[6], kept = more[7], fingerprint = more[8], indexes = more[9],
  }
end

-- How many more jobs a queue takes; what this call stores counts.
local LENGTH_MAX = 10000000
local rooms = {}
local function room()
  if not rooms[Q] then
    local stands = redis.call('HMGET', Q .. 'n', 'scheduled', 'queued', 'length')
    rooms[Q] = tonumber(stands[3] or LENGTH_MAX) - tonumber(stands[1] or 0) - tonumber(stands[2] or 0)
  end
  return rooms[Q]
end

-- What this call is about to store, so that its jobs see one another.
local pending = {}
local fresh = false
local function look(key)
  return pending[key] or redis.call('GET', key)
end

-- The body and input of a record.
local function parts(record)
  local body, last = body_of(record)
  local input = string.match(record, '^%S+ %a %d %d+ %d+ %S+ %d+ (%d+) ')
  return body, string.sub(record, last + 1, last + tonumber(input))
end

-- Whether a finished job is to be forgotten, though no sweep has been there.
local function is_gone(record)
  local gone = gone_at(record)
  return gone and gone <= now
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
    redis.call('DEL', Q .. 's:' .. job.id, Q .. 'e:' .. job.id, Q .. 'ch:' .. job.id, Q .. 'cl:' .. job.id)
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
  if room() <= 0 then
    return 'F', '', false
  end
  rooms[Q] = rooms[Q] - 1
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

-- The common batch: plain jobs whose ids are all new, decided in one command.
local function store_plain()
  local seen, pairs_of = {}, {}
  for at = 4, 3 + tonumber(ARGV[3]) * WIDTH, WIDTH do
    local id = ARGV[at]
    if ARGV[at + 3] ~= '' or seen[id] then
      return false
    end
    seen[id] = true
    pairs_of[#pairs_of + 1] = Q .. 'j:' .. id
    pairs_of[#pairs_of + 1] = ARGV[at + 1]
  end
  if #pairs_of / 2 > room() then
    return false
  end
  if #pairs_of == 0 or redis.call('MSETNX', unpack(pairs_of)) == 0 then
    return false
  end
  for at = 4, 3 + tonumber(ARGV[3]) * WIDTH, WIDTH do
    queue_new(ARGV[at], ARGV[at + 2])
  end
  write_new()
  flush()
  return true
end

if store_plain() then
  return {'A', ''}
end

local jobs, keys = {}, {}
for i = 1, tonumber(ARGV[3]) do
  local job = read_job(4 + (i - 1) * WIDTH)
  jobs[i] = job
  keys[i] = job.prefix .. 'j:' .. job.id
end
fresh = #keys > 0 and redis.call('EXISTS', unpack(keys)) == 0

local answers, refused = {}, false
for _, job in ipairs(jobs) do
  Q = job.prefix
  local letter, id, store = decide(job)
  job.store = store
  refused = refused or (letter ~= 'A' and letter ~= 'R')
  answers[#answers + 1] = letter
  answers[#answers + 1] = id
  if store then
    expect(job)
  end
end
if refused and ARGV[2] == '1' then
  return answers
end

for _, job in ipairs(jobs) do
  Q = job.prefix
  if job.store then
    if job.key ~= '' then
      set_until(Q .. 'i:' .. job.key, job.kept)
    end
    if job.unique ~= '' then
      set_until(Q .. 'u:' .. job.unique, job.held)
    end
    put_new(job.id, job.record, job.lane, job.due, job.expires)
  end
end
write_new()
-- After the records: an index drops names without one.
for _, job in ipairs(jobs) do
  if job.store and #job.indexes > 0 then
    Q = job.prefix
    index(job.id, job.indexes)
  end
end
flush()
return answers
