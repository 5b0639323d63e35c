-- Begins a worker's lease.
-- ARGV[2] worker   ARGV[3] lease in ms
-- Returns 1, or 0 when the worker was declared lost.
local deadline = redis.call('ZSCORE', Q .. 'w', ARGV[2])
if deadline and tonumber(deadline) < 0 then
  return 0
end
redis.call('ZADD', Q .. 'w', now + tonumber(ARGV[3]), ARGV[2])
return 1
