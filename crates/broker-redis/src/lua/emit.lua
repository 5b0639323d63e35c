-- Appends events to a running job, only under the token that is held.
-- ARGV[2] id   ARGV[3] token   ARGV[4] last progress or ''
-- ARGV[5] checkpoint's field or ''   ARGV[6] its value
-- ARGV[7] number of events, then their type, step ('' or '=' and the step) and data
-- Returns 1, or 0 when the lease was lost and nothing was written.
local id = ARGV[2]
local state = Q .. 's:' .. id
if redis.call('HGET', Q .. 'a', id) ~= ARGV[3] then
  return 0
end
if ARGV[5] ~= '' then
  -- The first value of a step stays, and its events were appended with it.
  if redis.call('HEXISTS', state, ARGV[5]) == 1 then
    return 1
  end
  local place = redis.call('HINCRBY', state, 'kept', 1)
  if place == 1 then
    note(id)
  end
  redis.call('HSET', state, ARGV[5], string.format('%.0f ', place) .. ARGV[6])
end
if ARGV[4] ~= '' then
  redis.call('HSET', state, 'progress', ARGV[4])
end
for i = 8, 7 + tonumber(ARGV[7]) * 3, 3 do
  append(id, now, ARGV[i], ARGV[i + 1], ARGV[i + 2])
end
table.insert(news, id)
flush()
return 1
