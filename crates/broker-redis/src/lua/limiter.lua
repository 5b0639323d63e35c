-- Put in front of every script that admits calls: `lovage_core::limiter::state`,
-- number for number (both count in doubles).
-- KEYS[1] prefix of all keys of the account and model (they share its hash tag, so one slot)
-- ARGV[1] clock.lua
local STATE, LEASES, HOLDERS = KEYS[1] .. 'b', KEYS[1] .. 'l', KEYS[1] .. 'h'

local SHARE, BURST = 0.9, 0.1
local DECREASE, FACTOR_MIN, INCREASE, GROW_AFTER = 0.7, 0.1, 0.05, 10
local PLACE_WAIT_MS, FORGET_MS, HOLDER_MS, DAY_MS = 50, 3600000, 600000, 86400000
local MINUTE_MS = 60000

local NUMBERS = {'requests', 'tokens', 'at_ms', 'cool_ms', 'factor', 'cut_ms', 'fine', 'day', 'spent_usd', 'cost_usd'}
local LIMITS = {'rpm', 'tpm', 'concurrency', 'budget_usd'}

-- Every digit that a double has.
local function text(number)
  return string.format('%.17g', number)
end

-- The numbers of the state.
local function load()
  local state = {}
  for i, value in ipairs(redis.call('HMGET', STATE, unpack(NUMBERS))) do
    state[NUMBERS[i]] = tonumber(value or 0)
  end
  if state.factor == 0 then
    state.factor = 1
  end
  return state
end

local function save(state)
  local fields = {}
  for _, name in ipairs(NUMBERS) do
    table.insert(fields, name)
    table.insert(fields, text(state[name]))
  end
  redis.call('HSET', STATE, unpack(fields))
end

local function count(field, by)
  redis.call('HINCRBY', STATE, field, by)
end
