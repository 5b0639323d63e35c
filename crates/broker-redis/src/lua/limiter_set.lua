-- Sets the limits that go before those of the workers' settings.
-- ARGV[2] to ARGV[5] requests and tokens per minute, calls in flight, dollars per day, each or ''
-- Returns 1, or 0 when nobody has asked before.
if redis.call('EXISTS', STATE) == 0 then
  return 0
end
for i, name in ipairs(LIMITS) do
  redis.call('HSET', STATE, 'o_' .. name, ARGV[1 + i])
end
return 1
