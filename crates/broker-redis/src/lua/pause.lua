-- Stops or starts the giving of jobs.
-- ARGV[2] 1 = stop
-- Returns 1.
if ARGV[2] == '1' then
  redis.call('HSET', Q .. 'n', 'paused', 1)
else
  redis.call('HDEL', Q .. 'n', 'paused')
  wake_one()
end
return 1
