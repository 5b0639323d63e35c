-- Declares workers lost whose lease ran out, and says what is to be taken back.
-- ARGV[2] lease in ms   ARGV[3] ms in which one sweep is enough
-- ARGV[4] 1 = after a time without any sweep leave everyone a lease to come back
-- ARGV[5] workers at most   ARGV[6] cancels at most   ARGV[7] others at most
-- Returns now, lost workers, jobs that did not stop within a lease, jobs whose
--   time to be started is over, and parents to look after.
local lease, every = tonumber(ARGV[2]), tonumber(ARGV[3])
local last = tonumber(redis.call('HGET', Q .. 'n', 'swept') or -1)
if last >= 0 and now >= last and now - last < every then
  return {now, {}, {}, {}, {}}
end
redis.call('HSET', Q .. 'n', 'swept', now)
-- A grace is not made longer by sweeps that are slow, and none outlasts a clock set back.
local grace = tonumber(redis.call('HGET', Q .. 'n', 'grace') or 0)
if grace > now + lease then
  grace = 0
end
if ARGV[4] == '1' and last >= grace and last >= 0 and now - last > lease then
  grace = now + lease
  redis.call('HSET', Q .. 'n', 'grace', grace)
end
if now >= grace then
  for _, worker in ipairs(redis.call('ZRANGEBYSCORE', Q .. 'w', 0, now, 'LIMIT', 0, ARGV[5])) do
    redis.call('ZADD', Q .. 'w', -1, worker)
    redis.call('DEL', Q .. 'x:' .. worker)
  end
end
return {
  now,
  redis.call('ZRANGEBYSCORE', Q .. 'w', -1, -1, 'LIMIT', 0, ARGV[5]),
  redis.call('ZRANGEBYSCORE', Q .. 'c', '-inf', now - lease, 'LIMIT', 0, ARGV[6]),
  redis.call('ZRANGEBYSCORE', Q .. 'ex', '-inf', now, 'LIMIT', 0, ARGV[7]),
  redis.call('ZRANGEBYSCORE', Q .. 'parents', '-inf', now, 'LIMIT', 0, ARGV[5]),
}
