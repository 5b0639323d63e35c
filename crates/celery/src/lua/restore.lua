-- Gives back a message that a Celery worker took and did not acknowledge.
-- KEYS: unacked, its index, the list to put it into.
-- ARGV: delivery tag, latest time of the reservation, the message as it is to
-- be put there, the value it was made from. Returns whether it was.
local taken = redis.call('ZSCORE', KEYS[2], ARGV[1])
if not taken or tonumber(taken) > tonumber(ARGV[2]) then return 0 end
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[4] then return 0 end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[1], ARGV[1])
-- The right end is the next to go out.
redis.call('RPUSH', KEYS[3], ARGV[3])
return 1
