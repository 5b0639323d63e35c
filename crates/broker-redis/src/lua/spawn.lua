-- Stores a group of children of a running job, once, only under the token that is held.
-- ARGV[2] parent   ARGV[3] token   ARGV[4] group   ARGV[5] children at most
-- ARGV[6] event type   ARGV[7] event data   ARGV[8] number of children, then for each:
--   id, record, lane, due ms or 0, expires ms or 0, number of its indexes, then their names
-- Returns -1, or -2 when the lease was lost, or how many children there would be: too many.
local parent, group = ARGV[2], ARGV[4]
local family, names = Q .. 'ch:' .. parent, Q .. 'cl:' .. parent
if redis.call('HGET', Q .. 'a', parent) ~= ARGV[3] then
  return -2
end
if redis.call('HEXISTS', family, 'g:' .. group) == 1 then
  return -1
end
local total = redis.call('LLEN', names) + tonumber(ARGV[8])
if total > tonumber(ARGV[5]) then
  return total
end

local cursor = 8
local function arg()
  cursor = cursor + 1
  return ARGV[cursor]
end

-- A child, by its state. One whose id is in the store already stands for the job
-- that is there, and may have several parents: it tells each of its end.
local function adopt(id, letter)
  redis.call('HSET', family, id, letter)
  if letter == '-' then
    redis.call('HINCRBY', family, 'left', 1)
    note(id)
  else
    redis.call('HINCRBY', family, 'failed', letter == 'S' and 0 or 1)
  end
  local before = redis.call('HGET', Q .. 's:' .. id, 'parent')
  if not before then
    redis.call('HSET', Q .. 's:' .. id, 'parent', parent)
  elseif not string.find(before, parent, 1, true) then
    redis.call('HSET', Q .. 's:' .. id, 'parent', before .. ' ' .. parent)
  end
end

redis.call('HSET', family, 'g:' .. group, 1)
local indexes = {}
for _ = 1, tonumber(ARGV[8]) do
  local id, record, lane, due, expires = arg(), arg(), arg(), tonumber(arg()), tonumber(arg())
  local labels = {}
  for i = 1, tonumber(arg()) do
    labels[i] = arg()
  end
  redis.call('RPUSH', names, id .. ' ' .. group)
  local letter = redis.call('GETRANGE', Q .. 'j:' .. id, 3, 3)
  if letter == '' then
    adopt(id, '-')
    put_new(id, record, lane, due, expires)
    indexes[#indexes + 1] = {id, labels}
  elseif redis.call('HEXISTS', family, id) == 0 then
    adopt(id, string.match(letter, '%u') or '-')
  end
end
write_new()
for _, labelled in ipairs(indexes) do
  index(labelled[1], labelled[2])
end
append(parent, now, ARGV[6], '', ARGV[7])
table.insert(news, parent)
flush()
return -1
