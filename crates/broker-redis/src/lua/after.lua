-- Members of a sorted set that come after a score and member, which may be gone by now.
-- KEYS[1] sorted set   ARGV[1] score   ARGV[2] member   ARGV[3] how many
-- Returns members with scores.
local low = redis.call('ZCOUNT', KEYS[1], '-inf', '(' .. ARGV[1])
local high = redis.call('ZCOUNT', KEYS[1], '-inf', ARGV[1])
while low < high do
  local middle = math.floor((low + high) / 2)
  if redis.call('ZRANGE', KEYS[1], middle, middle)[1] <= ARGV[2] then
    low = middle + 1
  else
    high = middle
  end
end
return redis.call('ZRANGE', KEYS[1], low, low + tonumber(ARGV[3]) - 1, 'WITHSCORES')
