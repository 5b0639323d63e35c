-- Numbers a running attempt anew: an older program counted those before it in the record alone.
-- ARGV[2] id   ARGV[3] token   ARGV[4] the token with the right number   ARGV[5] attempts used before
-- Returns 1, or 0 when it is not held under that token.
local id = ARGV[2]
if redis.call('HGET', Q .. 'a', id) ~= ARGV[3] then
  return 0
end
redis.call('HSET', Q .. 'a', id, ARGV[4])
note(id, tonumber(ARGV[5]))
return 1
