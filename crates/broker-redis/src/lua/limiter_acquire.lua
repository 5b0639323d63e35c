-- Admits a call, or says how long to wait.
-- ARGV[2] holder   ARGV[3] call   ARGV[4] ms it takes at the longest
-- ARGV[5] tokens and ARGV[6] dollars it is expected to use   ARGV[7] ms it has waited
-- ARGV[8] to ARGV[11] requests and tokens per minute, calls in flight, dollars per day, each or ''
-- Returns 1 when admitted; now, or ms to wait; what is short: 1 cool-down, 2 budget, 3 requests, 4 tokens,
-- 5 calls in flight; holders; the limits that hold; 1 when nobody has asked before.
local call, tokens, cost = ARGV[3], tonumber(ARGV[5]), tonumber(ARGV[6])
local new = 1 - redis.call('EXISTS', STATE)

local lost = redis.call('ZREMRANGEBYSCORE', LEASES, '-inf', now - FORGET_MS)
if lost > 0 then
  count('lost', lost)
end
redis.call('ZADD', HOLDERS, now, ARGV[2])
redis.call('ZREMRANGEBYSCORE', HOLDERS, '-inf', now - HOLDER_MS)

local limits, holding = {}, {}
for i, name in ipairs(LIMITS) do
  local given = ARGV[7 + i]
  redis.call('HSET', STATE, 's_' .. name, given)
  local set = redis.call('HGET', STATE, 'o_' .. name) or ''
  local limit = set ~= '' and set or given
  limits[name] = tonumber(limit)
  holding[i] = limit
end

local state = load()
local day = math.floor(now / DAY_MS)
if day ~= state.day then
  state.day = day
  state.spent_usd = 0
end

-- A bucket's room, and what comes in per millisecond.
local function bucket(limit)
  local rate = limit * SHARE
  return rate * BURST, rate * state.factor / MINUTE_MS
end

local function filled(limit, level, elapsed)
  if not limit then
    return 0
  end
  local room, per_ms = bucket(limit)
  return math.min(room, level + elapsed * per_ms)
end

local elapsed = math.max(0, now - state.at_ms)
state.requests = filled(limits.rpm, state.requests, elapsed)
state.tokens = filled(limits.tpm, state.tokens, elapsed)
-- Ahead of now only for a cool-down: a clock that was set back stops no refill.
state.at_ms = math.max(now, math.min(state.at_ms, state.cool_ms))

-- Milliseconds until `amount` may be taken; more than the room is not waited for.
local function bucket_wait(limit, level, amount)
  if not limit then
    return 0
  end
  local room, per_ms = bucket(limit)
  local short = math.min(amount, room) - level
  return short <= 0 and 0 or math.ceil(short / per_ms)
end

local budget_wait, place_wait = 0, 0
if limits.budget_usd and state.spent_usd + cost > limits.budget_usd then
  budget_wait = (day + 1) * DAY_MS - now
end
if limits.concurrency then
  local places = math.max(1, math.floor(limits.concurrency * state.factor + 0.5))
  if redis.call('ZCOUNT', LEASES, '(' .. text(now), '+inf') >= places then
    place_wait = PLACE_WAIT_MS
  end
end
local waits = {
  state.cool_ms - now,
  budget_wait,
  bucket_wait(limits.rpm, state.requests, 1),
  bucket_wait(limits.tpm, state.tokens, tokens),
  place_wait,
}
local longest, why = 0, 0
for i, wait in ipairs(waits) do
  if wait > longest then
    longest, why = wait, i
  end
end

local known = redis.call('ZSCORE', LEASES, call)
local admitted = known or longest == 0
if admitted and not known then
  state.requests = state.requests - 1
  state.tokens = state.tokens - tokens
  state.spent_usd = state.spent_usd + cost
  redis.call('ZADD', LEASES, now + tonumber(ARGV[4]), call)
  count('admitted', 1)
  count('reserved', ARGV[5])
  count('waited_ms', ARGV[7])
end
save(state)
local holders = redis.call('ZCARD', HOLDERS)
return {admitted and 1 or 0, admitted and now or longest, why, holders, holding, new}
