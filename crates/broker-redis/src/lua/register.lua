-- Begins a worker's lease.
-- KEYS[2] set of all queues   ARGV[2] worker   ARGV[3] lease in ms   ARGV[4] queue
-- Returns 1, or 0 when the worker was declared lost.
local deadline = redis.call('ZSCORE', Q .. 'w', ARGV[2])
if deadline and tonumber(deadline) < 0 then
  return 0
end
redis.call('SADD', KEYS[2], ARGV[4])
redis.call('ZADD', Q .. 'w', now + tonumber(ARGV[3]), ARGV[2])
return 1
