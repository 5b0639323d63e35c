-- Counts a part of a chord's header; gives all parts to the one that completes it.
-- KEYS: parts, correction of the size, size, parts seen, claim of the body.
-- ARGV: which part, its place or +inf, its JSON, seconds to keep them (0 for
-- ever), name of this claim. Returns the parts in order, or nothing.
--
-- The claim is of the part, not of the process: when its bridge dies before the
-- body is sent, the bridge that takes over the part goes on with the same claim.
local parts, added, size, seen, claim = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local CLAIM_S = 60
local held = redis.call('GET', claim)
if held == 'done' then return {} end
if redis.call('SADD', seen, ARGV[1]) == 1 then redis.call('ZADD', parts, ARGV[2], ARGV[3]) end
if tonumber(ARGV[4]) > 0 then
  for place = 1, 4 do redis.call('EXPIRE', KEYS[place], ARGV[4]) end
end
local wanted = redis.call('GET', size)
if not wanted then return {} end
local count = redis.call('ZCARD', parts)
if count ~= tonumber(wanted) + tonumber(redis.call('GET', added) or 0) then return {} end
if held and held ~= ARGV[5] then return {} end
redis.call('SET', claim, ARGV[5], 'EX', CLAIM_S)
return redis.call('ZRANGE', parts, 0, -1)
