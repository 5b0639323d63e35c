-- Ends a call, once.
-- ARGV[2] call   ARGV[3] when it was admitted
-- ARGV[4] tokens and ARGV[5] dollars it was expected to use
-- ARGV[6] tokens of the prompt, ARGV[7] of the answer, ARGV[8] of the prompt from the provider's cache
-- ARGV[9] dollars   ARGV[10] 1 when the provider said so
-- ARGV[11] 'fine', 'failed' or 'throttled'   ARGV[12] ms of the cool-down
-- Returns 1, or 0 for a call that is not known.
if redis.call('ZREM', LEASES, ARGV[2]) == 0 then
  return 0
end
local state = load()
local made, input, output = tonumber(ARGV[3]), tonumber(ARGV[6]), tonumber(ARGV[7])
state.tokens = state.tokens + (tonumber(ARGV[4]) - (input + output))
if math.floor(made / DAY_MS) == state.day then
  local spent = state.spent_usd + (tonumber(ARGV[9]) - tonumber(ARGV[5]))
  state.spent_usd = math.max(spent, 0)
end
state.cost_usd = state.cost_usd + tonumber(ARGV[9])
count('settled', 1)
count('guessed', 1 - tonumber(ARGV[10]))
count('input', ARGV[6])
count('output', ARGV[7])
count('cached', ARGV[8])
if ARGV[11] == 'fine' then
  state.fine = state.fine + 1
  if state.fine % GROW_AFTER == 0 then
    state.factor = math.min(state.factor + INCREASE, 1)
  end
elseif ARGV[11] == 'throttled' then
  count('throttled', 1)
  state.cool_ms = math.max(state.cool_ms, now + tonumber(ARGV[12]))
  state.requests = math.min(state.requests, 0)
  state.tokens = math.min(state.tokens, 0)
  state.at_ms = math.max(state.at_ms, state.cool_ms)
  if made >= state.cut_ms then
    state.factor = math.max(state.factor * DECREASE, FACTOR_MIN)
    state.cut_ms = now
  end
end
save(state)
return 1
