-- Stops or starts the giving of jobs.
-- KEYS[2] set of all queues   ARGV[2] 1 = stop   ARGV[3] queue
-- Returns 1.
redis.call('SADD', KEYS[2], ARGV[3])
if ARGV[2] == '1' then
  redis.call('HSET', Q .. 'n', 'paused', 1)
else
  redis.call('HDEL', Q .. 'n', 'paused')
  wake_one()
end
return 1
