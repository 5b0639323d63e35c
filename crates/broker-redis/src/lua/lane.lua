-- Jobs of a lane after an absolute position: one that counts from the first job
-- the lane ever held, so that pops and pushes do not shift it.
-- KEYS[1] list   KEYS[2] hash of how far each lane was popped
-- ARGV[1] lane   ARGV[2] position or ''   ARGV[3] how many
-- Returns the position of the first one, and ids.
local left = tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or 0)
local from = ARGV[2] == '' and 0 or math.max(tonumber(ARGV[2]) + 1 - left, 0)
return {left + from, redis.call('LRANGE', KEYS[1], from, from + tonumber(ARGV[3]) - 1)}
