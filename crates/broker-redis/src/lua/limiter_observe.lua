-- Takes note of what a provider says is left; it never raises anything.
-- ARGV[2] requests or ''   ARGV[3] tokens or ''
-- Returns 1, or 0 when nobody has asked before.
if redis.call('EXISTS', STATE) == 0 then
  return 0
end
local state = load()
state.requests = math.min(state.requests, tonumber(ARGV[2]) or state.requests)
state.tokens = math.min(state.tokens, tonumber(ARGV[3]) or state.tokens)
save(state)
return 1
