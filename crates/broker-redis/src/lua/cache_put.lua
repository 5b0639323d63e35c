-- Keeps the value of a key that this token holds, and wakes who waits for it.
-- ARGV[3] token   ARGV[4] value   ARGV[5] keep in ms   ARGV[6] bytes of all values at most
-- ARGV[7] values to drop at most
-- Returns 1, or 0 when it was not kept: the hold was lost, or there is no room.
if not holds(ARGV[3]) then
  return 0
end
local size, keep_ms, drops = #ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[7])
for _, past in ipairs(redis.call('ZRANGEBYSCORE', Q .. 't', '-inf', now, 'LIMIT', 0, drops)) do
  drop(past)
end
local room = tonumber(ARGV[6]) - size
local function used()
  return tonumber(redis.call('HGET', Q .. 'n', 'bytes') or 0)
end
while room >= 0 and used() > room and drops > 0 do
  local soonest = redis.call('ZRANGE', Q .. 't', 0, 0)[1]
  if not soonest then
    break
  end
  drop(soonest)
  drops = drops - 1
end
local fits = room >= 0 and used() <= room
-- The hold is over, with a value or without.
drop(name)
if fits then
  write('v', keep_ms, ARGV[4])
  redis.call('ZADD', Q .. 't', now + keep_ms, name)
  redis.call('HSET', Q .. 'b', name, size)
  redis.call('HINCRBY', Q .. 'n', 'bytes', size)
end
redis.call('PUBLISH', Q .. 'news', name)
return fits and 1 or 0
