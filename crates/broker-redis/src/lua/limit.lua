-- Limits what a queue gives, in place of its limits before.
-- ARGV[2] all of them, as JSON   ARGV[3] jobs at once or ''
-- ARGV[4] µs between two jobs or ''   ARGV[5] burst
-- ARGV[6] jobs that wait at most or ''
-- ARGV[7] number of weights, then their tenant and the virtual time of one of its jobs
-- Returns 1.
local counters = Q .. 'n'
local function set(field, value)
  if value == '' then
    redis.call('HDEL', counters, field)
  else
    redis.call('HSET', counters, field, value)
  end
end
local before = redis.call('HMGET', counters, 'interval', 'burst')
if (before[1] or '') ~= ARGV[4] or (before[2] or '') ~= ARGV[5] then
  redis.call('HDEL', counters, 'next')
end
set('limits', ARGV[2])
set('concurrency', ARGV[3])
set('interval', ARGV[4])
set('burst', ARGV[5])
set('length', ARGV[6])
redis.call('DEL', Q .. 'weights')
for i = 8, 7 + tonumber(ARGV[7]) * 2, 2 do
  redis.call('HSET', Q .. 'weights', ARGV[i], ARGV[i + 1])
end
wake_one()
return 1
