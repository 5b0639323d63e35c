-- Looks after a job that waits for its children: one that ended without telling
-- (an older program's settle, a record that is gone) is told here.
-- ARGV[2] parent   ARGV[3] ms until it is looked after again
-- Returns 1.
local parent = ARGV[2]
redis.call('ZADD', Q .. 'parents', 'XX', now + tonumber(ARGV[3]), parent)
local parked = redis.call('HGET', Q .. 's:' .. parent, 'parked')
if not parked then
  redis.call('ZREM', Q .. 'parents', parent)
  return 1
end
local family = redis.call('HGETALL', Q .. 'ch:' .. parent)
for i = 1, #family, 2 do
  if family[i + 1] == '-' then
    local letter = redis.call('GETRANGE', Q .. 'j:' .. family[i], 3, 3)
    if letter == '' then
      child_over(parent, family[i], 'F')
    elseif string.match(letter, '%u') then
      child_over(parent, family[i], letter)
    end
  end
end
flush()
return 1
